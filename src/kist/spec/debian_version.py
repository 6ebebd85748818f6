"""Debian version numbers and their order (Debian Policy 5.6.12, deb-version(7))."""

import re
from functools import cmp_to_key, lru_cache
from itertools import zip_longest

from kist.errors import InvalidInput

_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_VALID = re.compile(r"(?:[0-9]+:)?[0-9A-Za-z.+:~_-]+\Z")

# A text as alternating parts: the weights of non-digits, and the number after them.
Parts = tuple[tuple[tuple[int, ...], int], ...]

# What a text goes on with after its end.
_NOTHING = ((0,), 0)


def compare(left: str, right: str) -> int:
    """Less than, equal to or greater than zero as ``left`` is older than, the same as or newer than ``right``."""
    a, b = _parse(left), _parse(right)
    if a[0] != b[0]:
        return -1 if a[0] < b[0] else 1
    return _compare_parts(a[1], b[1]) or _compare_parts(a[2], b[2])


sort_key = cmp_to_key(compare)
"""A key that sorts as the policy orders versions."""


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
def _parse(version: str) -> tuple[int, Parts, Parts]:
    """Epoch, upstream version and revision.

    Raises:
        InvalidInput: the text is not a version.
    """
    if not _VALID.match(version):
        raise InvalidInput(f"invalid Debian version {version!r}")
    head, colon, rest = version.partition(":")
    epoch, text = (int(head), rest) if colon and head.isdigit() else (0, version)
    upstream, dash, revision = text.rpartition("-")
    return (epoch, _parts(upstream), _parts(revision)) if dash else (epoch, _parts(text), ())


def _parts(text: str) -> Parts:
    return tuple(
        ((*(_weight(character) for character in letters), 0), int(digits or "0"))
        for letters, digits in _PARTS.findall(text)
        if letters or digits
    )


def _compare_parts(left: Parts, right: Parts) -> int:
    """Non-digits compare character by character, digits as numbers; both kinds take turns, non-digits first.

    Where one text has ended, it goes on as empty non-digits and the number 0 for ever: a tilde is less than that, every
    other character is more.
    """
    for a, b in zip_longest(left, right, fillvalue=_NOTHING):
        if a != b:
            return -1 if a < b else 1
    return 0


def forget() -> None:
    """Let go of the versions that were read; there are some sixty thousand in an archive."""
    _parse.cache_clear()


def _weight(character: str) -> int:
    """Tilde before the end (0), letters before everything else."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
