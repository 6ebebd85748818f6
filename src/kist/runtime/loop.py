"""The monitor's event loop: descriptors and what to call when they are ready, moments and what to call then.

Nothing more, so it weighs nothing.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
CLOSED = select.EPOLLHUP | select.EPOLLERR
ENDED = select.EPOLLRDHUP


# epoll takes its timeout as an int of milliseconds; a turn may end early.
_LONGEST_TURN = 86_400.0


class Loop:
    """An epoll set; callbacks get the event mask."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, tuple[int, Callable[[int], None]]] = {}
        # Descriptors forgotten in this turn: what epoll reported of them is about a file that may be closed, even when
        # a new one has got its number meanwhile.
        self._stale: set[int] = set()
        self._timers: dict[object, tuple[int, Callable[[], None]]] = {}

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback`` while one of ``events`` (``CLOSED`` is implied) holds; replaces an earlier watch."""
        before = self._watches.get(descriptor)
        if before is None:
            self._epoll.register(descriptor, events)
        elif before[0] != events:
            self._epoll.modify(descriptor, events)
        self._watches[descriptor] = (events, callback)

    def forget(self, descriptor: int) -> None:
        """Stop watching; an unknown descriptor is fine. Call it before closing the descriptor."""
        if self._watches.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            self._stale.add(descriptor)

    def set_timer(self, name: str, moment: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, at this moment of ``time.monotonic_ns()`` or soon after; replaces an earlier one."""
        self._timers[name] = (moment, callback)

    def clear_timer(self, name: str) -> None:
        """Do not call; an unknown name is fine."""
        self._timers.pop(name, None)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, when so many seconds have passed."""
        self._timers[object()] = (time.monotonic_ns() + round(seconds * 1_000_000_000), callback)

    def turn(self, timeout: float = -1) -> None:
        """Wait for events (at most ``timeout`` seconds when it is not negative) and make their calls."""
        if self._timers:
            next_moment = min(moment for moment, _ in self._timers.values())
            left = min(max(0, next_moment - time.monotonic_ns()) / 1_000_000_000, _LONGEST_TURN)
            timeout = left if timeout < 0 else min(timeout, left)
        reported = self._epoll.poll(timeout)
        self._stale.clear()
        for descriptor, events in reported:
            # An earlier callback of this turn may have ended this watch.
            watched = self._watches.get(descriptor)
            if watched is not None and descriptor not in self._stale:
                watched[1](events)
        if self._timers:
            self._ring(time.monotonic_ns())

    def _ring(self, now: int) -> None:
        for name in list(self._timers):
            # An earlier callback of this turn may have cleared it, or set it anew.
            timer = self._timers.get(name)
            if timer is not None and timer[0] <= now:
                del self._timers[name]
                timer[1]()

    def close(self) -> None:
        """Forget everything and close the epoll descriptor; the watched ones stay open."""
        self._watches.clear()
        self._timers.clear()
        self._epoll.close()


def moment(seconds: float) -> int:
    """The moment, for ``Loop.set_timer``, that is so many seconds away."""
    return time.monotonic_ns() + round(seconds * 1_000_000_000)
