"""``kist start``."""

from kist.cli.commands.attach import attach_to
from kist.cli.common import inspect_container, tell_each
from kist.cli.option import Command, Option
from kist.cli.streams import DETACH_KEYS, SIG_PROXY
from kist.cli.usage import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Start them; with ``--attach`` one, and its exit code is ours."""
    if arguments.flag("attach") or arguments.flag("interactive"):
        if len(arguments.operands) > 1:
            raise UsageError("you cannot start and attach multiple containers at once")
        name = arguments.operands[0]
        return attach_to(context, arguments, inspect_container(context, name), starts=True)
    return tell_each(context, arguments, "start", [("checkpoint", arguments.get("checkpoint"))])


COMMAND = Command(
    "start",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=(
        Option("-a --attach", "Attach output and errors, and pass signals on"),
        Option("-i --interactive", "Attach standard input too"),
        Option("--checkpoint", "Start from a checkpoint (not supported)", "NAME", hidden=True),
        SIG_PROXY,
        DETACH_KEYS,
    ),
)
