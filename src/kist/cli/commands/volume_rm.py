"""``kist volume rm``."""

from kist.cli.common import each, volume_path
from kist.cli.option import Command, Option
from kist.cli.units import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Remove them and print their names."""
    flags = ("force", "dry_run")
    query = [(name.replace("_", "-"), 1) for name in flags if arguments.flag(name)]

    def remove(name: str) -> str:
        gone = context.wire.call("DELETE", volume_path(name), query)
        return f"Would remove volume {name}: {size(gone['UsageData']['Size'])}" if gone else name

    return each(context, arguments.operands, remove)


COMMAND = Command(
    "volume rm",
    run,
    "VOLUME [VOLUME...]",
    least=1,
    options=(
        Option("-f --force", "One that is not there is no error"),
        Option("--dry-run", "Print what would go, and how much space that would give back"),
    ),
    about="A volume that a container has, be it a stopped one, is not removed.",
)
