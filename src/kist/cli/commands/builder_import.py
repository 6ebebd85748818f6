"""``kist builder import``."""

import os

from kist.cli.option import Command
from kist.client.upload import body_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the archive."""
    name, source = arguments.operands
    fd = 0 if source == "-" else os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    tar = [("Content-Type", "application/x-tar")]
    context.wire.request("POST", "/kist/build/cache/import", [("id", name)], body=body_of(fd), headers=tar).read()
    return 0


COMMAND = Command(
    "builder import",
    run,
    "ID FILE|-",
    least=2,
    most=2,
    about="The archive may be compressed. It is put to what is in the cache, which is made where there is none; files "
    "of the same names are replaced.",
    examples=("kist builder import /root/.cache/pip pip.tar",),
)
