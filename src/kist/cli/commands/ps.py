"""``kist ps``."""

from kist.cli.listing import FILTER, FORMAT, QUIET, Output, filters
from kist.cli.nouns.container import CONTAINER, ID_NEEDS, TABLE_NEEDS
from kist.cli.option import Command, Option
from kist.cli.values import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table, the ids, or what a format makes of each container."""
    output = Output(context, CONTAINER, arguments)
    limit = 1 if arguments.flag("latest") else max(0, arguments.get("last", 0))
    sized = arguments.flag("size")
    query = [
        ("all", 1 if arguments.flag("all") or limit else None),
        ("limit", limit or None),
        ("fields", ID_NEEDS if output.quiet else TABLE_NEEDS if output.plain else None),
        ("size", 1 if sized or output.needs("Size") else None),
        ("filters", filters(arguments.all("filter"))),
    ]
    found = context.wire.call("GET", "/containers/json", query)
    output.show(found, (*CONTAINER.columns, "Size") if sized else ())
    return 0


COMMAND = Command(
    "ps",
    run,
    options=(
        Option("-a --all", "All containers, not only those that run"),
        FILTER,
        FORMAT,
        Option("-n --last", "The last NUMBER created, running or not", "NUMBER", parse=whole(-1, "a number")),
        Option("-l --latest", "The last one created, running or not"),
        Option("--no-trunc", "Whole ids and commands"),
        QUIET,
        Option("-s --size", "How much each has written, and how large it is with its image"),
    ),
    examples=(
        "kist ps -a --filter status=exited --filter label=stage=test",
        "kist ps --format 'table {{.Names}}\\t{{.Image}}\\t{{.Status}}'",
        "kist ps --format json",
    ),
)
