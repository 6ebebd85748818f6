"""``kist builder export``."""

from kist.cli.option import Command, Option
from kist.cli.output_file import write_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Write the tar to a file, which appears when it is whole, or to standard output."""
    query = [("id", arguments.operands[0])]
    write_response(lambda: context.wire.request("GET", "/kist/build/cache/export", query), arguments.text("output"))
    return 0


COMMAND = Command(
    "builder export",
    run,
    "ID",
    least=1,
    most=1,
    options=(Option("-o --output", "Write to FILE rather than to standard output", "FILE"),),
    about="ID is that of RUN --mount=type=cache,id=ID, which is the mount's target where none is given.",
    examples=("kist builder export -o pip.tar /root/.cache/pip",),
)
