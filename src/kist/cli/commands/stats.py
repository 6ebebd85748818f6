"""``kist stats``."""

import sys

from kist.cli.listing import FORMAT, Output
from kist.cli.nouns.stats import STATS
from kist.cli.option import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

# The cursor to the top left, each line cleared behind its text, and what is below cleared at the end: nothing flickers,
# for no place is ever empty that will have text again.
_HOME, _CLEAR_LINE, _CLEAR_BELOW, _CLEAR = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[2J"


def run(context: "Context", arguments: "Arguments") -> int:
    """Print what they use: once, or again and again until interrupted."""
    output = Output(context, STATS, arguments)
    query = [("container", name) for name in arguments.operands]
    query.append(("all", "1" if arguments.flag("all") else "0"))
    lines = context.wire.lines(context.wire.request("GET", "/kist/stats", query))
    if arguments.flag("no_stream"):
        output.show(_complete(lines))
        return 0
    live = sys.stdout.isatty() and not arguments.text("format")
    try:
        _show(lines, output, live=live)
    except KeyboardInterrupt:
        return 0
    return 0


def _show(lines: "Iterator[Any]", output: "Output", *, live: bool) -> None:
    if live:
        sys.stdout.write(_CLEAR)
    for rows in lines:
        if live:
            text = output.text(sorted(rows, key=_by_name)).replace("\n", _CLEAR_LINE + "\n")
            sys.stdout.write(_HOME + text + _CLEAR_BELOW)
        else:
            output.show(sorted(rows, key=_by_name))
        sys.stdout.flush()


def _complete(lines: "Iterator[Any]") -> "list[Any]":
    """The first list in which every container that runs has a sample before, so that there is a share of CPU time."""
    rows: list[Any] = []
    for rows in lines:
        if all(not row["cpu_stats"].get("system_cpu_usage") or row["precpu_stats"].get("system_cpu_usage")
               for row in rows):  # fmt: skip
            break
    return sorted(rows, key=_by_name)


def _by_name(row: "Any") -> str:
    return str(row["name"])


COMMAND = Command(
    "stats",
    run,
    "[CONTAINER...]",
    options=(
        Option("-a --all", "Those too that do not run, with what their last run used"),
        FORMAT,
        Option("--no-stream", "Once, and then end"),
        Option("--no-trunc", "Whole ids"),
    ),
    examples=("kist stats", "kist stats --no-stream --format '{{.Name}}: {{.MemUsage}}'"),
)
