"""The steps of a build as they stand after each event, without a word about how they are shown.

An event is the JSON of ``kist.spec.progress``: a cached build would else spend most of its time on importing msgspec.
"""

from kist.cli.table import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Event = dict[str, Any]

_KEPT_LINES = 5000
_HEAD, _TAIL = 100, 50  # characters of a long text that are told on one line


class Step:
    """One step.

    Attributes:
        index: 1, 2, … in the order of their beginnings.
        lines: the last of what it printed, whole lines without control characters; the open one is not among them.
        done, total, unit: how far it is; ``total`` 0 where it has not told.
    """

    def __init__(self, index: int, event: "Event", now: float) -> None:
        self.index = index
        self.number = event["number"]
        self.count = event["total"]
        self.title = one_line(event["title"])
        self.began = now
        self.lines: list[str] = []
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

    def print(self, event: "Event") -> list[str]:
        """Take output; the lines that it completes."""
        *whole, rest = (self._open.get(event["stream"], "") + event["text"]).split("\n")
        self._open[event["stream"]] = rest
        lines = [clean(line) for line in whole]
        self._keep(lines)
        return lines

    def _keep(self, lines: list[str]) -> None:
        self.lines += lines
        if len(self.lines) > 2 * _KEPT_LINES:
            del self.lines[:-_KEPT_LINES]

    def flush(self) -> list[str]:
        """The lines that never got their line end, at the step's end."""
        lines = [clean(rest) for rest in self._open.values() if rest]
        self._open.clear()
        self._keep(lines)
        return lines

    def advance(self, event: "Event") -> None:
        """Take how far it is; without a total it is told only that it goes on."""
        if not event["total"]:
            return
        self.done, self.total, self.unit = event["done"], event["total"], event["unit"]

    @property
    def amount(self) -> str:
        """``12.3MB / 40MB`` or ``12 / 80 packages``; empty where it has not told."""
        if not self.total:
            return ""
        if self.unit == "bytes":
            from kist.cli.units import size  # noqa: PLC0415 - for what takes its time

            return f"{size(self.done)} / {size(self.total)}"
        return f"{self.done} / {self.total} {self.unit}"


class Steps:
    """All steps: those that run, in the order of their beginnings, and how many there were."""

    def __init__(self) -> None:
        self.running: dict[str, Step] = {}
        self._count = 0

    def start(self, event: "Event", now: float) -> Step:
        """A step begins."""
        self._count += 1
        self.running[event["id"]] = Step(self._count, event, now)
        return self.running[event["id"]]

    def get(self, event: "Event") -> "Step | None":
        """The step that an event is about, when it runs."""
        return self.running.get(event["id"])

    def finish(self, event: "Event") -> "Step | None":
        """A step ends."""
        return self.running.pop(event["id"], None)


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


def brief(text: str, tail: int = 0) -> str:
    """A text on one line, without the middle or the end of a very long one; the Dockerfile has it whole.

    Args:
        text: of any length, with any line ends.
        tail: how much of its end counts.
    """
    line = " ".join(text.split())
    if len(line) <= _HEAD + tail:
        return line
    return f"{line[:_HEAD].rstrip()}…{line[len(line) - tail :] if tail else ''}"


def brief_failure(message: str) -> str:
    """What is told of a command that failed: how it ended is at the end of the sentence."""
    return brief(message, _TAIL)


def seconds(value: float) -> str:
    """``0.4s``, ``75.2s``, ``2m 5s``."""
    return f"{value:.1f}s" if value < 100 else f"{int(value) // 60}m {int(value) % 60}s"
