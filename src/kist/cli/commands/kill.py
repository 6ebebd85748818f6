"""``kist kill``."""

from kist.cli.common import container_path, each
from kist.cli.option import Command, Option
from kist.cli.values import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the signal and print the names."""

    def kill(name: str) -> str:
        context.wire.call("POST", container_path(name, "kill"), [("signal", arguments.get("signal", "KILL"))])
        return name

    return each(context, arguments.operands, kill)


COMMAND = Command(
    "kill",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=(Option("-s --signal", "Signal to send (default: KILL)", "SIGNAL", parse=signal_name),),
)
