"""Long verbs (build, bootstrap, load, import) that tell their progress while they work, as a stream of JSON lines."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from kist.api.call import Call
from kist.engine.stop import Stop
from kist.errors import KistError, Unavailable
from kist.spec.docker.progress import EVENTS_TYPE
from kist.spec.json import encode
from kist.spec.progress import Event, Failed, Finished, OutputData, StepProgress

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
_MANY = 64  # events that are sent at once
_PAUSE = 0.01  # seconds before each piece of an answer, for what follows shortly


class _Progress:
    """Events on their way from the job's thread to the event loop, at most ``_MOST_PENDING`` of them.

    What comes shortly after the last piece of the answer, or after the beginning, waits a moment for what else comes:
    each piece wakes the loop, which the job waits for then, and the client. That takes longer than most of what is told
    (that a step was there already). A build whose steps are all there is told in one piece, when it is done.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Made in the loop."""
        self._loop = loop
        self._room = threading.Semaphore(_MOST_PENDING)
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._ended = False
        self._cancelled = ""
        self.stop = Stop()
        self._called = False  # the loop looks, or will
        self._timer: asyncio.TimerHandle | None = None
        self._pause()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to come after what ``next`` has given."""
        return self._ended and not self._events

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
        self._events.append(event)
        if isinstance(event, OutputData) or len(self._events) == _MANY:
            self._call(self._ready.set)
        elif not self._called:
            self._called = True
            self._call(self._ready.set)

    def _call(self, callback: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: the engine is going down
            self._loop.call_soon_threadsafe(callback)

    def _pause(self) -> None:
        """Have the loop look in a moment, so that what is told until then needs not wake it."""
        if self._timer is not None:
            self._timer.cancel()
        self._called = True
        self._timer = self._loop.call_later(_PAUSE, self._look)

    def _look(self) -> None:
        """Have sent what was told meanwhile (called in the loop); what comes after this look wakes the loop itself."""
        self._called = False
        if self._events:
            self._ready.set()

    def end(self) -> None:
        """No event comes any more (called in the loop)."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._ready.set()

    async def next(self) -> list[Event]:
        """The events that came since the last call, at least one; none after the last of all."""
        events: list[Event] = []
        while not events and (self._events or not self._ended):
            if not self._ended:
                await self._ready.wait()
                self._ready.clear()
            while self._events and len(events) < _MANY:
                events.append(self._events.popleft())
                self._room.release()
            if self._events:
                self._ready.set()
        if not self._ended:
            self._pause()
        return events

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
    began = call.loop.time()
    job.add_done_callback(lambda _: call.api.settle_soon(call.loop.time() - began))
    try:
        with call.api.jobs.known(call.uid, identity, progress):
            events = await progress.next()
            if not events and job.exception() is not None:
                job.result()  # raises: nothing was sent yet
            return await _stream(call, progress, job, events, write)
    finally:
        if not job.done():
            progress.cancel("cancelled: the client closed the connection")
            job.cancel()


async def _stream(
    call: Call, progress: _Progress, job: "asyncio.Task[Finished]", events: list[Event], write: Write
) -> "StreamResponse":
    native = EVENTS_TYPE in call.request.headers.get("Accept", "")
    response = await call.stream(EVENTS_TYPE if native else "application/json", whole=True)
    finished: Finished | None = None
    data = b""
    while events:
        told = [event for event in events if not isinstance(event, Finished)]
        finished = next((event for event in events if isinstance(event, Finished)), finished)
        data = b"".join(_lines(event, None if native else write) for event in told)
        if progress.is_over:
            break
        await response.write(data)  # where it is empty, what goes are the headers
        events, data = await progress.next(), b""
    await response.write_eof(data + _lines(_last(job, finished), None if native else write))
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
