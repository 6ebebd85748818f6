"""``kist image referrers``."""

import os

from kist.cli.common import image_path
from kist.cli.listing import FORMAT, QUIET, Output
from kist.cli.nouns.insight import REFERRER
from kist.cli.option import Command, Option
from kist.cli.output_file import write_document
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """List what is attached to an image, or show or detach one of it."""
    name, *digests = arguments.operands
    base = f"/kist{image_path(name, 'referrers')}"
    if arguments.flag("rm"):
        if not digests:
            raise InvalidInput("--rm needs the digest of what is to go", hint=f"kist image referrers {name} lists them")
        context.say(context.wire.call("DELETE", f"{base}/{_digest(digests[0])}")["digest"])
        return 0
    if digests:
        document = context.wire.request("GET", f"{base}/{_digest(digests[0])}").read()
        if os.isatty(1) and not arguments.text("output") and b"\x1b" in document:
            raise InvalidInput("it has control characters for a terminal in it", hint="write it to a file with -o FILE")
        write_document(context, document, arguments.text("output"))
        return 0
    Output(context, REFERRER, arguments).show(context.wire.call("GET", base))
    return 0


def _digest(text: str) -> str:
    from kist.client.http1 import quote  # noqa: PLC0415 - for one of these only

    return quote(text).replace("/", "%2F")


COMMAND = Command(
    "image referrers",
    run,
    "IMAGE [DIGEST]",
    least=1,
    most=2,
    options=(
        FORMAT,
        Option("--no-trunc", "Whole digests"),
        Option("-o --output", "Write what DIGEST holds to FILE rather than to standard output", "FILE"),
        QUIET,
        Option("--rm", "Detach what DIGEST names"),
    ),
    about="Bills of materials (kist sbom, kist build --sbom) and provenance (kist build --provenance) are attached to "
    "an image as OCI referrers. With a digest, or the beginning of one, it prints what that one holds.",
    examples=("kist image referrers plotter", "kist image referrers plotter 3f2a -o plotter.spdx.json"),
)
