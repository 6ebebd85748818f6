"""Long verbs (build, bootstrap, load, import) that tell their progress while they work, as a stream of JSON lines."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kist.api.call import Call
from kist.engine.stop import Stop
from kist.errors import KistError, Unavailable
from kist.spec.docker.progress import EVENTS_TYPE
from kist.spec.json import encode
from kist.spec.progress import Event, Failed, Finished, StepProgress

if TYPE_CHECKING:
    from kist.api.http import StreamResponse


class Listener(Protocol):
    """Who takes a job's events; see ``_Progress``."""

    @property
    def stop(self) -> Stop:
        """The order to end, for a job that has no event to tell for a while."""

    def __call__(self, event: Event, /) -> None:
        """Tell one; raises once nobody waits for the result any more."""


Emit = Callable[[Event], None]
Work = Callable[[Listener], Coroutine[Any, Any, Finished]]
Write = Callable[[Event], list[dict[str, Any]]]

_MOST_PENDING = 256
_END: Literal["end"] = "end"


class _Progress:
    """Events on their way from the job's thread to the event loop, at most ``_MOST_PENDING`` of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._room = threading.Semaphore(_MOST_PENDING)
        self._queue: asyncio.Queue[Event | Literal["end"]] = asyncio.Queue()
        self._cancelled = ""
        self.stop = Stop()

    def __call__(self, event: Event, /) -> None:
        """Called by the job: waits while the client is slow; raises once the client is gone, which ends the job.

        Raises:
            Unavailable: nobody waits for the result any more.
        """
        dispensable = isinstance(event, StepProgress)
        if not self._room.acquire(blocking=not dispensable):
            return
        if self._cancelled:
            self._room.release()
            raise Unavailable(self._cancelled)
        self._post(event)

    def _post(self, event: Event | Literal["end"]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: the engine is going down
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    def end(self) -> None:
        """No event comes any more (called in the loop)."""
        self._queue.put_nowait(_END)

    async def next(self) -> Event | None:
        """The next event, None after the last."""
        event = await self._queue.get()
        if event == _END:
            return None
        self._room.release()
        return event

    def cancel(self, why: str) -> None:
        """Let the job fail at its next event, also when it waits for room now."""
        self._cancelled = self._cancelled or why
        self.stop.give()
        self._room.release(_MOST_PENDING)


class Jobs:
    """The jobs that have an identity, by their caller and that; used in the event loop only."""

    def __init__(self) -> None:
        self._running: dict[tuple[int, str], _Progress] = {}

    def cancel(self, uid: int, identity: str) -> None:
        """End a job of a user's at its next event; one that is not there (any more) needs none."""
        if progress := self._running.get((uid, identity)):
            progress.cancel("Build cancelled")

    @contextlib.contextmanager
    def known(self, uid: int, identity: str, progress: _Progress) -> Iterator[None]:
        """Let a job be found within the block; one without an identity is not."""
        if identity:
            self._running[uid, identity] = progress
        try:
            yield
        finally:
            if self._running.get((uid, identity)) is progress:
                del self._running[uid, identity]


async def stream_job(call: Call, work: Work, write: Write, identity: str = "") -> "StreamResponse":
    """The answer of a long verb.

    Kist's events as JSON lines for a client that accepts them, else what ``write`` makes of them. An error before the
    first event is an error answer of its own. When the client vanishes, the job fails at its next event.

    Args:
        call: the request.
        work: does the work in a thread, telling its progress there; gives the event that ends it.
        write: translates an event into objects of Docker's stream.
        identity: by which the caller may cancel it; empty for none.
    """
    progress = _Progress(call.loop)
    job = call.loop.create_task(work(progress))
    job.add_done_callback(lambda _: progress.end())
    job.add_done_callback(lambda _: call.api.settle_soon())
    try:
        with call.api.jobs.known(call.uid, identity, progress):
            event = await progress.next()
            if event is None and job.exception() is not None:
                job.result()  # raises: nothing was sent yet
            return await _stream(call, progress, job, event, write)
    finally:
        progress.cancel("cancelled: the client closed the connection")
        job.cancel()


async def _stream(
    call: Call, progress: _Progress, job: "asyncio.Task[Finished]", event: Event | None, write: Write
) -> "StreamResponse":
    native = EVENTS_TYPE in call.request.headers.get("Accept", "")
    response = await call.stream(EVENTS_TYPE if native else "application/json")
    finished: Finished | None = None
    while event is not None:
        if isinstance(event, Finished):
            finished = event
        elif data := _lines(event, None if native else write):
            await response.write(data)
        event = await progress.next()
    await response.write(_lines(_last(job, finished), None if native else write))
    return response


def _last(job: "asyncio.Task[Finished]", told: Finished | None) -> Event:
    error = job.exception()
    if error is None:
        return told or job.result()
    if not isinstance(error, KistError):
        error = KistError(f"internal error: {type(error).__name__}: {error}")
    return Failed(type(error).__name__, str(error), error.hint, error.exit_code)


def _lines(event: Event, write: Write | None) -> bytes:
    if write is None:
        return encode(event) + b"\n"
    return b"".join(encode(line) + b"\r\n" for line in write(event))
