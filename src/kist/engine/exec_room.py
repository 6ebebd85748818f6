"""How many exec'd processes a container may have noted, and how much of what they were asked with. Pure.

What is noted of them is in the container's run directory, which is memory.
"""

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kist.errors import Conflict

MOST_UNSTARTED = 1000
MOST_BYTES = 16 << 20


class Stage(enum.Enum):
    """How far one has come."""

    MADE = enum.auto()
    RUNNING = enum.auto()
    ENDED = enum.auto()


class Noted(NamedTuple):
    """One that a container's run directory knows: the bytes of its options, and when it came to its stage."""

    identifier: str
    size: int
    stage: Stage
    since: float


def room_for(size: int, noted: Sequence[Noted], name: str) -> tuple[str, ...]:
    """The ids of those to forget for one more: of what has ended the oldest, so that it takes no more than may be.

    Args:
        size: bytes of the new one's options.
        noted: all that there are.
        name: of the container, for errors.

    Raises:
        Conflict: there are too many that were made and not started, or too large ones; nothing of these is forgotten.
    """
    unstarted = sum(each.stage is Stage.MADE for each in noted)
    if unstarted >= MOST_UNSTARTED:
        raise Conflict(
            f"container {name} has {unstarted} commands that were made and never started",
            hint="start them: those that nobody starts are forgotten after an hour",
        )
    if _bytes(each for each in noted if each.stage is not Stage.ENDED) + size > MOST_BYTES:
        raise Conflict(
            f"the commands that were made in container {name} and have not ended take {MOST_BYTES >> 20} MiB",
            hint="write shorter ones: what is long can be copied into the container, or be its input",
        )
    ended = sorted((each for each in noted if each.stage is Stage.ENDED), key=lambda each: each.since)
    surplus, gone = _bytes(ended) - MOST_BYTES, []
    for each in ended:
        if surplus <= 0:
            break
        gone.append(each.identifier)
        surplus -= each.size
    return tuple(gone)


def _bytes(noted: Iterable[Noted]) -> int:
    return sum(each.size for each in noted)
