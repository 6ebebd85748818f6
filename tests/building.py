"""Builds of a test, on whatever engine it has, and what they told."""

from pathlib import Path

from kist.build import build
from kist.client.client import Client
from kist.engine import Engine
from kist.spec.build import BuildOptions
from kist.spec.container import ContainerOptions
from kist.spec.progress import Event, StepFinished, StepOutput, StepStarted
from kist.spec.summary import Image


class Session:
    """Builds on one engine, and what they told."""

    def __init__(self, engine: Engine, context: Path) -> None:
        self.engine = engine
        self.context = context
        self.events: list[Event] = []

    def build(self, text: str, **options: object) -> Image:
        (self.context / "Dockerfile").write_text(text)
        self.events.clear()
        chosen = BuildOptions(**options)  # type: ignore[arg-type]
        if isinstance(self.engine, Client):  # the build is in the engine's own process
            return self.engine.build(str(self.context), chosen, progress=self.events.append)
        return build(self.engine, str(self.context), chosen, self.events.append)

    @property
    def cached(self) -> list[bool]:
        """Of each step, in the order of the plan: steps side by side end as they like."""
        numbers = {event.id: event.number for event in self.events if isinstance(event, StepStarted)}
        ends = [event for event in self.events if isinstance(event, StepFinished)]
        return [event.cached for event in sorted(ends, key=lambda event: numbers[event.id])]

    @property
    def output(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, StepOutput))

    def run(self, image: Image, *command: str) -> str:
        options = ContainerOptions(image=str(image.id), network="none")
        return self.engine.run(image, command or None, options=options).stdout
