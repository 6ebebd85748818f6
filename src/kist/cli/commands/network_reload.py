"""``kist network reload``."""

from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Have the packet rules made again, and print the names of the containers whose rules they are."""
    query = [("container", name) for name in arguments.operands]
    for name in context.wire.call("POST", "/kist/networks/reload", query):
        context.say(name)
    return 0


COMMAND = Command(
    "network reload",
    run,
    "[CONTAINER...]",
    examples=("nft flush ruleset && kist network reload",),
    about="Makes again what a firewall's reload has taken away: bridges and packet rules of all networks, and the "
    "rules of published ports, of the containers that are named, else of all that run. It looks anew at who carries "
    "published ports (`kist info`), so it is to be called after the host's firewall was switched on or off.",
)
