"""``kist import``."""

import os

from kist.cli.commands.load import without_error
from kist.cli.commands.tag import split_tag
from kist.cli.option import REPEAT, Command, Option
from kist.client.upload import body_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the archive and print the image's id."""
    source, name = (*arguments.operands, "")[:2]
    from_web = source.startswith(("http://", "https://"))
    repository, tag = split_tag(name)
    query = [
        ("fromSrc", source if from_web else "-"),
        ("platform", arguments.get("platform")),
        ("repo", repository or None),
        ("tag", tag or None),
        ("message", arguments.get("message")),
        *(("changes", change) for change in arguments.all("change")),
    ]
    if from_web:
        response = context.wire.request("POST", "/images/create", query)
    else:
        fd = 0 if source == "-" else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        tar = [("Content-Type", "application/x-tar")]
        response = context.wire.request("POST", "/images/create", query, body=body_of(fd), headers=tar)
    for line in without_error(context.wire.lines(response)):
        if text := line.get("status"):
            context.say(text)
    return 0


COMMAND = Command(
    "import",
    run,
    "FILE|URL|- [REPOSITORY[:TAG]]",
    least=1,
    most=2,
    options=(
        Option("-c --change", "Dockerfile instruction for the image's config", "INSTRUCTION", kind=REPEAT),
        Option("-m --message", "Comment in the image's history", "TEXT"),
        Option("--platform", "What its programs run on, if not this machine: linux/arm64", "PLATFORM"),
    ),
)
