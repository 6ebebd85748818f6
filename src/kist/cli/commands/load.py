"""``kist load``."""

import os
import time

from kist.cli.option import REPEAT, Command, Option
from kist.cli.usage import UsageError
from kist.client.jobs import TAR
from kist.client.upload import body_of
from kist.errors import KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments
    from kist.client.transport import FileBody


def run(context: "Context", arguments: "Arguments") -> int:
    """Send the archive and print what was loaded."""
    path = arguments.text("input")
    if not path and os.isatty(0):
        raise UsageError("no archive: use -i FILE or redirect the input")
    body = body_of(os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else 0)
    platforms = [("platform", each) for each in arguments.all("platform")]
    if os.isatty(2) and not arguments.flag("quiet"):
        return _show(context, body, platforms)
    response = context.wire.request("POST", "/images/load", [("quiet", "1"), *platforms], body=body, headers=[TAR])
    for line in without_error(context.wire.lines(response)):
        if text := line.get("stream"):
            context.say(text.rstrip("\n"))
    return 0


def _show(context: "Context", body: "FileBody | Iterator[bytes]", platforms: "list[tuple[str, str]]") -> int:
    """The same with a view of how far the layers are, on a terminal."""
    from kist.cli.progress import reporter  # noqa: PLC0415 - --help needs none of it

    loaded: list[str] = []
    response = context.wire.request("POST", "/images/load", [("quiet", "0"), *platforms], body=body, headers=[TAR])
    with reporter(context, "auto") as show:
        for event in _events(without_error(context.wire.lines(response)), loaded):
            show(event)
    for line in loaded:
        context.say(line)
    return 0


def _events(lines: "Iterable[dict[str, Any]]", loaded: list[str]) -> "Iterator[dict[str, Any]]":
    """Docker's lines about layers, which come one after the other, as steps; what was loaded is added to ``loaded``."""
    step, began = "", 0.0
    for line in lines:
        if text := line.get("stream"):
            loaded.append(text.rstrip("\n"))
        elif detail := line.get("progressDetail"):
            if line["id"] != step:
                yield from _end(step, began)
                step, began = line["id"], time.monotonic()
                yield {"type": "step-started", "id": step, "title": f"layer {step}", "number": 0, "total": 0}
            amount = {"done": detail["current"], "total": detail["total"], "unit": "bytes"}
            yield {"type": "step-progress", "id": step, **amount}
    yield from _end(step, began)


def _end(step: str, began: float) -> "Iterator[dict[str, Any]]":
    if step:
        yield {"type": "step-finished", "id": step, "seconds": time.monotonic() - began, **_WHOLE}


_WHOLE = {"cached": False, "error": "", "result": "", "container": "", "base": False}


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
        Option(
            "--platform",
            "Of an image for several platforms, the one for this alone: linux/arm64",
            "PLATFORM",
            kind=REPEAT,
        ),
        Option("-q --quiet", "Say nothing of the progress"),
    ),
)
