"""``kist logs``."""

import time

from kist.cli.common import container_path, inspect_container
from kist.cli.foreground import show
from kist.cli.option import Command, Option
from kist.cli.values import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments

_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
_RAW = "application/vnd.docker.raw-stream"


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the log; stdout's on stdout, stderr's on stderr."""
    name = arguments.operands[0]
    query = [
        ("stdout", 1),
        ("stderr", 1),
        ("follow", 1 if arguments.flag("follow") else None),
        ("timestamps", 1 if arguments.flag("timestamps") else None),
        ("tail", arguments.get("tail")),
        ("since", arguments.get("since")),
        ("until", arguments.get("until")),
        ("details", 1 if arguments.flag("details") else None),
        ("grep", arguments.get("grep")),
        ("ignorecase", 1 if arguments.flag("ignore_case") else None),
        ("joined", 1),
    ]
    response = context.wire.request("GET", container_path(name, "logs"), query)
    kind = response.headers.get("content-type", "")
    if kind not in {_MULTIPLEXED, _RAW}:  # a daemon that does not tell
        kind = _RAW if inspect_container(context, name)["Config"]["Tty"] else _MULTIPLEXED
    show(response, tty=kind == _RAW)
    return 0


def tail(text: str) -> str:
    """``all``, or a number of lines."""
    if text != "all" and not (text.isdigit() and text.isascii()):
        raise ValueError("it is a number of lines, or all")
    return text


COMMAND = Command(
    "logs",
    run,
    "CONTAINER",
    least=1,
    most=1,
    options=(
        Option("-f --follow", "Go on as the container prints"),
        Option("-n --tail", "The last NUMBER lines only (default: all)", "NUMBER", parse=tail),
        Option("-t --timestamps", "Show when each line was printed"),
        Option("--details", "Show the labels and variables that the log options name"),
        Option(
            "-g --grep", "Only lines that hold this regular expression; the others do not leave the engine", "PATTERN"
        ),
        Option("-i --ignore-case", "Let the pattern match capitals and small letters alike"),
        Option("--since", "From this time on: 10m (ago), 2026-01-31T10:20:30", "TIME", parse=timestamp(time.time)),
        Option("--until", "Up to this time", "TIME", parse=timestamp(time.time)),
    ),
)
