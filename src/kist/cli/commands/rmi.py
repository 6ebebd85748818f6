"""``kist rmi``."""

from kist.cli.common import image_path
from kist.cli.option import Command, Option
from kist.errors import KistError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Remove them and print what went."""
    force = arguments.flag("force")
    code = 0
    for name in arguments.operands:
        try:
            gone = context.wire.call("DELETE", image_path(name), [("force", 1 if force else None)])
        except KistError as error:
            context.fail(error)
            code = code if force and isinstance(error, NotFound) else 1
            continue
        for change in gone or ():
            for word, what in change.items():
                context.say(f"{word}: {what}")
    return code


COMMAND = Command(
    "rmi",
    run,
    "IMAGE [IMAGE...]",
    least=1,
    options=(
        Option("-f --force", "Remove it although containers use it or it has several names"),
        Option("--no-prune", "Accepted, and without effect: no image here has untagged parents", hidden=True),
    ),
)
