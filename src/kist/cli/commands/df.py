"""``kist system df``."""

from kist.cli.listing import FORMAT, Output
from kist.cli.nouns.image import rows
from kist.cli.nouns.space import CACHE_SPACE, CONTAINER_SPACE, IMAGE_SPACE, KIND, VOLUME_SPACE, kinds
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
    return 0


def _details(context: "Context", arguments: "Arguments", found: "dict[str, Any]") -> None:
    images = [row for image in found["Images"] for row in rows(image, digests=False)]
    for heading, noun, shown in (
        ("Images space usage:", IMAGE_SPACE, images),
        ("Containers space usage:", CONTAINER_SPACE, found["Containers"]),
        ("Local Volumes space usage:", VOLUME_SPACE, found["Volumes"]),
        (f"Build cache usage: {size(found['BuilderSize'])}", CACHE_SPACE, found["BuildCache"]),
    ):
        context.write_text(("\n" if noun is not IMAGE_SPACE else "") + heading + "\n\n")
        Output(context, noun, arguments).show(shown)


COMMAND = Command(
    "system df",
    run,
    options=(FORMAT, Option("-v --verbose", "Every image, container, volume and entry of the build cache")),
    about=(
        "Images: their layers, each counted once, unpacked and as blobs. Containers: what they have written, and their "
        "logs. Build cache: what no image has. The totals add up to what is under the data root, but for the database."
    ),
)
