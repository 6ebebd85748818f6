"""``kist system df``."""

from kist.cli.listing import FORMAT, Output
from kist.cli.nouns.image import rows
from kist.cli.nouns.space import CACHE_SPACE, CONTAINER_SPACE, IMAGE_SPACE, KIND, OTHER_SPACE, VOLUME_SPACE, kinds
from kist.cli.option import Command, Option
from kist.cli.units import size
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the totals, or with -v every object."""
    if arguments.flag("verbose") and arguments.text("format"):
        raise InvalidInput("--format is for the totals and cannot be used with --verbose")
    output = Output(context, KIND, arguments)
    found = context.wire.call("GET", "/system/df")
    if arguments.flag("verbose"):
        _details(context, arguments, found)
    else:
        output.show(kinds(found))
    if output.plain:
        context.say(f"\n{size(found['TotalSize'])} in {found['DataRoot']}")
    return 0


def _details(context: "Context", arguments: "Arguments", found: "dict[str, Any]") -> None:
    images = [row for image in found["Images"] for row in rows(image, digests=False)]
    totals = {row["Type"]: size(row["TotalSize"]) for row in kinds(found)}
    for heading, noun, shown in (
        (f"Images space usage: {totals['Images']}", IMAGE_SPACE, images),
        (f"Containers space usage: {totals['Containers']}", CONTAINER_SPACE, found["Containers"]),
        (f"Local Volumes space usage: {totals['Local Volumes']}", VOLUME_SPACE, found["Volumes"]),
        (f"Build cache usage: {totals['Build Cache']}", CACHE_SPACE, found["BuildCache"]),
        ("Besides:", OTHER_SPACE, found["OtherUsage"]),
    ):
        context.write_text(("\n" if noun is not IMAGE_SPACE else "") + heading + "\n\n")
        Output(context, noun, arguments).show(shown)


COMMAND = Command(
    "system df",
    run,
    options=(FORMAT, Option("-v --verbose", "Every image, container, volume and entry of the build cache")),
    about=(
        "Sizes are those on the disk, in blocks, as du counts them, and every file is in one line: they add up to "
        "what du finds under the data root. Images: their layers, each counted once, unpacked and as blobs. "
        "Containers: what they have written, and their logs. Build cache: what no image has. Leftovers: what is being "
        "made just now, or is needed by nobody any more."
    ),
)
