"""The monitor's event loop: descriptors and what to call when they are ready, moments and what to call then.

Nothing more, so it weighs nothing. An error that nobody expected ends the process, whose successor knows what is on
disk; one of somebody who said what to do then (``on_error``) is complained about and costs only that.
"""

from __future__ import annotations

import select
import sys
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


def go_on() -> None:
    """For ``on_error``: the call that failed has lost what it was about, and there is no more to give up."""


class Loop:
    """An epoll set; callbacks get the event mask."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, tuple[int, Callable[[int], None], Callable[[], None] | None]] = {}
        # Descriptors forgotten in this turn: what epoll reported of them is about a file that may be closed, even when
        # a new one has got its number meanwhile.
        self._stale: set[int] = set()
        # By what is called; those of ``after`` by something that is nobody else's.
        self._timers: dict[object, tuple[int, Callable[[], None], Callable[[], None] | None]] = {}
        # Where errors were that have been complained about: a client may cause one again and again.
        self._told: set[object] = set()

    def watch(
        self,
        descriptor: int,
        events: int,
        callback: Callable[[int], None],
        on_error: Callable[[], None] | None = None,
    ) -> None:
        """Call ``callback`` while one of ``events`` (``CLOSED`` is implied) holds; replaces an earlier watch.

        Args:
            descriptor: what is watched.
            events: to wait for.
            callback: gets the events that hold.
            on_error: called when it has raised something, to give up what it was about; None to end the process.
        """
        before = self._watches.get(descriptor)
        if before is None:
            self._epoll.register(descriptor, events)
        elif before[0] != events:
            self._epoll.modify(descriptor, events)
        self._watches[descriptor] = (events, callback, on_error)

    def forget(self, descriptor: int) -> None:
        """Stop watching; an unknown descriptor is fine. Call it before closing the descriptor."""
        if self._watches.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            self._stale.add(descriptor)

    def set_timer(self, moment: int, callback: Callable[[], None], on_error: Callable[[], None] | None = None) -> None:
        """Call ``callback`` once, at this moment of ``time.monotonic_ns()`` or soon after.

        A timer is the callback's own: one that is set for the same method of the same object takes its place, and one
        that is anybody else's never does. ``on_error`` is as for ``watch``.
        """
        self._timers[callback] = (moment, callback, on_error)

    def clear_timer(self, callback: Callable[[], None]) -> None:
        """Do not call it; where there is no timer of it, that is fine."""
        self._timers.pop(callback, None)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, when so many seconds have passed."""
        self._timers[object()] = (time.monotonic_ns() + round(seconds * 1_000_000_000), callback, None)

    def turn(self, timeout: float = -1) -> None:
        """Wait for events (at most ``timeout`` seconds when it is not negative) and make their calls."""
        if self._timers:
            next_moment = min(timer[0] for timer in self._timers.values())
            left = min(max(0, next_moment - time.monotonic_ns()) / 1_000_000_000, _LONGEST_TURN)
            timeout = left if timeout < 0 else min(timeout, left)
        reported = self._epoll.poll(timeout)
        self._stale.clear()
        for descriptor, events in reported:
            # An earlier callback of this turn may have ended this watch.
            watched = self._watches.get(descriptor)
            if watched is not None and descriptor not in self._stale:
                try:
                    watched[1](events)
                except Exception:  # whoever watches has said that it costs no more than that
                    if watched[2] is None:
                        raise
                    self._give_up(watched[2])
        if self._timers:
            self._ring(time.monotonic_ns())

    def _ring(self, now: int) -> None:
        for key in list(self._timers):
            # An earlier callback of this turn may have cleared it, or set it anew.
            timer = self._timers.get(key)
            if timer is not None and timer[0] <= now:
                del self._timers[key]
                try:
                    timer[1]()
                except Exception:  # as above
                    if timer[2] is None:
                        raise
                    self._give_up(timer[2])

    def _give_up(self, on_error: Callable[[], None]) -> None:
        """Tell of the error that is being handled, and do what was said for it."""
        self._complain()
        try:
            on_error()
        except Exception:  # noqa: BLE001 - nor does what is given up end the process
            self._complain()

    def _complain(self) -> None:
        """Write the error that is being handled to standard error, the engine's log, once for each place."""
        kind, error, traceback = sys.exc_info()
        assert kind is not None
        assert error is not None
        place = traceback
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = (kind, place.tb_frame.f_code, place.tb_lineno) if place is not None else kind
        if where not in self._told:
            self._told.add(where)
            sys.excepthook(kind, error, traceback)

    def close(self) -> None:
        """Forget everything and close the epoll descriptor; the watched ones stay open."""
        self._watches.clear()
        self._timers.clear()
        self._epoll.close()


def moment(seconds: float) -> int:
    """The moment, for ``Loop.set_timer``, that is so many seconds away."""
    return time.monotonic_ns() + round(seconds * 1_000_000_000)
