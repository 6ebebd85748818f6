"""``kist tag``."""

from kist.cli.common import image_path
from kist.cli.option import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Add the name."""
    source, target = arguments.operands
    repository, tag = split_tag(target)
    context.wire.call("POST", image_path(source, "tag"), [("repo", repository), ("tag", tag or None)])
    return 0


def split_tag(name: str) -> "tuple[str, str]":
    """Repository and tag of a name; the tag is empty where it has none."""
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "")


COMMAND = Command("tag", run, "IMAGE NEW_NAME[:TAG]", least=2, most=2)
