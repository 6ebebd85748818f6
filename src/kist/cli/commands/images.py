"""``kist images``."""

from kist.cli.listing import FILTER, FORMAT, QUIET, Output, filters
from kist.cli.nouns.image import IMAGE, WITH_DIGESTS, rows
from kist.cli.option import Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table, the ids, or what a format makes of each name."""
    output = Output(context, IMAGE, arguments)
    digests = arguments.flag("digests")
    wanted = arguments.operands[0] if arguments.operands else ""
    query = [
        ("all", 1 if arguments.flag("all") else None),
        ("digests", 1 if digests else None),
        ("filters", filters(arguments.all("filter"))),
    ]
    found = context.wire.call("GET", "/images/json", query)
    named = (row for image in found for row in rows(image, digests=digests or output.needs("Digest")))
    chosen = [row for row in named if matches(wanted, row["repository"], row["tag"])]
    output.show(chosen, WITH_DIGESTS if digests else ())
    return 0


def matches(wanted: str, name: str, tag: str) -> bool:
    """Whether ``REPOSITORY[:TAG]`` (``*`` stands for anything in either) means this image."""
    if not wanted:
        return True
    from fnmatch import fnmatchcase  # noqa: PLC0415 - only for an operand

    pattern, colon, pattern_tag = wanted.rpartition(":")
    if not colon or "/" in pattern_tag:
        pattern, pattern_tag = wanted, "*"
    return fnmatchcase(name, pattern) and fnmatchcase(tag, pattern_tag)


COMMAND = Command(
    "images",
    run,
    "[REPOSITORY[:TAG]]",
    most=1,
    options=(
        Option("-a --all", "Images that are parts of others too"),
        Option("--digests", "The digests of manifests too"),
        FILTER,
        FORMAT,
        Option("--no-trunc", "Whole ids"),
        QUIET,
    ),
    examples=("kist images --filter dangling=true -q", "kist images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"),
)
