"""Shell patterns (``*``, ``?``, ``[a-z]``) as Go's ``filepath.Match`` has them, for COPY and ``.dockerignore``."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

ANY = "[^/]*"
"""The expression of ``*``."""
ALL, DIRECTORIES = ".*", "(?:.*/)?"
"""Those of ``**`` at the end, and before more."""
_WILD = re.compile(r"\\.|[*?\[]", re.DOTALL)


def has_wildcards(pattern: str) -> bool:
    """Whether the pattern can match more than one name."""
    return any(not found.startswith("\\") for found in _WILD.findall(pattern))


@lru_cache(maxsize=1024)
def name_pattern(pattern: str) -> re.Pattern[str]:
    """The expression that a single path component fully matches.

    Raises:
        ValueError: a bracket is not closed, a range is empty or reversed, or the pattern ends in an escape.
    """
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        if char == "[":
            text, at = character_class(pattern, at)
            out.append(text)
            continue
        if char == "\\":
            at += 1
            if at == len(pattern):
                raise ValueError("the pattern ends in an escape")
            char = re.escape(pattern[at])
        elif char == "*":
            char = ANY
        else:
            char = "[^/]" if char == "?" else re.escape(char)
        out.append(char)
        at += 1
    return re.compile(joined(out), re.DOTALL)


def joined(parts: Sequence[str]) -> str:
    """The expression of these parts, one after the other.

    What is between two ``ANY`` is taken where it is found first, and that is not tried anew: a later place leaves less
    for what follows. Else ``*a*a*a*a*a*b`` takes half an hour for a single name, and holds the engine up meanwhile.
    """
    places = [number for number, part in enumerate(parts) if part == ANY]
    out = list(parts)
    for begin, end in pairwise(places):
        if {ALL, DIRECTORIES}.intersection(parts[begin:end]):
            continue
        out[begin] = f"(?>{ANY}?"
        out[end - 1] += ")"
    return "".join(out)


def across(parts: Sequence[str]) -> str | None:
    """The same of parts among which there are some ``DIRECTORIES``; None where no expression is quick.

    What is between two of them and ends with a slash ends where the next one may begin, so it, too, is taken where it
    is found first: ``**/x/**/x/**/x`` takes a path's length and not a power of it.
    """
    first, *others = _split(parts)
    between, last = [each for each in others[:-1] if each], others[-1:]
    if any(each[-1] != "/" for each in between):
        return None
    taken = "".join(f"(?>(?:.*?/)??{joined(each)})" for each in between)
    return joined(first) + taken + "".join(DIRECTORIES + joined(each) for each in last)


def _split(parts: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for part in parts:
        if part == DIRECTORIES:
            found.append([])
        else:
            found[-1].append(part)
    return found


def character_class(pattern: str, at: int) -> tuple[str, int]:
    """The expression of the class that begins at ``pattern[at]``, and the index after it; it never matches ``/``."""
    begin, at = at, at + 1
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while pattern[at : at + 1] != "]" or not ranges:
        low, at = _class_member(pattern, at, begin)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _class_member(pattern, at + 1, begin)
        if high < low:
            raise ValueError(f"the range {low}-{high} in {pattern[begin:at]!r} is reversed")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"(?!/)[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _class_member(pattern: str, at: int, begin: int) -> tuple[str, int]:
    char = pattern[at : at + 1]
    if char == "\\":
        at += 1
        char = pattern[at : at + 1]
    elif char in {"-", "]"}:
        raise ValueError(f"{char!r} stands where a character is expected in {pattern[begin:]!r}")
    if not char:
        raise ValueError(f"the bracket in {pattern[begin:]!r} is not closed")
    return char, at + 1


def unescaped(pattern: str) -> str:
    """The one name that a pattern without wildcards matches."""
    return _WILD.sub(lambda found: found[0].removeprefix("\\"), pattern)
