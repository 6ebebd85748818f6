"""``kist tree``."""

from kist.cli import values
from kist.cli.option import Command, Option
from kist.cli.table import table
from kist.cli.units import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the images, each below the one that it stands on."""
    found = context.wire.call("GET", "/kist/tree")
    if arguments.text("format") == "json":
        from kist.spec.jsontext import dumps  # noqa: PLC0415 - for this form only

        context.say(dumps(found))
        return 0
    rows = [
        [branch + ", ".join(kin["image"]["names"] or ["<none>"]), kin["image"]["id"].removeprefix("sha256:")[:12],
         _layers(kin), size(kin["own"]), size(kin["size"] - kin["own"]) if kin.get("parent") else "", size(kin["size"])]
        for branch, kin in _branches(found["images"])
    ]  # fmt: skip
    context.say(table(("IMAGE", "IMAGE ID", "LAYERS", "OWN", "SHARED", "SIZE"), rows))
    context.say(
        f"\n{len(rows)} image{'' if len(rows) == 1 else 's'}, {size(found['size'])} of layers, each counted once"
    )
    return 0


def _layers(kin: "dict[str, Any]") -> str:
    return f"+{kin['layers']}" if kin.get("parent") else str(kin["layers"])


def _branches(images: "list[dict[str, Any]]") -> "list[tuple[str, dict[str, Any]]]":
    """Each image with the lines that stand before it; parents come before their children."""
    children: dict[str, list[str]] = {}
    for kin in images:
        children.setdefault(kin.get("parent", ""), []).append(kin["image"]["id"])
    lines: dict[str, tuple[str, str]] = {}  # what stands before an image, and before those that stand on it
    found = []
    for kin in images:
        parent = kin.get("parent", "")
        identity = kin["image"]["id"]
        before = lines[parent][1] if parent else ""
        last = children[parent][-1] == identity
        mark, rest = ("", "") if not parent else ("└─ ", "   ") if last else ("├─ ", "│  ")
        lines[identity] = before + mark, before + rest
        found.append((before + mark, kin))
    return found


COMMAND = Command(
    "tree",
    run,
    options=(Option("--format", "text or json (default: text)", "FORM", parse=values.choice("text", "json")),),
    about="Every image stands below the one whose layers its own begin with. OWN is what it adds, SHARED what it has "
    "from there.",
)
