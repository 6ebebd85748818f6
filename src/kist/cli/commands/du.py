"""``kist builder du``."""

from kist.cli.listing import FORMAT, Output, View, a_filter, filters
from kist.cli.nouns.space import CACHE_SPACE
from kist.cli.option import REPEAT, Command, Option
from kist.cli.table import one_line
from kist.cli.units import ago, epoch, size
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.listing import Row
    from kist.cli.option import Arguments

_PRETTY = "pretty"


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the entries, and what would come back without them."""
    is_pretty = arguments.flag("verbose") or arguments.text("format") == _PRETTY
    if arguments.flag("verbose") and arguments.text("format"):
        raise InvalidInput("--format and --verbose cannot be used together", hint="--verbose is --format pretty")
    output = None if is_pretty else Output(context, CACHE_SPACE, arguments)
    chosen = filters(arguments.all("filter"))
    query: list[tuple[str, str | int | None]] = [("type", "build-cache"), ("filters", chosen)]
    found = context.wire.call("GET", "/system/df", query)
    entries = found["BuildCache"] or []
    if output is None:
        view = View(whole_text=True)
        context.write_text("".join(_pretty(entry, view) for entry in entries))
    else:
        output.show(entries)
    if chosen is None and (output is None or output.plain):
        shared = sum(1 for entry in entries if entry["Shared"])
        line_end = "" if is_pretty else "\n"
        context.say(
            f"{line_end}{len(entries)} entries, {shared} of them with a layer that an image has too\n"
            f"{size(found['BuildCacheUsage']['TotalSize'])} that only the build cache keeps"
        )
    return 0


def _pretty(entry: "Row", view: "View") -> str:
    """All that is known of an entry, a line each."""
    lines = {
        "ID": entry["ID"],
        "Description": one_line(entry.get("Description") or ""),
        "Type": entry["Type"],
        "Shared": str(entry["Shared"]).lower(),
        "Size": size(entry["Size"]),
        "Last used": ago(view.now - epoch(entry["LastUsedAt"])),
    }
    return "".join(f"{name + ':':<14}{value}\n" for name, value in lines.items()) + "\n"


COMMAND = Command(
    "builder du",
    run,
    options=(
        FORMAT,
        Option("--no-trunc", "Whole ids and descriptions"),
        Option("-v --verbose", "Everything of each entry, as --format pretty"),
        Option(
            "--filter", "Only what fits: until=, type=, description=, shared=, private=, id= (as of builder prune)",
            "NAME=VALUE", kind=REPEAT, parse=a_filter,
        ),
    ),
    about="An entry is what a step has made: it keeps its layer, which images may have too. SIZE is the layer's on the "
    "disk; what several entries keep, each tells. DESCRIPTION is the instruction.",
    examples=(
        "kist builder du",
        "kist builder du --filter type=exec.cachemount",
        "kist builder du --format '{{.ID}} {{.Size}}'",
    ),
)  # fmt: skip
