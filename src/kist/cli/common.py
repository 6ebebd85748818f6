"""What several verbs share."""

import os

from kist.client.http1 import quote
from kist.errors import InvalidInput, KistError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def working_directory() -> str:
    """What relative paths are relative to; empty where it has been removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def container_path(name: str, rest: str = "") -> str:
    """``/containers/NAME/rest``."""
    return f"/containers/{quote_name(name)}{'/' + rest if rest else ''}"


def image_path(name: str, rest: str = "") -> str:
    """``/images/NAME/rest``; a name has slashes and colons, which stay as they are."""
    return f"/images/{quote(name)}{'/' + rest if rest else ''}"


def network_path(name: str, rest: str = "") -> str:
    """``/networks/NAME/rest``."""
    return f"/networks/{quote_name(name, 'network name')}{'/' + rest if rest else ''}"


def volume_path(name: str, rest: str = "") -> str:
    """``/volumes/NAME/rest``."""
    return f"/volumes/{quote_name(name, 'volume name')}{'/' + rest if rest else ''}"


def quote_name(name: str, what: str = "container name or ID") -> str:
    """A name as one segment of a path.

    Raises:
        InvalidInput: it is empty.
    """
    if not name:
        raise InvalidInput(f"invalid {what}: value is empty", hint="is a variable of the shell unset?")
    return quote(name).replace("/", "%2F")


def each(context: "Context", names: "Iterable[str]", act: "Callable[[str], str | None]") -> int:
    """Do ``act`` with every name and print what it gives; errors are shown and the rest is still done."""
    code = 0
    for name in names:
        try:
            printed = act(name)
        except KistError as error:
            context.fail(error)
            code = 1
        else:
            if printed is not None:
                context.say(printed)
    return code


def tell_each(
    context: "Context", arguments: "Arguments", verb: str, query: "Sequence[tuple[str, str | int | None]]" = ()
) -> int:
    """``POST /containers/NAME/verb`` for every operand, and print their names."""

    def tell(name: str) -> str:
        context.wire.call("POST", container_path(name, verb), query)
        return name

    return each(context, arguments.operands, tell)


def inspect_container(context: "Context", name: str) -> "dict[str, Any]":
    """The engine's description of a container."""
    found = context.wire.call("GET", container_path(name, "json"))
    assert isinstance(found, dict)
    return found
