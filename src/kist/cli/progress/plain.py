"""Progress as lines, for pipes and logs: ``#3 RUN make``, ``#3 0.41 cc -c a.c``, ``#3 DONE 1.2s``."""

import time

from kist.cli.progress.steps import Step, Steps, brief, brief_failure, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from kist.cli.context import Context
    from kist.cli.progress.steps import Event

_QUARTERS = 4


class PlainProgress:
    """Tells each event as it comes."""

    def __init__(self, context: "Context") -> None:
        self._context = context
        self._steps = Steps()

    def __enter__(self) -> "Self":
        """Itself."""
        return self

    def __exit__(self, kind: "type[BaseException] | None", *_: object) -> None:
        """Close what Ctrl-C has ended, of which no event comes any more."""
        if kind is KeyboardInterrupt:
            for step in self._steps.running.values():
                self._say(step, "CANCELED")

    def __call__(self, event: "Event") -> None:
        """Take an event."""
        kind = event["type"]
        if kind == "step-started":
            step = self._steps.start(event, time.monotonic())
            self._say(step, brief(step.label))
        elif kind == "step-finished":
            self._finished(event)
        elif kind == "warned":
            self._context.warn(event["text"])
        elif kind == "verified":
            from kist.cli.progress.reproduction import show_verdict  # noqa: PLC0415 - for --verify

            show_verdict(self._context, event)
        elif kind in {"step-output", "step-progress"} and (found := self._steps.get(event)):
            self._advanced(found, event)

    def _advanced(self, step: Step, event: "Event") -> None:
        if event["type"] == "step-output":
            at = f"{time.monotonic() - step.began:.2f}"
            for line in step.print(event):
                self._say(step, f"{at} {line}")
            return
        before = step.done * _QUARTERS // step.total if step.total else 0
        step.advance(event)
        if step.total and step.done * _QUARTERS // step.total > before:
            self._say(step, step.amount)

    def _finished(self, event: "Event") -> None:
        step = self._steps.finish(event)
        if step is None:
            return
        for line in step.flush():
            self._say(step, f"{time.monotonic() - step.began:.2f} {line}")
        if event.get("cancelled"):
            self._say(step, "CANCELED")
        elif event["error"]:
            self._say(step, f"ERROR: {brief_failure(event['error'])}")
        else:
            self._say(step, "CACHED" if event["cached"] else f"DONE {seconds(event['seconds'])}")

    def _say(self, step: Step, text: str) -> None:
        self._context.note(f"#{step.index} {text}")
