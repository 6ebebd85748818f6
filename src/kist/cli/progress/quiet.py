"""No progress, but what a failed step printed."""

import time

from kist.cli.progress.reproduction import show_verdict
from kist.cli.progress.steps import Steps, brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from kist.cli.context import Context
    from kist.cli.progress.steps import Event


class QuietProgress:
    """Silent until something fails."""

    def __init__(self, context: "Context") -> None:
        self._context = context
        self._steps = Steps()

    def __enter__(self) -> "Self":
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to show."""

    def __call__(self, event: "Event") -> None:
        """Take an event."""
        kind = event["type"]
        if kind == "step-started":
            self._steps.start(event, time.monotonic())
        elif kind == "step-output":
            if step := self._steps.get(event):
                step.print(event)
        elif kind == "step-finished":
            step = self._steps.finish(event)
            if step and event["error"] and not event.get("cancelled"):
                for line in (brief(step.label), *step.lines, *step.flush()):
                    self._context.note(line)
        elif kind == "warned" and not event.get("rule"):
            self._context.warn(event["text"])
        elif kind == "verified" and event["differing"]:
            show_verdict(self._context, event)
