"""The classic builder's stream of a build whose steps run side by side: one after the other, as its readers know it.

A step's events pass once all steps before it, in the plan's order, are finished; until then they are held. What is held
is bounded: of a step that prints more, the end is kept.
"""

from collections import deque
from typing import Any

from kist.spec.docker.progress import write_build_event
from kist.spec.progress import Event, Failed, StepFinished, StepOutput, StepProgress, StepRuns, StepStarted

_MOST_HELD = 1 << 20  # characters of output of one step
_Told = list[dict[str, Any]]


class _Step:
    """One step that has begun."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.size = 0
        self.clipped = 0
        self.error = False
        self.cancelled = False

    def hold(self, event: Event) -> None:
        """Keep an event; of output the end."""
        self.events.append(event)
        if isinstance(event, StepOutput):
            self.size += len(event.text)
        while self.size > _MOST_HELD:
            first = next(each for each in self.events if isinstance(each, StepOutput))
            self.events.remove(first)
            self.size -= len(first.text)
            self.clipped += len(first.text)

    def take(self) -> _Told:
        """What is held, as it is told; none of it is held any more."""
        told: _Told = []
        for event in self.events:
            if self.clipped and isinstance(event, StepOutput):
                told.append({"stream": f"[{self.clipped} characters of output are left out]\n"})
                self.clipped = 0
            told += write_build_event(event)
        self.events.clear()
        self.size = 0
        return told


class BuildStream:
    """Translates the events of one build, in whatever order steps run."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._steps: dict[int, _Step] = {}
        self._turn = 1

    def __call__(self, event: Event) -> _Told:
        """What the classic builder would say now."""
        if isinstance(event, StepStarted) and event.number:
            self._numbers[event.id] = event.number
            self._steps[event.number] = _Step()
        if isinstance(event, StepStarted | StepRuns | StepOutput | StepProgress | StepFinished):
            number = self._numbers.get(event.id, 0)
            return self._of_step(number, event) if number else write_build_event(event)
        told = self._end() if isinstance(event, Failed) else []
        return told + write_build_event(event)

    def _of_step(self, number: int, event: Event) -> _Told:
        if isinstance(event, StepProgress):
            return []
        if number == self._turn and not isinstance(event, StepFinished):
            return write_build_event(event)
        step = self._steps[number]
        step.hold(event)
        if isinstance(event, StepFinished):
            step.error, step.cancelled = bool(event.error), event.cancelled
        return self._turns() if number == self._turn else []

    def _turns(self) -> _Told:
        """Let the step pass whose turn it is, and those after it as far as they are finished."""
        told: _Told = []
        while (step := self._steps.get(self._turn)) is not None:
            finished = bool(step.events) and isinstance(step.events[-1], StepFinished)
            if finished and step.cancelled:
                return told
            told += step.take()
            if not finished or step.error:
                return told
            del self._steps[self._turn]
            self._turn += 1
        return told

    def _end(self) -> _Told:
        """The build has failed: what is held, last of all of the step that is the cause."""
        cause = [number for number, step in self._steps.items() if step.error and not step.cancelled]
        order = [*sorted(self._steps.keys() - cause), *cause]
        return [line for number in order for line in self._steps[number].take()]
