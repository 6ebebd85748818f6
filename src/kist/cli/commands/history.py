"""``kist history``."""

import time

from kist.cli.common import image_path
from kist.cli.option import Command, Option
from kist.cli.table import one_line, shorten, table
from kist.cli.units import ago, size
from kist.cli.unsupported import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_HEADER = ("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT")
_STEP_WIDTH = 45


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the steps, the last one first."""
    steps = context.wire.call("GET", image_path(arguments.operands[0], "history"))
    whole_text = arguments.flag("no_trunc")
    if arguments.flag("quiet"):
        for step in steps:
            context.say(_id(step, whole_text=whole_text))
        return 0
    now = time.time()
    context.say(table(_HEADER, [_row(step, now, whole_text=whole_text) for step in steps]))
    return 0


def _row(step: "dict[str, Any]", now: float, *, whole_text: bool) -> "tuple[str, ...]":
    by = one_line(step["CreatedBy"])
    return (
        _id(step, whole_text=whole_text),
        ago(now - step["Created"]) if step["Created"] > 0 else "N/A",
        by if whole_text else shorten(by, _STEP_WIDTH),
        size(step["Size"]),
        one_line(step.get("Comment") or ""),
    )


def _id(step: "dict[str, Any]", *, whole_text: bool) -> str:
    identity = str(step["Id"])
    return identity if whole_text or identity.startswith("<") else identity.removeprefix("sha256:")[:12]


COMMAND = Command(
    "history",
    run,
    "IMAGE",
    least=1,
    most=1,
    options=(
        Option("-q --quiet", "Ids only"),
        Option("--no-trunc", "Whole ids and steps"),
        FORMAT,
    ),
)
