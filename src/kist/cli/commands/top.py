"""``kist top``."""

from kist.cli.common import container_path
from kist.cli.option import Command
from kist.cli.table import one_line, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table of its processes."""
    name, *words = arguments.operands
    found = context.wire.call("GET", container_path(name, "top"), [("ps_args", " ".join(words) or None)])
    rows = [[one_line(cell) for cell in row] for row in found["Processes"] or ()]
    context.write_text(table(found["Titles"], rows, least=20) + "\n")
    return 0


COMMAND = Command(
    "top",
    run,
    "CONTAINER [PS OPTIONS]",
    least=1,
    ends_at_operand=True,
    about="Columns are those of ps(1) on the engine's machine: -ef without others, aux, or a list with pid in it.",
    examples=("kist top web", "kist top web -o pid,etime,cmd"),
)
