"""Bodies that the engine reads and writes as blocking files, in a thread of its own.

A socket pair joins the thread and the event loop, so the kernel keeps both at one pace and nothing piles up in memory.
"""

import asyncio
import contextlib
import io
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from kist.api.call import Call
from kist.api.http import RequestPayloadError
from kist.api.patience import TooSlow, Turn
from kist.errors import Corrupt, InvalidInput, KistError, Unavailable

if TYPE_CHECKING:
    from kist.api.http import StreamResponse

T = TypeVar("T")

_CHUNK = 256 << 10


class _Upload(io.RawIOBase):
    """The thread's end of a request body: a read-only file that fails where the client stopped half-way."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__()
        self._end = end
        self.failure: KistError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._end.recv_into(buffer)
        if not count and self.failure is not None:
            raise self.failure
        return count

    def close(self) -> None:
        self._end.close()
        super().close()


def _cut_short() -> KistError:
    return InvalidInput("the request body was cut short", hint="the client closed the connection half-way")


async def with_upload(call: Call, function: Callable[[BinaryIO], T]) -> T:
    """The result of a function that reads the request's body, called in a thread.

    The function may stop before the end; the rest of the body is then dropped. As long as the body comes it has one of
    a bounded number of turns (``kist.api.patience``): until it gets one, nothing is read of it, and no thread waits.

    Raises:
        Unavailable: there are too many others.
        TooSlow: the client sends nothing more.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    upload = _Upload(theirs)

    def work() -> T:
        with upload, io.BufferedReader(upload, _CHUNK) as reader:
            return function(cast("BinaryIO", reader))

    begun: asyncio.Future[None] = call.loop.create_future()
    feeding = call.loop.create_task(_feed(call, ours, upload, begun))
    try:
        await begun
        return await call.run_long(work)
    except Corrupt as error:
        error.http_status = 400  # what is damaged came from the client
        raise
    except BaseException:
        if not begun.done() or begun.cancelled() or begun.exception() is not None:
            upload.close()  # no thread has it
        raise
    finally:
        if not feeding.done():
            upload.failure = upload.failure or _cut_short()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(call: Call, ours: socket.socket, upload: _Upload, begun: "asyncio.Future[None]") -> None:
    """Bring the body to the thread; its end of file comes only after ``failure`` tells how it ended."""
    this = asyncio.current_task()
    assert this is not None

    def give_up() -> None:
        upload.failure = TooSlow("the request body does not come", hint="the client has stopped sending")
        this.cancel()

    whole = False
    try:
        async with call.api.uploads.turn(give_up, call.caller) as turn:
            begun.set_result(None)
            if call.request.body_exists:
                await call.expect()
                while part := await _next_part(call, turn):
                    await call.loop.sock_sendall(ours, part)
                    turn.moved += len(part)
            whole = True
    except Unavailable as error:
        begun.set_exception(error)
    except (RequestPayloadError, OSError):
        pass  # told to the thread below
    except InvalidInput as error:
        upload.failure = error
    finally:
        if not whole:
            upload.failure = upload.failure or _cut_short()
        ours.close()


async def _next_part(call: Call, turn: Turn) -> bytes:
    turn.awaits_client = True
    try:
        return await call.request.content.readany()
    finally:
        turn.awaits_client = False


async def with_download(
    call: Call, content_type: str, function: Callable[[BinaryIO], None], headers: Mapping[str, str] | None = None
) -> "StreamResponse":
    """The answer whose body a function writes, called in a thread, of which there is a bounded number.

    ``headers`` are further ones of the answer; the function may still set them before its first byte.

    An error before the first byte is an error answer; one after it ends the connection without the body's end, so that
    the client knows. When the client vanishes, or takes nothing for too long, the function's next write raises
    ``BrokenPipeError``.
    """
    transport = call.request.transport

    def give_up() -> None:
        if transport is not None:
            transport.abort()  # which cancels this call

    async with call.api.downloads.turn(give_up, call.caller) as turn:
        return await _download(call, content_type, function, headers, turn)


async def _download(
    call: Call,
    content_type: str,
    function: Callable[[BinaryIO], None],
    headers: Mapping[str, str] | None,
    turn: Turn,
) -> "StreamResponse":
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def work() -> None:
        with theirs, theirs.makefile("wb", _CHUNK) as target:
            function(cast("BinaryIO", target))

    writing = call.loop.create_task(call.run_long(work))
    try:
        with contextlib.closing(ours):
            chunks = _received(call, ours)
            chunk = await anext(chunks, b"")
            if not chunk:
                await writing
            response = await call.stream(content_type, headers)
            while chunk:
                turn.awaits_client = True
                await response.write(chunk)
                turn.awaits_client = False
                turn.moved += len(chunk)
                chunk = await anext(chunks, b"")
            await writing
            return response
    finally:
        writing.cancel()


async def _received(call: Call, ours: socket.socket) -> AsyncIterator[bytes]:
    while chunk := await call.loop.sock_recv(ours, _CHUNK):
        yield chunk
