"""``kist save``."""

import os

from kist.cli.context import write_all
from kist.cli.option import Command, Option
from kist.cli.usage import UsageError
from kist.client.part import PartFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Write the archive to a file, which appears when it is whole, or to standard output."""
    path = arguments.text("output")
    if not path and os.isatty(1):
        raise UsageError("an archive is not written to a terminal: use -o FILE or redirect the output")
    response = context.wire.request("GET", "/images/get", [("names", name) for name in arguments.operands])
    if not path:
        for data in response:
            write_all(1, data)
        return 0
    with PartFile(path) as file:
        for data in response:
            write_all(file.fd, data)
    return 0


COMMAND = Command(
    "save",
    run,
    "IMAGE [IMAGE...]",
    least=1,
    options=(Option("-o --output", "Write to FILE rather than to standard output", "FILE"),),
)
