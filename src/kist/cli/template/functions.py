"""The functions that templates may call: Go's, and Docker's (join, json, lower, pad, split, title, truncate, upper).

``and`` and ``or`` are the evaluator's: they leave alone what they need not look at.
"""

from kist.cli.template.printf import sprintf
from kist.cli.template.values import NO_VALUE, GoError, Record, Struct, field, is_true, kind, show, to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LONGEST = 10_000  # of padding: more is a mistake


def _text(value: "Any") -> str:
    if not isinstance(value, str):
        raise GoError(f"expected a string, not {kind(value)}")
    return value


def _whole(value: "Any") -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise GoError(f"expected a whole number, not {kind(value)}")
    return value


def _is_number(value: "Any") -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _join(values: "Any", separator: "Any") -> str:
    if not isinstance(values, list):
        raise GoError(f"expected a list of strings, not {kind(values)}")
    return _text(separator).join(_text(value) for value in values)


def _split(text: "Any", separator: "Any") -> "list[str]":
    return _text(text).split(_text(separator)) if separator else list(_text(text))


def _title(text: "Any") -> str:
    """Every word's first letter in capitals, the others as they are."""
    made, inside = [], False
    for character in _text(text):
        made.append(character if inside else character.title())
        inside = character.isalnum() or character in "_'"
    return "".join(made)


def _pad(text: "Any", before: "Any", after: "Any") -> str:
    counts = (_whole(before), _whole(after))
    if min(counts) < 0 or max(counts) > _LONGEST:
        raise GoError(f"a padding is from 0 to {_LONGEST}")
    return " " * counts[0] + text + " " * counts[1] if _text(text) else ""


def _truncate(text: "Any", length: "Any") -> str:
    if _whole(length) < 0:
        raise GoError("a length is not negative")
    return _text(text)[:length]


def _length(value: "Any") -> int:
    if isinstance(value, str):
        return len(value.encode(errors="surrogateescape"))
    if isinstance(value, list | dict):
        return len(value)
    raise GoError(f"{kind(value)} has no length")


def _index(value: "Any", *keys: "Any") -> "Any":
    for key in keys:
        if value is None or value is NO_VALUE:
            raise GoError("index of untyped nil")
        if isinstance(value, dict):
            value = _entry(value, key)
        elif isinstance(value, list | str):
            at = _whole(key)
            if not 0 <= at < len(value):
                raise GoError(f"index out of range: {at}")
            value = ord(value[at]) if isinstance(value, str) else value[at]
        else:
            raise GoError(f"can't index {kind(value)}")
    return value


def _entry(found: "dict[str, Any]", key: "Any") -> "Any":
    """The value of a key; of one that is not there, the zero value: an empty string in a map of strings."""
    name = _text(key)
    if name in found:
        return found[name]
    if isinstance(found, Struct):
        return field(found, name)
    return "" if all(isinstance(item, str) for item in found.values()) else NO_VALUE


def _slice(value: "Any", *bounds: "Any") -> "Any":
    if not isinstance(value, str | list):
        raise GoError(f"can't slice {kind(value)}")
    if len(bounds) > (2 if isinstance(value, str) else 3):
        raise GoError(f"too many slice indexes: {len(bounds)}")
    begin, end = ([_whole(bound) for bound in bounds[:2]] + [0, len(value)][len(bounds[:2]) :])[:2]
    if not 0 <= begin <= len(value) or not 0 <= end <= len(value):
        raise GoError(f"index out of range: {begin if not 0 <= begin <= len(value) else end}")
    if begin > end:
        raise GoError(f"invalid slice index: {begin} > {end}")
    return value[begin:end]


def _print(*values: "Any") -> str:
    """As Go's Sprint: spaces between operands neither of which is a string."""
    made = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            made += " "
        made += show(value, inside=True)
    return made


def _println(*values: "Any") -> str:
    return " ".join(show(value, inside=True) for value in values) + "\n"


def _printf(form: "Any", *values: "Any") -> str:
    return sprintf(_text(form), values)


def _equal(first: "Any", *others: "Any") -> bool:
    return any(_same(first, other) for other in others)


def _same(a: "Any", b: "Any") -> bool:
    nothing = [value is None or value is NO_VALUE for value in (a, b)]
    if any(nothing):
        return all(nothing)
    for value in (a, b):
        if isinstance(value, list | dict | Record):
            raise GoError(f"non-comparable type: {kind(value)}")
    if _is_number(a) != _is_number(b) or isinstance(a, str) != isinstance(b, str):
        raise GoError(f"incompatible types for comparison: {kind(a)} and {kind(b)}")
    return bool(a == b)


def _less(a: "Any", b: "Any") -> bool:
    for value in (a, b):
        if not _is_number(value) and not isinstance(value, str):
            raise GoError(f"invalid type for comparison: {kind(value)}")
    if isinstance(a, str) != isinstance(b, str):
        raise GoError(f"incompatible types for comparison: {kind(a)} and {kind(b)}")
    return bool(a < b)


def _html(*values: "Any") -> str:
    from html import escape  # noqa: PLC0415 - hardly anybody calls it

    return escape(_print(*values), quote=True).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def _urlquery(*values: "Any") -> str:
    from urllib.parse import quote_plus  # noqa: PLC0415 - hardly anybody calls it

    return quote_plus(_print(*values), errors="surrogateescape")


# name: (function, the least number of arguments, the most; None for any number)
FUNCTIONS: "dict[str, tuple[Callable[..., Any], int, int | None]]" = {
    "and": (lambda *values: values[-1], 1, None),
    "or": (lambda *values: values[-1], 1, None),
    "not": (lambda value: not is_true(value), 1, 1),
    "eq": (_equal, 2, None),
    "ne": (lambda a, b: not _same(a, b), 2, 2),
    "lt": (_less, 2, 2),
    "le": (lambda a, b: not _less(b, a), 2, 2),
    "gt": (lambda a, b: _less(b, a), 2, 2),
    "ge": (lambda a, b: not _less(a, b), 2, 2),
    "index": (_index, 1, None),
    "slice": (_slice, 1, None),
    "len": (_length, 1, 1),
    "print": (_print, 0, None),
    "println": (_println, 0, None),
    "printf": (_printf, 1, None),
    "html": (_html, 0, None),
    "urlquery": (_urlquery, 0, None),
    "json": (to_json, 1, 1),
    "join": (_join, 2, 2),
    "split": (_split, 2, 2),
    "lower": (lambda text: _text(text).lower(), 1, 1),
    "upper": (lambda text: _text(text).upper(), 1, 1),
    "title": (_title, 1, 1),
    "pad": (_pad, 3, 3),
    "truncate": (_truncate, 2, 2),
}

# What the same functions do to a table's header: nothing, so that {{lower .Names}} still stands under NAMES.
_FIRST = {
    name: (lambda value, *_: value, 1, None)
    for name in ("json", "join", "lower", "upper", "title", "pad", "truncate", "index", "slice")
}
HEADER_FUNCTIONS: "dict[str, tuple[Callable[..., Any], int, int | None]]" = {
    **FUNCTIONS,
    **_FIRST,
    "split": (lambda value, *_: value, 1, None),
}
