"""The steps of a build as they stand after each event, without a word about how they are shown."""

from collections import deque

from kist.cli.table import one_line
from kist.cli.units import size
from kist.spec.progress import StepFinished, StepOutput, StepProgress, StepStarted

_KEPT_LINES = 5000


class Step:
    """One step.

    Attributes:
        index: 1, 2, … in the order of their beginnings.
        lines: the last of what it printed, whole lines without control characters; the open one is not among them.
        done, total, unit: how far it is; ``total`` 0 where it has not told.
    """

    def __init__(self, index: int, event: StepStarted, now: float) -> None:
        self.index = index
        self.number = event.number
        self.count = event.total
        self.title = one_line(event.title)
        self.began = now
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.done = 0
        self.total = 0
        self.unit = ""
        self._open: dict[str, str] = {}

    @property
    def label(self) -> str:
        """``[3/5] COPY f /f``."""
        return f"[{self.number}/{self.count}] {self.title}" if self.count else self.title

    @property
    def open_line(self) -> str:
        """What it printed since the last line end."""
        return clean("".join(self._open.values()))

    def print(self, event: StepOutput) -> list[str]:
        """Take output; the lines that it completes."""
        *whole, rest = (self._open.get(event.stream, "") + event.text).split("\n")
        self._open[event.stream] = rest
        lines = [clean(line) for line in whole]
        self.lines.extend(lines)
        return lines

    def flush(self) -> list[str]:
        """The lines that never got their line end, at the step's end."""
        lines = [clean(rest) for rest in self._open.values() if rest]
        self._open.clear()
        self.lines.extend(lines)
        return lines

    def advance(self, event: StepProgress) -> None:
        """Take how far it is."""
        self.done, self.total, self.unit = event.done, event.total, event.unit

    @property
    def amount(self) -> str:
        """``12.3MB / 40MB`` or ``12 / 80 packages``; empty where it has not told."""
        if not self.total:
            return ""
        if self.unit == "bytes":
            return f"{size(self.done)} / {size(self.total)}"
        return f"{self.done} / {self.total} {self.unit}"


class Steps:
    """All steps: those that run, in the order of their beginnings, and how many there were."""

    def __init__(self) -> None:
        self.running: dict[str, Step] = {}
        self._count = 0

    def start(self, event: StepStarted, now: float) -> Step:
        """A step begins."""
        self._count += 1
        self.running[event.id] = Step(self._count, event, now)
        return self.running[event.id]

    def get(self, identity: str) -> Step | None:
        """A step that runs."""
        return self.running.get(identity)

    def finish(self, event: StepFinished) -> Step | None:
        """A step ends."""
        return self.running.pop(event.id, None)


def clean(line: str) -> str:
    """A line as a terminal would show it at the end: after the last carriage return, without control characters."""
    last = line.rstrip("\r").rpartition("\r")[2]
    return one_line(_without_escapes(last)).rstrip()


def _without_escapes(text: str) -> str:
    """Without the colours and cursor movements of ECMA-48 (ESC [ … letter)."""
    if "\x1b" not in text:
        return text
    out, *parts = text.split("\x1b")
    for part in parts:
        if part.startswith("["):
            end = next((i for i, character in enumerate(part[1:], 1) if "@" <= character <= "~"), len(part))
            out += part[end + 1 :]
        else:
            out += part[1:]
    return out


def seconds(value: float) -> str:
    """``0.4s``, ``75.2s``, ``2m 5s``."""
    return f"{value:.1f}s" if value < 100 else f"{int(value) // 60}m {int(value) % 60}s"
