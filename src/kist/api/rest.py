"""What an engine does when nobody has asked it for anything for a while."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

_SECONDS = 10.0


class Rest:
    """Has something done once after each time of work, when it has been quiet for a while.

    Used from its event loop only. An engine that nobody asks for anything is not woken.

    Args:
        settle: what is to be done.
        seconds: how long it must have been quiet.

    Attributes:
        stirred: when somebody last asked for something, by the loop's clock.
    """

    def __init__(self, settle: Callable[[], Coroutine[Any, Any, None]], seconds: float = _SECONDS) -> None:
        self._settle = settle
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.stirred = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def stir(self) -> None:
        """Somebody asks for something."""
        self.stirred = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def close(self) -> None:
        """There will be no rest any more: from now on it looks as if somebody always asked for something."""
        self.stirred = math.inf
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        left = self.stirred + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._task = self._loop.create_task(self._settle())


class Spaced:
    """Has something done when it is asked for, but not within so many seconds of the last time: then, after them.

    Used from its event loop only.

    Args:
        act: does it; called with whether it was asked for at once.
        seconds: between two times.
    """

    def __init__(self, act: Callable[[bool], None], seconds: float) -> None:
        self._act = act
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._done = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def soon(self, *, at_once: bool) -> None:
        """Have it done; with ``at_once`` whenever it was done last, which is as good for who has asked before."""
        left = 0.0 if at_once else self._done + self._seconds - self._loop.time()
        if self._closed:
            return
        if left <= 0:
            self._do(at_once=at_once)
        elif self._timer is None:
            self._timer = self._loop.call_later(left, lambda: self._do(at_once=False))

    def close(self) -> None:
        """From now on nothing is done any more."""
        self._closed = True
        self._stop_waiting()

    def _do(self, *, at_once: bool) -> None:
        self._stop_waiting()
        self._done = self._loop.time()
        self._act(at_once)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
