"""``kist images``."""

import time

from kist.cli.option import Command, Option
from kist.cli.table import table
from kist.cli.units import ago, size
from kist.cli.unsupported import FILTER, FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments

_NONE = "<none>"


def run(context: "Context", arguments: "Arguments") -> int:
    """Print the table, or the ids."""
    found = context.wire.call("GET", "/images/json", [("all", 1 if arguments.flag("all") else None)])
    wanted = arguments.operands[0] if arguments.operands else ""
    rows = [row for image in found for row in _rows(image) if matches(wanted, row[0], row[1])]
    whole_text = arguments.flag("no_trunc")
    if arguments.flag("quiet"):
        for identity in dict.fromkeys(_id(row[3], whole_text=whole_text) for row in rows):
            context.say(identity)
        return 0
    digests = arguments.flag("digests")
    header = ("REPOSITORY", "TAG", *(("DIGEST",) if digests else ()), "IMAGE ID", "CREATED", "SIZE")
    now = time.time()
    cells = [
        (
            name,
            tag,
            *((digest,) if digests else ()),
            _id(identity, whole_text=whole_text),
            ago(now - created) if created > 0 else "N/A",
            size(count),
        )
        for name, tag, digest, identity, created, count in rows
    ]
    context.say(table(header, cells))
    return 0


def _rows(image: "dict[str, Any]") -> "Iterator[tuple[str, str, str, str, int, int]]":
    rest = (image["Id"], int(image["Created"]), int(image["Size"]))
    digests = dict(text.partition("@")[::2] for text in image.get("RepoDigests") or ())
    for reference in image.get("RepoTags") or (f"{_NONE}:{_NONE}",):
        name, _, tag = reference.rpartition(":")
        yield name, tag, digests.get(name, _NONE), *rest


def matches(wanted: str, name: str, tag: str) -> bool:
    """Whether ``REPOSITORY[:TAG]`` (``*`` stands for anything in either) means this image."""
    if not wanted:
        return True
    from fnmatch import fnmatchcase  # noqa: PLC0415 - only for an operand

    pattern, colon, pattern_tag = wanted.rpartition(":")
    if not colon or "/" in pattern_tag:
        pattern, pattern_tag = wanted, "*"
    return fnmatchcase(name, pattern) and fnmatchcase(tag, pattern_tag)


def _id(identity: str, *, whole_text: bool) -> str:
    return identity if whole_text else identity.removeprefix("sha256:")[:12]


COMMAND = Command(
    "images",
    run,
    "[REPOSITORY[:TAG]]",
    most=1,
    options=(
        Option("-a --all", "Images that are parts of others too"),
        Option("-q --quiet", "Ids only"),
        Option("--no-trunc", "Whole ids"),
        Option("--digests", "The digests of manifests too"),
        FILTER,
        FORMAT,
    ),
)
