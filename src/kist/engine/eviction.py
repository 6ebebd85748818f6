"""What goes where there is too much of something that can be made again: leaves first, the longest unused one. Pure.

What others stand on gives nothing back while they are there, and a step of the build cache whose one below is forgotten
is never found again: so it goes after them.
"""

import heapq
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


class _Group:
    """Entries that keep the same: only all of them together give it back. ``at`` is the place of the last used one."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.at = 0
        self.may_go = True
        self.gone = False


def choose(entries: Sequence[Entry], kept: Collection[str], sizes: Mapping[str, int], excess: int) -> list[str]:
    """The keys of those that go, in their order, until so many bytes less are there.

    Args:
        entries: the longest unused first. One that gives nothing back, also together with others that may go, stays.
        kept: parts that stay, whoever goes.
        sizes: bytes of each part.
        excess: how much there is too much.
    """
    groups = _grouped(entries, frozenset(kept))
    holders: dict[str, set[frozenset[str]]] = {}
    for parts in groups:
        for part in parts:
            holders.setdefault(part, set()).add(parts)
    blocked = frozenset(part for parts, group in groups.items() if not group.may_go for part in parts)
    # A leaf has a part that no other has.
    leaves = [(group.at, parts) for parts, group in groups.items() if any(len(holders[part]) == 1 for part in parts)]
    heapq.heapify(leaves)
    gone: list[str] = []
    while excess > 0 and (chosen := _next(leaves, groups, blocked)) is not None:
        groups[chosen].gone = True
        gone += groups[chosen].keys
        for part in chosen:
            left = holders[part]
            left.discard(chosen)
            if not left:
                excess -= sizes.get(part, 0)
            elif len(left) == 1:
                [leaf] = left
                heapq.heappush(leaves, (groups[leaf].at, leaf))
    return gone


def _grouped(entries: Sequence[Entry], kept: frozenset[str]) -> dict[frozenset[str], _Group]:
    groups: dict[frozenset[str], _Group] = {}
    for at, entry in enumerate(entries):
        own = frozenset(entry.parts) - kept
        if own:
            group = groups.setdefault(own, _Group())
            group.keys.append(entry.key)
            group.at = at
            group.may_go = group.may_go and entry.may_go
    return groups


def _next(
    leaves: list[tuple[int, frozenset[str]]],
    groups: Mapping[frozenset[str], _Group],
    blocked: frozenset[str],
) -> frozenset[str] | None:
    """The one that goes next; ``blocked`` are parts that somebody keeps who may not go."""
    while leaves:
        _, parts = heapq.heappop(leaves)
        if groups[parts].may_go and not groups[parts].gone:
            return parts
    # Parts that several have and none has alone: no layers are like that, for each stands on one other at most.
    left = (item for item in groups.items() if item[1].may_go and not item[1].gone and not blocked.issuperset(item[0]))
    return min(left, key=lambda item: item[1].at, default=(None, None))[0]


def contexts(kept: Sequence[tuple[str, int, int]], most: int, since: int) -> list[str]:
    """The keys of those that go: the ones that were not used since a moment, and the longest unused of too many bytes.

    Args:
        kept: the longest unused first: key, bytes on the disk, last use.
        most: the bytes that they may have together.
        since: the moment.
    """
    above = sum(size for _, size, _ in kept) - most
    gone = []
    for key, size, used_at in kept:
        if used_at > since and above <= 0:
            break
        gone.append(key)
        above -= size
    return gone
