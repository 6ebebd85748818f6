"""No progress, but what a failed step printed."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kist.cli.progress.steps import Steps
from kist.spec.progress import Event, StepFinished, StepOutput, StepStarted, Warned

if TYPE_CHECKING:
    from kist.cli.context import Context


class QuietProgress:
    """Silent until something fails."""

    def __init__(self, context: "Context") -> None:
        self._context = context
        self._steps = Steps()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left to show."""

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, StepStarted):
            self._steps.start(event, time.monotonic())
        elif isinstance(event, StepOutput):
            if step := self._steps.get(event.id):
                step.print(event)
        elif isinstance(event, StepFinished):
            step = self._steps.finish(event)
            if step and event.error:
                for line in (step.label, *step.lines, *step.flush()):
                    self._context.note(line)
        elif isinstance(event, Warned):
            self._context.warn(event.text)
