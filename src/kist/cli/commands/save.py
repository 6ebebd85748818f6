"""``kist save``."""

from kist.cli.option import REPEAT, Command, Option
from kist.cli.output_file import write_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Write the archive to a file, which appears when it is whole, or to standard output."""
    platforms = [each for text in arguments.all("platform") for each in text.split(",")]
    query = [*(("platform", each) for each in platforms), *(("names", name) for name in arguments.operands)]
    write_response(lambda: context.wire.request("GET", "/images/get", query), arguments.text("output"))
    return 0


COMMAND = Command(
    "save",
    run,
    "IMAGE [IMAGE...]",
    least=1,
    options=(
        Option("-o --output", "Write to FILE rather than to standard output", "FILE"),
        Option("--platform", "Of images for several platforms, those for this: linux/arm64", "PLATFORM", kind=REPEAT),
    ),
)
