"""What goes where there is too much of something that can be made again: the longest unused first. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """Something that keeps parts: an image, or an entry of the build cache.

    Attributes:
        key: names it.
        parts: all that it keeps, with what these stand on.
        may_go: whether it may be given up at all.
    """

    key: str
    parts: Collection[str]
    may_go: bool


def choose(entries: Sequence[Entry], kept: Collection[str], sizes: Mapping[str, int], excess: int) -> list[str]:
    """The keys of those that go, until so many bytes less are there.

    Args:
        entries: the longest unused first. One whose parts are all kept otherwise gives nothing back, and stays.
        kept: parts that stay, whoever goes.
        sizes: bytes of each part.
        excess: how much there is too much.
    """
    needed = Counter(part for entry in entries for part in entry.parts)
    gone = []
    for entry in entries:
        if excess <= 0:
            break
        own = [part for part in entry.parts if part not in kept]
        if not entry.may_go or not own:
            continue
        gone.append(entry.key)
        for part in own:
            needed[part] -= 1
            if not needed[part]:
                excess -= sizes.get(part, 0)
    return gone
