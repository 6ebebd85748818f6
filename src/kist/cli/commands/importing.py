"""``kist import``."""

import os

from kist.cli.commands.load import without_error
from kist.cli.commands.tag import split_tag
from kist.cli.option import REPEAT, Command, Option
from kist.client.upload import body_of
from kist.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the archive and print the image's id."""
    source, name = (*arguments.operands, "")[:2]
    if source.startswith(("http://", "https://")):
        raise Unsupported("importing from a URL is not supported yet", hint=f"curl -L {source} | kist import - NAME")
    repository, tag = split_tag(name)
    query = [
        ("fromSrc", "-"),
        ("repo", repository or None),
        ("tag", tag or None),
        ("message", arguments.get("message")),
        *(("changes", change) for change in arguments.all("change")),
    ]
    fd = 0 if source == "-" else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    response = context.wire.request(
        "POST", "/images/create", query, body=body_of(fd), headers=[("Content-Type", "application/x-tar")]
    )
    for line in without_error(context.wire.lines(response)):
        if text := line.get("status"):
            context.say(text)
    return 0


COMMAND = Command(
    "import",
    run,
    "FILE|- [REPOSITORY[:TAG]]",
    least=1,
    most=2,
    options=(
        Option("-c --change", "Dockerfile instruction for the image's config", "INSTRUCTION", kind=REPEAT),
        Option("-m --message", "Comment in the image's history", "TEXT"),
    ),
)
