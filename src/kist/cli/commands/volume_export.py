"""``kist volume export``."""

from kist.cli.common import volume_path
from kist.cli.option import Command, Option
from kist.cli.output_file import write_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Write the tar to a file, which appears when it is whole, or to standard output."""
    path = "/kist" + volume_path(arguments.operands[0], "export")
    write_response(lambda: context.wire.request("GET", path), arguments.text("output"))
    return 0


COMMAND = Command(
    "volume export",
    run,
    "VOLUME",
    least=1,
    most=1,
    options=(Option("-o --output", "Write to FILE rather than to standard output", "FILE"),),
    about="Owners are numbers; holes of sparse files are left out, as GNU tar and others know. Stop what writes to the "
    "volume meanwhile, if its files are to be of one moment.",
    examples=(
        "kist volume export -o store.tar store",
        "kist volume export store | gzip > store.tar.gz",
    ),
)
