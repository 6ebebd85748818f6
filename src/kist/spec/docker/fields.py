"""What every reader of a JSON body needs: typed fields, and no field ignored that would change behaviour."""

from collections.abc import Iterable, Mapping
from typing import Any

from kist.errors import InvalidInput, Unsupported

_LARGEST_SIDE = 0xFFFF
_ZERO: tuple[Any, ...] = (None, False, 0, "", [], {}, ())


def text(body: Mapping[str, Any], name: str) -> str:
    """A string field; missing and null give the empty string."""
    return _typed(body, name, str, "a string") or ""


_LARGEST = (1 << 63) - 1


def number(body: Mapping[str, Any], name: str) -> int:
    """An integer field; missing and null give 0."""
    value = body.get(name)
    if isinstance(value, bool):
        raise InvalidInput(f"invalid JSON: {name} must be an integer, not a boolean")
    found = _typed(body, name, int, "an integer") or 0
    if not -_LARGEST - 1 <= found <= _LARGEST:
        raise InvalidInput(f"invalid JSON: {name} must be an integer of 64 bits")
    return found


def flag(body: Mapping[str, Any], name: str) -> bool:
    """A boolean field; missing and null give False."""
    return bool(_typed(body, name, bool, "a boolean"))


def table(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object field; missing and null give an empty one."""
    return _typed(body, name, dict, "an object") or {}


def items(body: Mapping[str, Any], name: str) -> list[Any]:
    """An array field; missing and null give an empty one."""
    return _typed(body, name, list, "an array") or []


def object_of(value: Any, name: str) -> dict[str, Any]:
    """An element of an array of objects."""
    if not isinstance(value, dict):
        raise InvalidInput(f"invalid JSON: {name} must hold objects only, not {_kind_of(value)}")
    return value


def texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """An array of strings; missing and null give an empty one."""
    return strings(items(body, name), name)


def strings(values: Iterable[Any], name: str) -> tuple[str, ...]:
    """The values, each of them checked to be a string."""
    found = tuple(values)
    if not all(isinstance(value, str) for value in found):
        raise InvalidInput(f"invalid JSON: {name} must hold strings only")
    return found


def text_table(body: Mapping[str, Any], name: str) -> dict[str, str]:
    """An object whose values are strings."""
    found = table(body, name)
    strings(found.values(), name)
    return found


def command(body: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """A command: an array of strings, or one string that is a command of one word; None where it is missing or null."""
    value = body.get(name)
    if value is None:
        return None
    return (value,) if isinstance(value, str) else texts(body, name)


def _typed(body: Mapping[str, Any], name: str, kind: type, words: str) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise InvalidInput(f"invalid JSON: {name} must be {words}, not {_kind_of(value)}")
    return value


def _kind_of(value: Any) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), "null")


def console_size(body: Mapping[str, Any]) -> tuple[int, int]:
    """``ConsoleSize`` as (height, width); (0, 0), which is how clients write that they do not know it, for none."""
    size = items(body, "ConsoleSize")
    if not size:
        return 0, 0
    if len(size) != 2 or not all(type(part) is int and 0 <= part <= _LARGEST_SIDE for part in size):
        raise InvalidInput("invalid JSON: ConsoleSize must be [height, width]")
    return size[0], size[1]


def is_empty(value: Any) -> bool:
    """Whether an object holds nothing but what Go's JSON gives for fields that nobody set."""
    return all(part in _ZERO for part in value.values()) if isinstance(value, dict) else value in _ZERO


def refuse_unknown(
    body: Mapping[str, Any], known: frozenset[str], harmless: Mapping[str, tuple[Any, ...]], where: str = ""
) -> None:
    """Raise for the first field that is set, that Kist does not do, and that would change what happens.

    Args:
        body: the object that the client sent.
        known: fields that the reader reads, or that have no effect here whatever they hold.
        harmless: values of other fields that ask for nothing but the default (besides Go's zero values).
        where: how the object is called in the message.

    Raises:
        Unsupported: names the field and its value.
    """
    for name, value in body.items():
        if name in known or value in _ZERO or value in harmless.get(name, ()):
            continue
        shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
        raise Unsupported(
            f"{where}{name} is not supported yet (it was {shown})",
            hint=f"leave {name} out of the request; docs/reference/api.md lists what works",
        )
