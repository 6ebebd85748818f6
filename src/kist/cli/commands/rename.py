"""``kist rename``."""

from kist.cli.common import container_path
from kist.cli.option import Command
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Rename it; nothing is printed."""
    old, new = (word.strip() for word in arguments.operands)
    if not old or not new:
        raise InvalidInput("Neither old nor new names may be empty")
    context.wire.call("POST", container_path(old, "rename"), [("name", new)])
    return 0


COMMAND = Command("rename", run, "CONTAINER NEW_NAME", least=2, most=2)
