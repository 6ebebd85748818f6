"""``kist ps``."""

import time

from kist.cli.option import Command, Option
from kist.cli.table import one_line, shorten, table
from kist.cli.units import ago
from kist.cli.unsupported import FORMAT
from kist.cli.values import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_HEADER = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
_COMMAND_WIDTH = 20


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table, or the ids."""
    limit = 1 if arguments.flag("latest") else arguments.get("last")
    query = [("all", 1 if arguments.flag("all") or limit else None), ("limit", limit)]
    found = context.wire.call("GET", "/containers/json", query)
    whole_text = arguments.flag("no_trunc")
    if arguments.flag("quiet"):
        for container in found:
            context.say(container["Id"] if whole_text else container["Id"][:12])
        return 0
    now = time.time()
    context.say(table(_HEADER, [_row(container, now, whole_text=whole_text) for container in found]))
    return 0


def _row(container: "dict[str, Any]", now: float, *, whole_text: bool) -> "tuple[str, ...]":
    command = one_line(container["Command"])
    names = [name.removeprefix("/") for name in container["Names"]]
    return (
        container["Id"] if whole_text else container["Id"][:12],
        container["Image"] if whole_text else _image(container["Image"]),
        f'"{command if whole_text else shorten(command, _COMMAND_WIDTH)}"',
        ago(now - container["Created"]),
        container["Status"],
        "",
        ",".join(names),
    )


def _image(name: str) -> str:
    """An image that is named by its id is shown by the id's beginning."""
    digest = name.removeprefix("sha256:")
    return digest[:12] if len(digest) == 64 and not digest.strip("0123456789abcdef") else name


COMMAND = Command(
    "ps",
    run,
    options=(
        Option("-a --all", "All containers, not only those that run"),
        Option("-q --quiet", "Ids only"),
        Option("--no-trunc", "Whole ids and commands"),
        Option("-n --last", "The last NUMBER created, running or not", "NUMBER", parse=whole(1, "a number")),
        Option("-l --latest", "The last one created, running or not"),
        FORMAT,
    ),
)
