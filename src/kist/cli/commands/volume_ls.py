"""``kist volume ls``."""

from kist.cli.listing import FILTER, FORMAT, Output, filters
from kist.cli.nouns.volume import VOLUME
from kist.cli.option import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table, the names, or what a format makes of each."""
    output = Output(context, VOLUME, arguments)
    found = context.wire.call("GET", "/volumes", [("filters", filters(arguments.all("filter")))])
    output.show(found["Volumes"] or ())
    return 0


COMMAND = Command(
    "volume ls",
    run,
    options=(FILTER, FORMAT, Option("-q --quiet", "Names only")),
    examples=("kist volume ls --filter dangling=true -q", "kist volume ls --filter label=project=survey"),
)
