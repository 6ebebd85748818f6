"""``kist wait``."""

from kist.cli.common import container_path, each
from kist.cli.foreground import exit_code
from kist.cli.option import Command, Option
from kist.cli.values import choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Wait for each and print its exit code."""
    query = [("condition", arguments.get("condition"))]

    def wait(name: str) -> str:
        return str(exit_code(context.wire.begin("POST", container_path(name, "wait"), query)))

    return each(context, arguments.operands, wait)


COMMAND = Command(
    "wait",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=(
        Option(
            "--condition",
            "What to wait for: not-running, next-exit or removed (default: not-running)",
            "CONDITION",
            parse=choice("not-running", "next-exit", "removed"),
        ),
    ),
)
