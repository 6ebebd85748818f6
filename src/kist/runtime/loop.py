"""The monitor's event loop: descriptors and what to call when they are ready. Nothing more, so it weighs nothing."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
CLOSED = select.EPOLLHUP | select.EPOLLERR


class Loop:
    """An epoll set; callbacks get the event mask."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, tuple[int, Callable[[int], None]]] = {}
        # Descriptors forgotten in this turn: what epoll reported of them is about a file that may be closed, even when
        # a new one has got its number meanwhile.
        self._stale: set[int] = set()
        self._timers: list[tuple[float, Callable[[], None]]] = []

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

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, when so many seconds have passed."""
        self._timers.append((time.monotonic() + seconds, callback))

    def turn(self, timeout: float = -1) -> None:
        """Wait for events (at most ``timeout`` seconds when it is not negative) and make their calls."""
        if self._timers:
            timeout = self._until_next(timeout)
        reported = self._epoll.poll(timeout)
        self._stale.clear()
        for descriptor, events in reported:
            # An earlier callback of this turn may have ended this watch.
            watched = self._watches.get(descriptor)
            if watched is not None and descriptor not in self._stale:
                watched[1](events)
        if self._timers:
            self._call_due()

    def _until_next(self, timeout: float) -> float:
        left = max(0.0, min(due for due, _ in self._timers) - time.monotonic())
        return left if timeout < 0 else min(left, timeout)

    def _call_due(self) -> None:
        now = time.monotonic()
        due = [callback for at, callback in self._timers if at <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for callback in due:
            callback()

    def close(self) -> None:
        """Forget everything and close the epoll descriptor; the watched ones stay open."""
        self._watches.clear()
        self._timers.clear()
        self._epoll.close()
