"""A memory limit without a control group: the monitor looks how much there is, and kills what takes too much.

It cannot be as exact as the kernel is: pages of files and of tmpfs are not counted, and between two looks a container
may have more than it should. The nearer the limit, the sooner is the next look.
"""

from __future__ import annotations

import time

from kist.kernel import consumption
from kist.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kist.kernel.members import Members
    from kist.runtime.loop import Loop

# What a few processors can fill in a second, and how soon and how late a look may be, in seconds.
_FASTEST = 8 << 30
_SOONEST, _LATEST = 0.02, 0.5
# Looking takes at most this part of a processor; where it is put off until the latest by that, at most half of one.
_SHARE = 0.05


class MemoryWatch:
    """The watch over one run of a container.

    Args:
        loop: of the monitor.
        members: its processes.
        on_kill: called when one was killed.
    """

    def __init__(self, loop: Loop, members: Members, on_kill: Callable[[], None]) -> None:
        self._loop = loop
        self._members = members
        self._on_kill = on_kill
        self.limit = 0
        self.peak = 0
        self.kills = 0
        self._dying: set[int] = set()

    def begin(self, limit: int) -> None:
        """Look from now on; with another limit where it has begun already, no more where that is not positive."""
        self.limit = limit
        if limit > 0:
            self._look()
        else:
            self.end()

    def end(self) -> None:
        """Look no more."""
        self._loop.clear_timer(self._look)

    def _look(self) -> None:
        start = time.monotonic_ns()
        # Who was killed at the last look is about to give back what it has: nobody else has to die for that.
        pids = [pid for pid in self._members.pids() if pid not in self._dying]
        used = {pid: consumption.memory(pid) for pid in pids}
        if sum(used.values()) > self.limit:
            used = {pid: consumption.shared_fairly(pid) for pid in pids}
        total = sum(used.values())
        self.peak = max(self.peak, total)
        self._dying = set(too_much(used, self.limit))
        for _ in range(self._members.signal(self._dying, signal.SIGKILL)):
            self.kills += 1
            self._on_kill()
        now = time.monotonic_ns()
        wait = next_look(self.limit - total, (now - start) / 1e9)
        self._loop.set_timer(now + round(wait * 1e9), self._look)


def next_look(room: int, taken: float) -> float:
    """Seconds until the next look.

    Args:
        room: bytes up to the limit; negative where it is exceeded.
        taken: seconds that the last look took.
    """
    return max(min(max(room / _FASTEST, _SOONEST), _LATEST), min(taken / _SHARE, _LATEST), taken)


def too_much(used: dict[int, int], limit: int) -> list[int]:
    """Whom to kill so that the rest is within the limit: the largest, and as few as can be.

    Args:
        used: what each process has; the sum is what all of them have.
        limit: in the same unit.
    """
    over = sum(used.values()) - limit
    chosen = []
    for pid in sorted(used, key=lambda pid: used[pid], reverse=True):
        if over <= 0:
            break
        chosen.append(pid)
        over -= used[pid]
    return chosen
