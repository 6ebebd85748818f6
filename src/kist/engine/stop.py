"""The order to end work before its time, from whoever waits for it to all threads that do it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from kist.errors import Unavailable

T = TypeVar("T")


class Stop:
    """An order that is given once and holds for ever; safe from many threads.

    Who works looks from time to time (``check``), and who waits for the kernel is woken (``heard_by``).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hearers: list[Callable[[], None]] = []
        self._given = False

    @property
    def given(self) -> bool:
        """Whether the order was given."""
        return self._given

    def give(self) -> None:
        """Have all work end."""
        with self._lock:
            self._given = True
            hearers, self._hearers = self._hearers, []
        for hearer in hearers:
            hearer()

    def check(self) -> None:
        """Go on, or raise ``Unavailable`` where the order was given."""
        if self._given:
            raise Unavailable("cancelled")

    def before(self, function: Callable[[T], object]) -> Callable[[T], object]:
        """The function, which raises ``Unavailable`` and does nothing once the order was given."""

        def checked(argument: T) -> object:
            self.check()
            return function(argument)

        return checked

    @contextmanager
    def heard_by(self, hearer: Callable[[], None]) -> Iterator[None]:
        """For the time of the block, call ``hearer`` (from another thread) when the order is given.

        Raises:
            Unavailable: it was given before.
        """
        with self._lock:
            self.check()
            self._hearers.append(hearer)
        try:
            yield
        finally:
            with self._lock:
                if hearer in self._hearers:
                    self._hearers.remove(hearer)
