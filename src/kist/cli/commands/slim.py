"""``kist slim --why``."""

from kist.cli import values
from kist.cli.common import image_path
from kist.cli.nouns.insight import step_text
from kist.cli.option import Command, Option
from kist.cli.table import one_line, shorten
from kist.cli.units import size
from kist.errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_BAR = 20


def run(context: "Context", arguments: "Arguments") -> int:
    """Print what takes the space, the largest first."""
    if not arguments.flag("why"):
        raise InvalidInput(
            "kist slim tells what takes the space in an image, and makes no other image of it",
            hint=f"say kist slim --why {arguments.operands[0]}",
        )
    query = [("most", arguments.get("most", 10))]
    found = context.wire.call("GET", f"/kist{image_path(arguments.operands[0], 'slim')}", query)
    if arguments.text("format") == "json":
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - for this form only

        context.say(dumps(found))
        return 0
    _tell(context, found)
    return 0


def _tell(context: "Context", found: "dict[str, Any]") -> None:
    bold, off = ("\x1b[1m", "\x1b[0m") if context.colour(1) else ("", "")
    whole, width = max(1, found["size"]), max(40, context.width())
    name = ", ".join(found["image"]["names"]) or found["image"]["id"][7:19]
    hidden = f", {size(found['hidden_size'])} of them hidden" if found["hidden_size"] else ""
    context.say(f"{bold}{name}{off}: {size(found['size'])} in {len(found['layers'])} layers{hidden}")

    def part(heading: str, rows: "Iterable[tuple[int, str, str]]") -> None:
        lines = [*rows]
        if not lines:
            return
        context.say(f"\n{bold}{heading}{off}")
        for bytes_, text, hint in lines:
            filled = round(_BAR * min(1, bytes_ / whole))
            bar = "█" * filled + "·" * (_BAR - filled)
            context.say(shorten(f"{size(bytes_):>8}  {bar}  {one_line(text)}", width))
            if hint:
                context.say(f"{'':>8}  {'':{_BAR}}  → {hint}")

    part("Layers", ((each["size"], _layer(each), "") for each in found["layers"]))
    part(
        "Directories",
        ((each["size"], f"{each['name']}  ({files(each['count'])})", "") for each in found["directories"]),
    )
    part("Packages", ((each["size"], each["name"], "") for each in found["packages"]))
    part("Can be made again", ((each["size"], f"{each['name']} ({files(each['count'])})", each["hint"])
                               for each in found["caches"]))  # fmt: skip
    part(
        f"Carried and never seen: {size(found['hidden_size'])}",
        ((each["size"], f"{each['path']}  of layer {each['layer']}, replaced or deleted by layer {each['by']}", "")
         for each in found["hidden"]),
    )  # fmt: skip
    part(
        f"The same more than once: {size(found['duplicate_size'])} could be spared",
        ((each["size"] * (len(each["paths"]) - 1), f"{len(each['paths'])} of {size(each['size'])}  {_paths(each)}", "")
         for each in found["duplicates"]),
    )  # fmt: skip


def files(count: int) -> str:
    """How many files."""
    return "1 file" if count == 1 else f"{count} files"


def _layer(weight: "dict[str, Any]") -> str:
    hidden = f"  ({size(weight['hidden'])} hidden by later layers)" if weight["hidden"] else ""
    return f"{weight['step']['number']}: {step_text(weight['step'])}{hidden}"


def _paths(duplicate: "dict[str, Any]") -> str:
    first, *others = duplicate["paths"]
    return f"{first}, {others[0]}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")


COMMAND = Command(
    "slim",
    run,
    "IMAGE",
    least=1,
    most=1,
    options=(
        Option("--why", "Tell what takes the space"),
        Option("--most", "How many of each are told (default: 10)", "NUMBER", parse=values.whole(1, "a number")),
        Option("--format", "text or json (default: text)", "FORM", parse=values.choice("text", "json")),
    ),
    about="By layer, directory and package; what is only a cache, with the way to be without it; files that a later "
    "layer deletes or replaces, whose bytes are carried all the same; and files that are there more than once.",
    examples=("kist slim --why plotter",),
)
