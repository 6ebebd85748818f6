"""The monitor's event loop: descriptors and what to call when they are ready. Nothing more, so it weighs nothing."""

from __future__ import annotations

import select

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
        self._callbacks: dict[int, Callable[[int], None]] = {}

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call ``callback`` while one of ``events`` (``CLOSED`` is implied) holds; replaces an earlier watch."""
        if descriptor in self._callbacks:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def forget(self, descriptor: int) -> None:
        """Stop watching; an unknown descriptor is fine. Call it before closing the descriptor."""
        if self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def turn(self, timeout: float = -1) -> None:
        """Wait for events (at most ``timeout`` seconds when it is not negative) and make their calls."""
        for descriptor, events in self._epoll.poll(timeout):
            # An earlier callback of this turn may have ended this watch.
            callback = self._callbacks.get(descriptor)
            if callback is not None:
                callback(events)

    def close(self) -> None:
        """Forget everything and close the epoll descriptor; the watched ones stay open."""
        self._callbacks.clear()
        self._epoll.close()
