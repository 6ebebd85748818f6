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
from kist.errors import Corrupt, InvalidInput

if TYPE_CHECKING:
    from kist.api.http import StreamResponse

T = TypeVar("T")

_CHUNK = 256 << 10


class _Upload(io.RawIOBase):
    """The thread's end of a request body: a read-only file that fails where the client stopped half-way."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__()
        self._end = end
        self.cut_short = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._end.recv_into(buffer)
        if not count and self.cut_short:
            raise InvalidInput("the request body was cut short", hint="the client closed the connection half-way")
        return count

    def close(self) -> None:
        self._end.close()
        super().close()


async def with_upload(call: Call, function: Callable[[BinaryIO], T]) -> T:
    """The result of a function that reads the request's body, called in a thread.

    The function may stop before the end; the rest of the body is then dropped.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    upload = _Upload(theirs)

    def work() -> T:
        with upload, io.BufferedReader(upload, _CHUNK) as reader:
            return function(cast("BinaryIO", reader))

    feeding = call.loop.create_task(_feed(call, ours, upload))
    try:
        return await call.run_long(work)
    except Corrupt as error:
        error.http_status = 400  # what is damaged came from the client
        raise
    finally:
        if not feeding.done():
            upload.cut_short = True
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(call: Call, ours: socket.socket, upload: _Upload) -> None:
    """Bring the body to the thread; its end of file comes only after ``cut_short`` tells how it ended."""
    whole = False
    try:
        if call.request.body_exists:
            await call.expect()
            while part := await call.request.content.readany():
                await call.loop.sock_sendall(ours, part)
        whole = True
    except (RequestPayloadError, OSError):
        pass  # told to the thread below
    finally:
        upload.cut_short = upload.cut_short or not whole
        ours.close()


async def with_download(
    call: Call, content_type: str, function: Callable[[BinaryIO], None], headers: Mapping[str, str] | None = None
) -> "StreamResponse":
    """The answer whose body a function writes, called in a thread.

    ``headers`` are further ones of the answer; the function may still set them before its first byte.

    An error before the first byte is an error answer; one after it ends the connection without the body's end, so that
    the client knows. When the client vanishes, the function's next write raises ``BrokenPipeError``.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def work() -> None:
        with theirs, theirs.makefile("wb", _CHUNK) as target:
            function(cast("BinaryIO", target))

    writing = call.loop.create_task(call.run_long(work))
    try:
        with contextlib.closing(ours):
            chunks = _received(call, ours)
            first = await anext(chunks, b"")
            if not first:
                await writing
            response = await call.stream(content_type, headers)
            await response.write(first)
            async for chunk in chunks:
                await response.write(chunk)
            await writing
            return response
    finally:
        writing.cancel()


async def _received(call: Call, ours: socket.socket) -> AsyncIterator[bytes]:
    while chunk := await call.loop.sock_recv(ours, _CHUNK):
        yield chunk
