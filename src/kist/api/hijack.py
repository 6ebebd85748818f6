"""From a request to a raw stream: the answer's head, and the connection taken from HTTP (``kist.api.session``)."""

import os
import socket
from collections.abc import Mapping
from typing import cast

from kist.api.call import HEADERS, Call
from kist.api.http import AbstractStreamWriter, BaseRequest, StreamResponse
from kist.api.logstream import Replay
from kist.api.protocol import Protocol
from kist.api.session import Leaving, Session
from kist.spec.detach import DEFAULT_KEYS
from kist.spec.docker.execs import read_keys
from kist.spec.docker.frames import MULTIPLEXED_STREAM, RAW_STREAM


def keys_of(call: Call, text: str) -> bytes:
    """The keys that detach, as a request has their words: else Docker's usual ones, where a client of Docker's asks.

    Kist's own clients look for the keys themselves.
    """
    return read_keys(text) or (DEFAULT_KEYS if call.from_docker else b"")


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
    patient: bool = True,
) -> StreamResponse:
    """Turn the request's connection into a raw stream, joined with the engine's socket.

    Answers 101 to a client that asked for ``Upgrade: tcp``, and 200 without a length, the old raw way, to any other
    (Engine API, ContainerAttach, "Hijacking"). The stream follows once the client has read the answer's head; one that
    is not ``patient`` may get both together. Takes the engine's socket over whatever happens, and what is ``before``.
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
    session = Session(
        client,
        engine,
        hangups,
        early=early,
        forward=forward,
        before=before,
        leaving=leaving,
        patient=patient,
    )
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
