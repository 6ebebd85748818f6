"""Builds of this engine that come to the same step at a time: one does the work, the others take what it made."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kist.engine.stop import Stop


class Sharing:
    """Turns by key: one at a time has a key's turn. Safe from many threads.

    Who had to wait looks first whether the work is done by now. Where it is not (the first has failed, or was
    cancelled), it is now their turn to do it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: set[str] = set()

    @contextmanager
    def turn(self, key: str, stop: Stop, waits: Callable[[], None]) -> Iterator[None]:
        """Have the turn for the time of the block.

        Args:
            key: of the work.
            stop: ends the waiting.
            waits: called once where somebody else has the turn.

        Raises:
            Unavailable: it was stopped.
        """
        with stop.heard_by(self._wake):
            if not self._take(key):
                waits()
                while not self._take(key):
                    self._wait(key, stop)
        try:
            yield
        finally:
            with self._changed:
                self._taken.discard(key)
                self._changed.notify_all()

    def _take(self, key: str) -> bool:
        with self._changed:
            if key in self._taken:
                return False
            self._taken.add(key)
            return True

    def _wait(self, key: str, stop: Stop) -> None:
        with self._changed:
            self._changed.wait_for(lambda: stop.given or key not in self._taken)
        stop.check()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
