"""``kist commit``."""

from kist.cli.commands.tag import split_tag
from kist.cli.option import REPEAT, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Make the image and print its id."""
    container, name = (*arguments.operands, "")[:2]
    repository, tag = split_tag(name)
    query = [
        ("container", container),
        ("repo", repository or None),
        ("tag", tag or None),
        ("author", arguments.get("author")),
        ("comment", arguments.get("message")),
        *(("changes", change) for change in arguments.all("change")),
        ("pause", 0 if arguments.flag("no_pause") or not arguments.get("pause", True) else None),
    ]
    context.say(str(context.wire.call("POST", "/commit", query)["Id"]))
    return 0


COMMAND = Command(
    "commit",
    run,
    "CONTAINER [REPOSITORY[:TAG]]",
    least=1,
    most=2,
    options=(
        Option("-a --author", "Who made it, as 'Name <address>'", "AUTHOR"),
        Option("-c --change", "Dockerfile instruction for the image's config", "INSTRUCTION", kind=REPEAT),
        Option("-m --message", "Comment in the image's history", "TEXT"),
        Option("--no-pause", "Do not pause the container meanwhile"),
        Option("-p --pause", "Pause the container meanwhile (--pause=false does not)"),
    ),
    about="What is mounted in the container (binds, volumes, tmpfs) is not in the image.",
)
