"""``kist pause`` and ``kist unpause``."""

from kist.cli.common import tell_each
from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Stop their processes where they are, and print the names."""
    return tell_each(context, arguments, "pause")


def undo(context: "Context", arguments: "Arguments") -> int:
    """Let their processes go on, and print the names."""
    return tell_each(context, arguments, "unpause")


COMMAND = Command("pause", run, "CONTAINER [CONTAINER...]", least=1)
UNPAUSE = Command("unpause", undo, "CONTAINER [CONTAINER...]", least=1)
