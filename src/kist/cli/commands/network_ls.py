"""``kist network ls``."""

from kist.cli.listing import FILTER, FORMAT, QUIET, Output, filters
from kist.cli.nouns.network import NETWORK
from kist.cli.option import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table, the ids, or what a format makes of each."""
    output = Output(context, NETWORK, arguments)
    found = context.wire.call("GET", "/networks", [("filters", filters(arguments.all("filter")))])
    output.show(found)
    return 0


COMMAND = Command(
    "network ls",
    run,
    options=(FILTER, FORMAT, Option("--no-trunc", "Whole ids"), QUIET),
    examples=(
        "kist network ls --filter type=custom",
        "kist network ls --format 'table {{.Name}}\\t{{.Driver}}\\t{{.Subnets}}'",
    ),
)
