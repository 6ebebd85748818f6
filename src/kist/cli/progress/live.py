"""Progress on a terminal: finished steps stay, running ones move below them with the last lines that they printed."""

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from kist.cli.progress.reproduction import coloured
from kist.cli.progress.steps import Step, Steps, seconds

if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.progress.steps import Event

_TAIL = 5
_INTERVAL = 0.1  # seconds between two looks of what moves
_BAR = 24
_INDENT = "      "
# Columns at the right that stay empty. What a terminal shows of Ctrl-C ("^C") begins a line of its own behind a full
# one, and what moves, which then ends one line further up than the cursor is, would not be removed wholly.
_MARGIN = 2


class LiveProgress:
    """Shows the events of one build."""

    def __init__(self, context: "Context") -> None:
        self._steps = Steps()
        self._console = Console(
            stderr=True, no_color=not context.colour(2), highlight=False, markup=False, emoji=False, soft_wrap=False
        )
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
        )
        # What is printed takes away what moves, by the height that this had: nothing comes between the two. (Rich's own
        # thread does, and then lines stay that should go, or go that should stay.)
        self._turn = threading.RLock()
        self._over = threading.Event()
        self._moving = threading.Thread(target=self._move, name="progress", daemon=True)

    def __enter__(self) -> Self:
        """Take the lower end of the terminal."""
        self._live.start()
        self._moving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back: cursor shown, the moving part gone; what Ctrl-C has ended is told."""
        self._over.set()
        self._moving.join()
        if kind is KeyboardInterrupt:
            for step in self._steps.running.values():
                self._cancelled(step)
        self._live.stop()

    def _move(self) -> None:
        while not self._over.wait(_INTERVAL):
            with self._turn:
                self._live.refresh()

    def __call__(self, event: "Event") -> None:
        """Take an event."""
        with self._turn:
            self._take(event)

    def _take(self, event: "Event") -> None:
        kind = event["type"]
        if kind == "step-started":
            self._steps.start(event, time.monotonic())
        elif kind == "step-finished":
            self._finished(event)
        elif kind == "warned":
            self._console.print(Text.assemble(("warning: ", "yellow"), event["text"]))
        elif kind == "verified":
            for line in coloured(event):
                self._console.print(Text.from_ansi(line), soft_wrap=True)
        elif kind in {"step-output", "step-progress"} and (step := self._steps.get(event)):
            if kind == "step-output":
                step.print(event)
            else:
                step.advance(event)

    def _finished(self, event: "Event") -> None:
        step = self._steps.finish(event)
        if step is None:
            return
        step.flush()
        if event.get("cancelled"):
            self._cancelled(step)
        elif event["error"]:
            self._tell(Text("✗", "bold red"), step, Text(seconds(event["seconds"]), "red"))
            for line in step.lines:
                self._console.print(Text(_INDENT + line), soft_wrap=True)
        elif event["cached"]:
            self._tell(Text("✓", "green"), step, Text("cached", "dim"))
        else:
            self._tell(Text("✓", "green"), step, Text(seconds(event["seconds"])))

    def _cancelled(self, step: Step) -> None:
        self._tell(Text("✗", "yellow"), step, Text("canceled", "yellow"))

    def _tell(self, mark: Text, step: Step, end: Text) -> None:
        self._console.print(self._narrowed(_row(mark, step, end)))

    def _narrowed(self, what: RenderableType) -> RenderableType:
        return Constrain(what, self._console.width - _MARGIN)

    def _render(self) -> RenderableType:
        now = time.monotonic()
        parts: list[RenderableType] = []
        for step in list(self._steps.running.values()):
            parts.append(_row(self._spinner, step, Text(seconds(now - step.began), "cyan")))
            if step.total:
                parts.append(_bar(step))
            shown = [*list(step.lines)[-_TAIL:], *([step.open_line] if step.open_line else [])][-_TAIL:]
            parts += [Text(_INDENT + line, "dim", no_wrap=True, overflow="ellipsis") for line in shown]
        return self._narrowed(Group(*parts))


def _row(mark: RenderableType, step: Step, end: Text) -> Table:
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(width=1)
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_column(justify="right", no_wrap=True)
    row.add_row(mark, Text(step.label), end)
    return row


def _bar(step: Step) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(
        Text(_INDENT[:-1]), ProgressBar(total=step.total, completed=step.done, width=_BAR), Text(step.amount, "dim")
    )
    return row
