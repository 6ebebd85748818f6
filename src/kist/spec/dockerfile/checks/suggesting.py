"""The name that was meant, as BuildKit suggests it: one that differs by less than three characters."""

from collections.abc import Iterable

from kist.spec.distance import edit_distance

_NEAR = 3
_LONGEST = 64  # a name of a file that is nobody's friend may be megabytes


def nearest(name: str, known: Iterable[str]) -> str:
    """The nearest of the names that are known; empty where none is near, or where it is one of them."""
    found, least = "", _NEAR
    for each in known:
        if each == name:
            return ""
        if max(len(each), len(name)) <= _LONGEST and abs(len(each) - len(name)) < least:
            distance = edit_distance(name, each)
            if distance < least:
                found, least = each, distance
    return found
