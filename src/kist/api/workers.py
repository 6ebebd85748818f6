"""Threads for the engine's blocking methods, so that the event loop never waits.

Short calls share a few warm threads. A call that may take long (a stop that waits, a build) gets a thread of its own,
so that any number of them holds up nobody; it must end by itself or by its ``Job``'s cancellation.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_WARM = 8


class Workers:
    """The threads of one API server; used from its event loop only."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_WARM, thread_name_prefix="api")
        self._long: set[threading.Thread] = set()

    async def run(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a call that is soon done."""
        loop = asyncio.get_running_loop()
        call = (lambda: function(*arguments, **options)) if options else function
        return await loop.run_in_executor(self._pool, call, *(() if options else arguments))

    async def run_long(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a call that may take long; when the caller is cancelled, the call goes on without it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = function(*arguments, **options)
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
                _post(loop, self._ended, thread, future, None, error)
            else:
                _post(loop, self._ended, thread, future, result, None)

        thread = threading.Thread(target=work, name="api-long", daemon=True)
        self._long.add(thread)
        thread.start()
        return await future

    def _ended(
        self, thread: threading.Thread, future: "asyncio.Future[Any]", result: object, error: BaseException | None
    ) -> None:
        self._long.discard(thread)
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def close(self, seconds: float) -> None:
        """End the warm threads; wait for long calls, all together, at most so many seconds."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for thread in tuple(self._long):
            thread.join(seconds / max(1, len(self._long)))


def _post(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object) -> None:
    """Call back in the loop; a loop that was closed meanwhile has nobody left who waits."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback, *arguments)
