"""Threads for the engine's blocking methods, so that the event loop never waits.

Of short calls a few go at once. A call that may take long (a stop that waits, a build), or that somebody else can keep
waiting (a container's monitor, its lock), has a thread to itself while it lasts, so that any number of them holds up
nobody; it must end by itself or by its ``Job``'s cancellation. Callers who are not the engine's own user have a bounded
share of threads, also for short calls. A few threads stay for the next call, of either kind: to make one takes half a
millisecond.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from kist.api.shares import OWNER, Caller, Shares

P = ParamSpec("P")
T = TypeVar("T")

# How many short calls have a thread at once, and how many threads wait for the next call.
_WARM = 8
# Seconds after which a short call waits no longer for others that have turned out not to be short.
_PATIENCE = 0.1
# The share of the engine's own user is not counted here.
_MOST = 128

_Call = Callable[[], object]
_Told = Callable[[object, BaseException | None], None]


class Workers:
    """The threads of one API server; used from its event loop only."""

    def __init__(self, most: int = _MOST) -> None:
        # Short calls that have begun, and those that wait for the place of one.
        self._short = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        # Threads that are at work, and those that wait, of which the last one is taken.
        self._busy: set[_Worker] = set()
        self._kept: list[_Worker] = []
        self._closed = False
        self._shares = Shares(most)

    async def run(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a call that is soon done."""
        if self._short < _WARM:
            self._short += 1
        elif not await self._short_place():
            return await self.run_long(function, *arguments, **options)
        return await self._start(lambda: function(*arguments, **options), self._pass_on)

    async def run_long(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a call that may take long; when the caller is cancelled, the call goes on without it."""
        return await self._start(lambda: function(*arguments, **options), _nothing)

    async def run_for(self, caller: Caller, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The same for somebody; others than the engine's own user wait until one of their own places is free."""
        if caller is OWNER:
            return await self.run_long(function, *arguments, **options)
        await self._shares.take(caller)
        return await self._start(lambda: function(*arguments, **options), partial(self._shares.give_back, caller))

    async def _short_place(self) -> bool:
        """Wait for the place of a short call that ends; False when none has in time."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await asyncio.wait((place,), timeout=_PATIENCE)
        except asyncio.CancelledError:
            if place.done():
                self._pass_on()
            raise
        finally:
            if not place.done():
                self._waiting.remove(place)
        return place.done()

    def _pass_on(self) -> None:
        """A short call has ended: its place is that of who waits first."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._short -= 1

    async def _start(self, function: Callable[[], T], ended: Callable[[], None]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        worker = self._kept.pop() if self._kept else _Worker()
        self._busy.add(worker)
        try:
            worker.call(function, partial(_post, loop, self._ended, worker, ended, future))
        except RuntimeError:  # the machine has no more threads
            self._busy.discard(worker)
            ended()
            raise
        return await future

    def _ended(
        self,
        worker: "_Worker",
        ended: Callable[[], None],
        future: "asyncio.Future[Any]",
        result: object,
        error: BaseException | None,
    ) -> None:
        """Whoever asked may have gone before; the place is free only now."""
        self._busy.discard(worker)
        if self._closed or len(self._kept) >= _WARM:
            worker.end()
        else:
            self._kept.append(worker)
        ended()
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def close(self, seconds: float) -> None:
        """End the threads that wait; wait for calls, all together, at most so many seconds."""
        self._closed = True
        for worker in (*self._kept, *self._busy):
            worker.end()
        for worker in tuple(self._busy):
            worker.wait(seconds / max(1, len(self._busy)))
        self._kept.clear()


class _Worker:
    """A thread that makes one call after the other."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[_Call, _Told] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, function: _Call, told: _Told) -> None:
        """Make a call, and tell what it gave or raised; raises RuntimeError where there can be no thread for it."""
        self._calls.put((function, told))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="api", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Have the thread end, after what it is about."""
        self._calls.put(None)

    def wait(self, seconds: float) -> None:
        """Wait at most so long for its end."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, told = call
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
                told(None, error)
            else:
                told(result, None)
            # Nothing of the call is to stay until the next one.
            call = function = told = result = None  # type: ignore[assignment]


def _nothing() -> None:
    return None


def _post(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object) -> None:
    """Call back in the loop; a loop that was closed meanwhile has nobody left who waits."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback, *arguments)
