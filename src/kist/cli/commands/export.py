"""``kist export``."""

from kist.cli.common import container_path
from kist.cli.option import Command, Option
from kist.cli.output_file import write_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Write the tar to a file, which appears when it is whole, or to standard output."""
    path = container_path(arguments.operands[0], "export")
    write_response(lambda: context.wire.request("GET", path), arguments.text("output"))
    return 0


COMMAND = Command(
    "export",
    run,
    "CONTAINER",
    least=1,
    most=1,
    options=(Option("-o --output", "Write to FILE rather than to standard output", "FILE"),),
    about="What is mounted in the container (binds, volumes, tmpfs) is not in it.",
)
