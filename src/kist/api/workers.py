"""Threads for the engine's blocking methods, so that the event loop never waits.

Short calls share a few warm threads. A call that may take long (a stop that waits, a build), or that somebody else can
keep waiting (a container's monitor, its lock), gets a thread of its own, so that any number of them holds up nobody; it
must end by itself or by its ``Job``'s cancellation. Callers who are not the engine's own user have a bounded share of
threads, and never a warm one.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from kist.api.shares import OWNER, Caller, Shares

P = ParamSpec("P")
T = TypeVar("T")

_WARM = 8
# Seconds after which a short call waits no longer for others that have turned out not to be short.
_PATIENCE = 0.1
# The share of the engine's own user is not counted here.
_MOST = 128


class Workers:
    """The threads of one API server; used from its event loop only."""

    def __init__(self, most: int = _MOST) -> None:
        self._pool = ThreadPoolExecutor(_WARM, thread_name_prefix="api")
        # Short calls that have not ended; a thread takes its own away, which is one step.
        self._short: set[Future[Any]] = set()
        self._long: set[threading.Thread] = set()
        self._shares = Shares(most)

    async def run(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a call that is soon done."""
        short = self._pool.submit(function, *arguments, **options)
        self._short.add(short)
        short.add_done_callback(self._short.discard)
        awaited = asyncio.wrap_future(short)
        if len(self._short) > _WARM:
            try:
                await asyncio.wait((awaited,), timeout=_PATIENCE)
            except asyncio.CancelledError:
                short.cancel()
                raise
            if not awaited.done() and short.cancel():
                return await self.run_long(function, *arguments, **options)
        return await awaited

    async def run_long(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a call that may take long; when the caller is cancelled, the call goes on without it."""
        return await self._start(OWNER, lambda: function(*arguments, **options))

    async def run_for(self, caller: Caller, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The same for somebody; others than the engine's own user wait until one of their own places is free."""
        if caller is not OWNER:
            await self._shares.take(caller)
        return await self._start(caller, lambda: function(*arguments, **options))

    async def _start(self, caller: Caller, function: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
                _post(loop, self._ended, thread, caller, future, None, error)
            else:
                _post(loop, self._ended, thread, caller, future, result, None)

        thread = threading.Thread(target=work, name="api-long", daemon=True)
        self._long.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads
            self._forget(thread, caller)
            raise
        return await future

    def _ended(
        self,
        thread: threading.Thread,
        caller: Caller,
        future: "asyncio.Future[Any]",
        result: object,
        error: BaseException | None,
    ) -> None:
        self._forget(thread, caller)
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _forget(self, thread: threading.Thread, caller: Caller) -> None:
        """Whoever asked may have gone before; the place is free only now."""
        self._long.discard(thread)
        if caller is not OWNER:
            self._shares.give_back(caller)

    def close(self, seconds: float) -> None:
        """End the warm threads; wait for long calls, all together, at most so many seconds."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for thread in tuple(self._long):
            thread.join(seconds / max(1, len(self._long)))


def _post(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object) -> None:
    """Call back in the loop; a loop that was closed meanwhile has nobody left who waits."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback, *arguments)
