"""Attached streams: a client's connection and the engine's socket, joined until both directions have ended.

Nothing here holds a thread. Each direction moves at the pace of its slower end (a full socket stops the reading of the
other), each ends on its own (half-close), and a client that vanishes frees everything.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from kist.api.call import HEADERS, Call
from kist.api.hangups import Hangups
from kist.api.http import AbstractStreamWriter, BaseRequest, StreamResponse
from kist.api.logstream import Replay
from kist.api.protocol import Protocol
from kist.errors import KistError
from kist.spec.detach import DEFAULT_KEYS, DetachKeys
from kist.spec.docker.execs import read_keys
from kist.spec.docker.frames import MULTIPLEXED_STREAM, RAW_STREAM

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_CHUNK = 64 << 10
_LINGER_SECONDS = 5.0
_PAUSES = (0.0,) * 20 + (0.001,) * 200 + (0.01,) * 100


class Leaving(NamedTuple):
    """How a client of a terminal detaches.

    Attributes:
        keys: what is typed to detach; none where there are none.
        note: called when that was typed, before the engine's end is closed.
    """

    keys: bytes
    note: Callable[[], Awaitable[None]]


def keys_of(call: Call, text: str) -> bytes:
    """The keys that detach, as a request has their words: else Docker's usual ones, where a client of Docker's asks.

    Kist's own clients look for the keys themselves.
    """
    return read_keys(text) or (DEFAULT_KEYS if call.from_docker else b"")


class Session:
    """One attached stream.

    Args:
        client: the client's connection, taken from HTTP.
        engine: the engine's end; its end of file is the stream's.
        hangups: tells of clients that vanish after a half-close.
        early: what the client had sent already.
        forward: whether the client's bytes are wanted; otherwise they are read and dropped.
        before: what the client gets ahead of the engine's stream.
        leaving: by which keys the client detaches.
    """

    def __init__(
        self,
        client: socket.socket,
        engine: socket.socket,
        hangups: Hangups,
        *,
        early: bytes,
        forward: bool,
        before: Replay | None = None,
        leaving: Leaving | None = None,
    ) -> None:
        self._client = client
        self._engine = engine
        self._hangups = hangups
        self._early = early
        self._forward = forward
        self._before = before
        self._leaving = leaving
        self._left = asyncio.Event()

    async def run(self) -> None:
        """Carry both directions until the engine's has ended or the client is gone; closes both sockets."""
        loop = asyncio.get_running_loop()
        upstream = loop.create_task(self._upstream(loop))
        vanished = loop.create_task(self._vanished(upstream))
        downstream = loop.create_task(self._downstream(loop))
        left = loop.create_task(self._left.wait())
        tasks = (upstream, vanished, downstream, left)
        try:
            await asyncio.wait((downstream, vanished, left), return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                downstream.cancel()
                await asyncio.wait((downstream,))
                self._engine.close()  # the container need not wait for who lingers below
            if not vanished.done():
                await self._say_goodbye(upstream)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._client.close()
            self._engine.close()
            if self._before is not None:
                self._before.close()

    async def _downstream(self, loop: "AbstractEventLoop") -> None:
        with contextlib.suppress(OSError):  # a reset is an end as well
            begun = False
            async for data in self._output(loop):
                if not begun:
                    await _until_read(self._client)
                    begun = True
                await loop.sock_sendall(self._client, data)

    async def _output(self, loop: "AbstractEventLoop") -> AsyncIterator[bytes]:
        if self._before is not None:
            async for data in self._before:
                yield data
        while data := await loop.sock_recv(self._engine, _CHUNK):
            yield data

    async def _upstream(self, loop: "AbstractEventLoop") -> None:
        """Bring the client's bytes to the engine, then its end; goes on reading when the engine takes no more."""
        data = self._early
        self._early = b""
        keys = DetachKeys(self._leaving.keys if self._leaving else b"")
        with contextlib.suppress(OSError):
            while data or (data := await loop.sock_recv(self._client, _CHUNK)):
                if self._forward:
                    await self._send(loop, keys.feed(data))
                    if keys.detached:
                        await self._leave()
                data = b""
        if self._forward:
            self._half_close(self._engine)

    async def _leave(self) -> None:
        assert self._leaving is not None
        self._forward = False  # what is typed after the keys is for nobody
        with contextlib.suppress(KistError):  # it has ended just now
            await self._leaving.note()
        self._left.set()

    async def _send(self, loop: "AbstractEventLoop", data: bytes) -> None:
        try:
            await loop.sock_sendall(self._engine, data)
        except OSError:
            self._forward = False  # the container closed its input; its output goes on

    async def _vanished(self, upstream: "asyncio.Task[None]") -> None:
        await asyncio.wait((upstream,))
        await self._hangups.wait(self._client)

    async def _say_goodbye(self, upstream: "asyncio.Task[None]") -> None:
        """End our direction, and let the client end its own: closing over unread bytes would reset the connection."""
        self._half_close(self._client)
        self._forward = False
        await asyncio.wait((upstream,), timeout=_LINGER_SECONDS)

    def _half_close(self, end: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it is gone already
            end.shutdown(socket.SHUT_WR)


async def _until_read(connection: socket.socket) -> None:
    """Wait a while for the client to read what was sent (unix(7), SIOCOUTQ): the answer's head.

    docker-py reads the head through a buffer and the stream past it: what had arrived together with the head it loses.
    Docker's own engine is so much slower that it is rarely seen there.
    """
    for pause in _PAUSES:
        if not struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"))[0]:
            return
        await asyncio.sleep(pause)


class _Taken(StreamResponse):
    """Tells aiohttp that the connection is no longer its own: nothing to send, nothing to keep alive."""

    @property
    def keep_alive(self) -> bool | None:
        return False

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002 - aiohttp's signature
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is sent here."""


def stream_type(call: Call, *, tty: bool) -> str:
    """The content type of a stream: whether it is in frames."""
    return MULTIPLEXED_STREAM if not tty and call.follows("streams tell their kind") else RAW_STREAM


async def hijack(
    call: Call,
    engine: socket.socket,
    content_type: str,
    *,
    forward: bool,
    before: Replay | None = None,
    leaving: Leaving | None = None,
    headers: Mapping[str, str] = HEADERS,
) -> StreamResponse:
    """Turn the request's connection into a raw stream, joined with the engine's socket.

    Answers 101 to a client that asked for ``Upgrade: tcp``, and 200 without a length, the old raw way, to any other
    (Engine API, ContainerAttach, "Hijacking"). Takes the engine's socket over whatever happens, and what is ``before``.
    """
    client = None
    try:
        client = await _take_connection(call, _head(call.request, content_type, headers))
    finally:
        if client is None:
            engine.close()
            if before is not None:
                before.close()
    if client is None:
        return _Taken()
    engine.setblocking(False)
    early = cast("Protocol", call.request.protocol).take_early()
    call.noted.answered(101 if is_upgrade(call.request) else 200)
    hangups = call.api.hangups
    session = Session(client, engine, hangups, early=early, forward=forward, before=before, leaving=leaving)
    call.api.adopt(session, call.noted)
    return _Taken()


def is_upgrade(request: BaseRequest) -> bool:
    """Whether the client asks for another protocol on this connection (RFC 9110, section 7.8)."""
    return "upgrade" in request.headers.get("Connection", "").lower()


def _head(request: BaseRequest, content_type: str, headers: Mapping[str, str]) -> bytes:
    if is_upgrade(request):
        lines = ["HTTP/1.1 101 UPGRADED", f"Content-Type: {content_type}", "Connection: Upgrade", "Upgrade: tcp"]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def _take_connection(call: Call, head: bytes) -> socket.socket | None:
    """A descriptor of our own for the client's connection, after the answer's head; None when the client is gone.

    aiohttp closes its descriptor and forgets the connection, so an attached session costs no HTTP state.
    """
    transport = call.request.transport
    if transport is None or transport.is_closing():
        return None
    transport.pause_reading()
    transport.write(head)
    transport.set_write_buffer_limits(0)
    await call.request.writer.drain()
    if transport.is_closing():
        return None
    client = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    client.setblocking(False)
    return client
