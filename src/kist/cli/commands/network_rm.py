"""``kist network rm``."""

from kist.cli.common import network_path
from kist.cli.option import Command, Option
from kist.errors import KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Remove them and print their names."""
    force = arguments.flag("force")
    code = 0
    for name in arguments.operands:
        try:
            context.wire.call("DELETE", network_path(name))
        except KistError as error:
            if force and isinstance(error, NotFound):
                continue
            context.fail(error)
            code = 1
        else:
            context.say(name)
    return code


COMMAND = Command(
    "network rm",
    run,
    "NETWORK [NETWORK...]",
    least=1,
    options=(Option("-f --force", "One that is not there is no error"),),
    about="A network that a container runs on is not removed.",
)
