"""``kist diff``."""

from kist.cli.common import container_path
from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print a letter and a path for each change."""
    for change in context.wire.call("GET", container_path(arguments.operands[0], "changes")) or ():
        context.say(f"{'CAD'[change['Kind']]} {change['Path']}")
    return 0


COMMAND = Command(
    "diff",
    run,
    "CONTAINER",
    least=1,
    most=1,
    about="A line for each file or directory: A for added, C for changed, D for deleted since the image.",
)
