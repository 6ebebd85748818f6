"""``kist kill``."""

from kist.cli.common import tell_each
from kist.cli.option import Command, Option
from kist.cli.values import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the signal and print the names."""
    return tell_each(context, arguments, "kill", [("signal", arguments.get("signal", "KILL"))])


COMMAND = Command(
    "kill",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=(Option("-s --signal", "Signal to send (default: KILL)", "SIGNAL", parse=signal_name),),
)
