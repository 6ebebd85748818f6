"""``kist restart``."""

from kist.cli.commands import stop
from kist.cli.common import tell_each
from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Stop and start them one after another and print their names."""
    query = [("t", arguments.get("time")), ("signal", arguments.get("signal"))]
    return tell_each(context, arguments, "restart", query)


COMMAND = Command("restart", run, "CONTAINER [CONTAINER...]", least=1, options=stop.COMMAND.options)
