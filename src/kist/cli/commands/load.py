"""``kist load``."""

import os

from kist.cli.option import Command, Option
from kist.cli.usage import UsageError
from kist.client.upload import body_of
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the archive and print what was loaded."""
    path = arguments.text("input")
    if not path and os.isatty(0):
        raise UsageError("no archive: use -i FILE or redirect the input")
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else 0
    response = context.wire.request(
        "POST",
        "/images/load",
        [("quiet", 1), ("platform", arguments.get("platform"))],
        body=body_of(fd),
        headers=[("Content-Type", "application/x-tar")],
    )
    for line in without_error(context.wire.lines(response)):
        if text := line.get("stream"):
            context.say(text.rstrip("\n"))
    return 0


def without_error(lines: "Iterator[dict[str, Any]]") -> "Iterator[dict[str, Any]]":
    """The lines of one of Docker's progress streams.

    Raises:
        KistError: a line tells of an error.
    """
    for line in lines:
        if "error" in line:
            raise KistError(str(line["error"]))
        yield line


COMMAND = Command(
    "load",
    run,
    options=(
        Option("-i --input", "Read from FILE rather than from standard input", "FILE"),
        Option("--platform", "Of an image for several platforms, the one for this: linux/arm64", "PLATFORM"),
        Option("-q --quiet", "Say nothing of the progress"),
    ),
)
