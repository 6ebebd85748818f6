"""``kist rm``."""

from kist.cli.common import container_path, each
from kist.cli.option import Command, Option
from kist.cli.units import size
from kist.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Remove them and print their names."""
    force = arguments.flag("force")
    dry_run = arguments.flag("dry_run")
    flags = {"force": force, "link": arguments.flag("link"), "v": arguments.flag("volumes"), "dry-run": dry_run}
    query = [(name, 1) for name, wanted in flags.items() if wanted]

    def remove(name: str) -> "str | None":
        try:
            gone = context.wire.call("DELETE", container_path(name), query)
        except NotFound as error:
            if not force:
                raise
            context.note(f"kist: {error}")  # as Docker: said, and no failure
            return None
        if dry_run:
            space = size(gone["DiskSize"])
            return f"Would remove container {gone['Name'].removeprefix('/')} ({gone['Id'][:12]}): {space}"
        return name

    return each(context, arguments.operands, remove)


COMMAND = Command(
    "rm",
    run,
    "CONTAINER [CONTAINER...]",
    least=1,
    options=(
        Option("-f --force", "Kill it first when it runs; one that is not there is no error"),
        Option("-l --link", "Remove a link rather than a container", hidden=True),
        Option("-v --volumes", "Remove its anonymous volumes too"),
        Option("--dry-run", "Print what would go, and how much space that would give back"),
    ),
)
