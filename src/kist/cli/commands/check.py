"""``kist system check``."""

from kist.cli.option import Command, Option
from kist.spec.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print what is not as it should be; 1 when something of it is left."""
    query = [(name, int(arguments.flag(name))) for name in ("repair", "verify")]
    found = context.wire.call("POST", "/kist/check", query)
    left = sum(not problem["mended"] for problem in found["problems"])
    if arguments.flag("json"):
        context.say(dumps(found))
        return 1 if left else 0
    for problem in found["problems"]:
        context.say(f"{problem['kind']} {problem['subject']}: {problem['message']}")
        if problem["mended"]:
            context.say(f"  mended: {problem['mended']}")
        elif problem["hint"]:
            context.say(f"  {problem['hint']}")
    counts = ", ".join(f"{count} {_plural(kind, count)}" for kind, count in sorted(found["looked_at"].items()))
    context.note(f"looked at {counts}" + ("" if found["problems"] else ": all is in order"))
    if left and not arguments.flag("repair"):
        context.note(f"{left} found; `kist system check --repair` mends what can be mended")
    elif left:
        context.note(f"{left} left")
    return 1 if left else 0


def _plural(kind: str, count: int) -> str:
    if count == 1 or kind.endswith("rules"):
        return kind
    return kind[:-1] + "ies" if kind.endswith("y") else kind + ("es" if kind.endswith("s") else "s")


COMMAND = Command(
    "system check",
    run,
    options=(
        Option("--repair", "Mend what can be mended without losing anything"),
        Option("--verify", "Read every blob, and compare it with its digest (slow)"),
        Option("--json", "Print the outcome as JSON"),
    ),
    about="Compares the records with what is on disk and in the kernel: directories, snapshots, blobs, control groups, "
    "interfaces, packet rules, addresses, mounts, processes and files that were left half made.",
)
