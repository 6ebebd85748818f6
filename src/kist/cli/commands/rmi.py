"""``kist rmi``."""

from kist.cli.common import image_path
from kist.cli.option import REPEAT, Command, Option
from kist.cli.units import size
from kist.errors import KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


_WOULD = {"Untagged": "Would untag", "Deleted": "Would delete"}


def run(context: "Context", arguments: "Arguments") -> int:
    """Remove them and print what went."""
    force = arguments.flag("force")
    dry_run = arguments.flag("dry_run")
    query = [
        ("force", 1 if force else None),
        ("noprune", 1 if arguments.flag("no_prune") else None),
        *(("platforms", platform) for platform in arguments.all("platform")),
        ("dry-run", 1 if dry_run else None),
    ]
    code = 0
    for name in arguments.operands:
        try:
            gone = context.wire.call("DELETE", image_path(name), query)
        except KistError as error:
            context.fail(error)
            code = code if force and isinstance(error, NotFound) else 1
            continue
        for word, what in (pair for change in gone or () for pair in change.items()):
            if word == "SpaceReclaimed":
                context.say(f"Space that would be reclaimed: {size(what)}")
            else:
                context.say(f"{_WOULD[word] if dry_run else word}: {what}")
    return code


COMMAND = Command(
    "rmi",
    run,
    "IMAGE [IMAGE...]",
    least=1,
    options=(
        Option("-f --force", "Remove it although containers use it or it has several names"),
        Option("--no-prune", "Leave untagged parents alone (an image is one thing here and has none)"),
        Option("--platform", "Only if it is for this platform", "PLATFORM", kind=REPEAT),
        Option("--dry-run", "Print what would go, and how much space that would give back"),
    ),
)
