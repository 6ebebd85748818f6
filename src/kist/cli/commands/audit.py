"""``kist system audit``."""

import time

from kist.cli.listing import FORMAT, Output, a_filter, filters
from kist.cli.nouns.audit import AUDITED
from kist.cli.option import REPEAT, Command, Option
from kist.cli.values import timestamp, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments

_SHOWN = 100


def run(context: "Context", arguments: "Arguments") -> int:
    """Print who called what, the oldest first."""
    output = Output(context, AUDITED, arguments)
    query = [
        ("since", arguments.get("since")),
        ("until", arguments.get("until")),
        ("filters", filters(arguments.all("filter"))),
        ("tail", arguments.get("tail", None if arguments.get("since") else _SHOWN)),
    ]
    output.show(list(context.wire.lines(context.wire.request("GET", "/kist/audit", query))))
    return 0


COMMAND = Command(
    "system audit",
    run,
    options=(
        Option("-f --filter", "Only such calls: uid, pid, path, status, method, role, socket, container", "NAME=VALUE",
               kind=REPEAT, parse=a_filter),
        FORMAT,
        Option("--since", "From this time on: 10m (ago), 2026-01-31T10:20:30", "TIME", parse=timestamp(time.time)),
        Option("--tail", f"The last N calls ({_SHOWN}, unless there is a --since)", "N", parse=whole(0, "a number")),
        Option("--until", "Up to this time", "TIME", parse=timestamp(time.time)),
    ),
    about="The engine writes a line for each call of each of its sockets: the user, the process, the path, and what "
    "came of it. They are in audit.log in the data root, at most 20 MiB, and those of each other caller in files "
    "of its own. A stream has a second line, at its end. A container is found by its name, its id or the beginning "
    "of that.",
    examples=("kist system audit --since 1h --filter status=4xx", "kist system audit --filter uid=1000 --format json"),
)  # fmt: skip
