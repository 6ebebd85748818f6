"""Debian version numbers and their order (Debian Policy 5.6.12, deb-version(7))."""

import re
from functools import lru_cache

from kist.errors import InvalidInput

_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_VALID = re.compile(r"(?:[0-9]+:)?[0-9A-Za-z.+:~_-]+\Z")

# (epoch, upstream, revision); each of the two texts as alternating sort keys of non-digits and integers.
Key = tuple[int, tuple[tuple[int, ...] | int, ...], tuple[tuple[int, ...] | int, ...]]


def compare(left: str, right: str) -> int:
    """Less than, equal to or greater than zero as ``left`` is older than, the same as or newer than ``right``."""
    a, b = sort_key(left), sort_key(right)
    return (a > b) - (a < b)


def satisfies(version: str, relation: str, wanted: str) -> bool:
    """Whether ``version`` stands in ``relation`` (``<<``, ``<=``, ``=``, ``>=``, ``>>``) to ``wanted``."""
    order = compare(version, wanted)
    match relation:
        case "<<":
            return order < 0
        case "<=" | "<":
            return order <= 0
        case "=":
            return order == 0
        case ">=" | ">":
            return order >= 0
        case ">>":
            return order > 0
    raise InvalidInput(f"unknown version relation {relation!r}", hint="the relations are <<, <=, =, >= and >>")


@lru_cache(maxsize=65536)
def sort_key(version: str) -> Key:
    """A key that sorts as the policy orders versions.

    Raises:
        InvalidInput: the text is not a version.
    """
    if not _VALID.match(version):
        raise InvalidInput(f"invalid Debian version {version!r}")
    head, colon, rest = version.partition(":")
    epoch, text = (int(head), rest) if colon and head.isdigit() else (0, version)
    upstream, dash, revision = text.rpartition("-")
    return (epoch, _part_key(upstream), _part_key(revision)) if dash else (epoch, _part_key(text), _part_key(""))


def _part_key(text: str) -> tuple[tuple[int, ...] | int, ...]:
    """Non-digits compare character by character, digits as numbers; both kinds take turns, non-digits first.

    The end of a text sorts like an empty non-digit part and the number 0, which the trailing pair spells out: a tilde
    is less than that end, every other character is more.
    """
    key: list[tuple[int, ...] | int] = []
    for letters, digits in _PARTS.findall(text):
        if not letters and not digits:
            continue
        key.extend(((*tuple(_weight(c) for c in letters), 0), int(digits or "0")))
    while len(key) >= 2 and key[-1] == 0 and key[-2] == (0,):
        del key[-2:]
    key.append((0,))
    return tuple(key)


def _weight(character: str) -> int:
    """Tilde before the end (0), letters before everything else."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
