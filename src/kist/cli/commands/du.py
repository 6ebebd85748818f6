"""``kist builder du``."""

from kist.cli.listing import FORMAT, Output
from kist.cli.nouns.space import CACHE_SPACE
from kist.cli.option import Command
from kist.cli.units import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the entries, and what would come back without them."""
    output = Output(context, CACHE_SPACE, arguments)
    found = context.wire.call("GET", "/system/df", [("type", "build-cache")])
    entries = found["BuildCache"] or []
    output.show(entries)
    if output.plain:
        shared = sum(1 for entry in entries if entry["Shared"])
        context.say(
            f"\n{len(entries)} entries, {shared} of them with a layer that an image has too\n"
            f"{size(found['BuildCacheUsage']['TotalSize'])} that only the build cache keeps"
        )
    return 0


COMMAND = Command(
    "builder du",
    run,
    options=(FORMAT,),
    about="An entry is what a step has made: it keeps its layer, which images may have too. SIZE is the layer's on the "
    "disk; what several entries keep, each tells.",
    examples=("kist builder du", "kist builder du --format '{{.ID}} {{.Size}}'"),
)
