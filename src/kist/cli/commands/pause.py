"""``kist pause`` and ``kist unpause``."""

from kist.cli.common import container_path, each
from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Stop their processes where they are, and print the names."""
    return _do(context, arguments, "pause")


def undo(context: "Context", arguments: "Arguments") -> int:
    """Let their processes go on, and print the names."""
    return _do(context, arguments, "unpause")


def _do(context: "Context", arguments: "Arguments", verb: str) -> int:
    def act(name: str) -> str:
        context.wire.call("POST", container_path(name, verb))
        return name

    return each(context, arguments.operands, act)


COMMAND = Command("pause", run, "CONTAINER [CONTAINER...]", least=1)
UNPAUSE = Command("unpause", undo, "CONTAINER [CONTAINER...]", least=1)
