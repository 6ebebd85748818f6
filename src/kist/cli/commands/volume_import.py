"""``kist volume import``."""

import os

from kist.cli.common import volume_path
from kist.cli.option import Command
from kist.client.upload import body_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the archive."""
    name, source = arguments.operands
    context.wire.call("GET", volume_path(name))  # ahead of the archive, which may be large
    fd = 0 if source == "-" else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    tar = [("Content-Type", "application/x-tar")]
    path = "/kist" + volume_path(name, "import")
    context.wire.request("POST", path, body=body_of(fd), headers=tar).read()
    return 0


COMMAND = Command(
    "volume import",
    run,
    "VOLUME FILE|-",
    least=2,
    most=2,
    about="The archive may be compressed. It is put to what is in the volume; files of the same names are replaced.",
    examples=("kist volume create store && kist volume import store store.tar",),
)
