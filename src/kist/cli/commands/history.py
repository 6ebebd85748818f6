"""``kist history``."""

from kist.cli.common import image_path
from kist.cli.listing import FORMAT, QUIET, Output
from kist.cli.nouns.image import EXACT_STEP, STEP
from kist.cli.option import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the steps, the last one first."""
    output = Output(context, STEP if arguments.get("human", True) else EXACT_STEP, arguments)
    query = [("platform", arguments.get("platform"))]
    output.show(context.wire.call("GET", image_path(arguments.operands[0], "history"), query))
    return 0


COMMAND = Command(
    "history",
    run,
    "IMAGE",
    least=1,
    most=1,
    options=(
        FORMAT,
        Option("-H --human", "Ages and sizes for people (default: true)"),
        Option("--no-trunc", "Whole ids and steps"),
        Option("--platform", "Only if it is for this platform: linux/arm64", "PLATFORM"),
        QUIET,
    ),
)
