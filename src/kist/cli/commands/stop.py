"""``kist stop``."""

from kist.cli.common import tell_each
from kist.cli.option import Command, Option
from kist.cli.values import signal_name, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Stop them one after another and print their names."""
    query = [("t", arguments.get("time")), ("signal", arguments.get("signal"))]
    return tell_each(context, arguments, "stop", query)


COMMAND = Command(
    "stop",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=(
        Option("-s --signal", "Signal to send first (default: the container's)", "SIGNAL", parse=signal_name),
        Option(
            "-t --timeout --time",
            "Seconds before KILL, -1 for no end (default: 10)",
            "SECONDS",
            parse=whole(-1, "a time"),
        ),
    ),
)
