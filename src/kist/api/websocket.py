"""Attached streams over a websocket (RFC 6455; Engine API, ContainerAttachWebsocket).

Messages to the client hold what the container printed, stdout and stderr as they come and without frames of Docker's;
messages from it, text or binary, are its input. A websocket has no half-close: the client's close is the end of a
container's input where that can end, and then the rest of the output still comes; else it is the client's good-bye.
"""

import asyncio
import base64
import codecs
import contextlib
import select
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from kist.api.call import HEADERS, Call
from kist.api.http import BaseRequest, Response, StreamResponse, WebSocketResponse, WSMsgType
from kist.api.logstream import Replay
from kist.api.protocol import error_response
from kist.api.session import Leaving
from kist.errors import Forbidden, InvalidInput, KistError
from kist.spec.detach import DetachKeys
from kist.spec.docker.frames import FrameReader

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_CHUNK = 64 << 10
_MAX_MESSAGE = 4 << 20
_LINGER_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
_VERSION = "13"


class Manner(msgspec.Struct, frozen=True):
    """How a container's streams are carried.

    Attributes:
        framed: the engine's stream has a header before each piece: the container has no terminal.
        text: messages are text, as before API 1.28, with U+FFFD for what is no UTF-8.
        forward: the client's messages are wanted.
        ends_input: the client's close ends the container's input, and its output goes on.
    """

    framed: bool
    text: bool
    forward: bool
    ends_input: bool


def refusal(request: BaseRequest) -> Response | None:
    """The answer to a handshake that cannot be taken; None for one that can (RFC 6455, section 4.2.1).

    A browser says which page's script connects, and no page is the engine's: whatever it names is refused, because a
    page can have its own name lead to this machine, and a websocket obeys no other rule of browsers.
    """
    headers = request.headers
    if "websocket" not in headers.get("Upgrade", "").lower() or "upgrade" not in headers.get("Connection", "").lower():
        return error_response(InvalidInput("not a websocket handshake", hint="send Upgrade: websocket"))
    if headers.get("Sec-WebSocket-Version", "").strip() != _VERSION:
        response = error_response(InvalidInput(f"only version {_VERSION} of websockets is spoken here"), status=426)
        response.headers["Sec-WebSocket-Version"] = _VERSION
        return response
    if not _is_key(headers.get("Sec-WebSocket-Key", "")):
        return error_response(InvalidInput("the header Sec-WebSocket-Key has to be 16 bytes in base64"))
    if "Origin" in headers:
        return error_response(
            Forbidden("a browser's page may not attach to a container", hint="connect without the header Origin")
        )
    return None


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 16
    except ValueError:
        return False


async def serve(
    call: Call, engine: socket.socket, manner: Manner, *, before: Replay | None, leaving: Leaving | None
) -> StreamResponse:
    """Join a websocket with the engine's socket, until either is done. Takes over both that and what is ``before``."""
    carrier = WebSocketResponse(
        timeout=_LINGER_SECONDS, autoclose=False, compress=False, max_msg_size=_MAX_MESSAGE, writer_limit=_CHUNK
    )
    carrier.headers.update(HEADERS)
    with contextlib.closing(engine), contextlib.closing(before) if before else contextlib.nullcontext():
        engine.setblocking(False)
        await carrier.prepare(call.request)
        call.noted.answered(101)
        call.api.track(asyncio.current_task())
        await _Session(call, carrier, engine, manner, before, leaving).carry()
    await carrier.close()
    return carrier


class _Session:
    def __init__(
        self,
        call: Call,
        carrier: WebSocketResponse,
        engine: socket.socket,
        manner: Manner,
        before: Replay | None,
        leaving: Leaving | None,
    ) -> None:
        self._call = call
        self._carrier = carrier
        self._engine = engine
        self._manner = manner
        self._before = before
        self._leaving = leaving

    async def carry(self) -> None:
        """Carry both directions until the engine's has ended or the client is done."""
        loop = self._call.loop
        tasks = (loop.create_task(self._output(loop)), loop.create_task(self._input(loop)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[1].done() and tasks[1].result():
                await asyncio.wait(tasks[:1])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _output(self, loop: "AbstractEventLoop") -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(ConnectionError):  # the client has gone
            async for data in self._pieces(loop):
                if not self._manner.text:
                    await self._carrier.send_bytes(data)
                elif text := decoder.decode(data):
                    await self._carrier.send_str(text)
            if rest := decoder.decode(b"", final=True):
                await self._carrier.send_str(rest)

    async def _pieces(self, loop: "AbstractEventLoop") -> AsyncIterator[bytes]:
        if self._before is not None:
            async for data in self._before:
                yield data
        frames = FrameReader()
        while data := await loop.sock_recv(self._engine, _CHUNK):
            if self._manner.framed:
                data = b"".join(payload for _, payload in frames.feed(data))
            if data:
                yield data

    async def _input(self, loop: "AbstractEventLoop") -> bool:
        """Bring the client's messages to the engine; whether the output is to go on after the last."""
        keys = DetachKeys(self._leaving.keys if self._leaving else b"")
        forward = self._manner.forward
        while (message := await self._carrier.receive()).type in {WSMsgType.BINARY, WSMsgType.TEXT}:
            if not forward:
                continue
            data = keys.feed(message.data if message.type is WSMsgType.BINARY else message.data.encode())
            forward = await self._send(loop, data)
            if keys.detached and self._leaving is not None:
                with contextlib.suppress(KistError):  # it has ended just now
                    await self._leaving.note()
                return False
        if message.type is not WSMsgType.CLOSE or not self._manner.ends_input:
            return False
        with contextlib.suppress(OSError):  # it has ended already
            self._engine.shutdown(socket.SHUT_WR)
        return True

    async def _send(self, loop: "AbstractEventLoop", data: bytes) -> bool:
        """Give the engine the client's bytes; False where it takes no more. A client that goes meanwhile is noticed.

        While the container takes nothing, nothing is read from the client, and so not its end either.
        """
        sending = loop.create_task(loop.sock_sendall(self._engine, data))
        hanging: asyncio.Task[None] | None = None
        transport = self._call.request.transport
        try:
            await asyncio.wait((sending,), timeout=_PATIENCE_SECONDS)
            if not sending.done() and transport is not None:
                hanging = loop.create_task(self._call.api.hangups.wait_beside(transport, select.EPOLLRDHUP))
                await asyncio.wait((sending, hanging), return_when=asyncio.FIRST_COMPLETED)
                if not sending.done():
                    transport.abort()
        finally:
            for task in (sending, hanging):
                if task is not None and not task.done():
                    task.cancel()
        return sending.done() and not sending.cancelled() and sending.exception() is None
