"""What ``--verify`` has found, in colours where there are some."""

from kist.spec.verdict import verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.progress.steps import Event

_BOLD, _RED, _GREEN, _YELLOW, _DIM, _OFF = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_MARKS = {"  - ": _RED, "  + ": _GREEN, "  ~ ": _YELLOW, "    ": _DIM}


def show_verdict(context: "Context", event: "Event") -> None:
    """Say it on standard error."""
    for line in coloured(event) if context.colour(2) else verdict(event):
        context.note(line)


def coloured(event: "Event") -> "list[str]":
    """The lines with their colours."""
    head, *lines = verdict(event)
    first = _BOLD + (_RED if event["differing"] else _GREEN) + head + _OFF
    return [first, *(f"{_MARKS.get(line[:4], _BOLD if line else '')}{line}{_OFF}" for line in lines)]
