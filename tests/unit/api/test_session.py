import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

import pytest

from kist.api.hangups import Hangups
from kist.api.protocol import split_hijack
from kist.api.session import Leaving, Session
from kist.errors import Conflict

if TYPE_CHECKING:
    from kist.api.logstream import Replay

MEGABYTE = 1 << 20
Scene = Callable[[socket.socket, socket.socket, "asyncio.Task[None]"], Awaitable[None]]


class Printed:
    """What a container has printed before: nothing."""

    def __aiter__(self) -> "Printed":
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    def close(self) -> None:
        """Nothing is open."""


def play(
    scene: Scene,
    *,
    head: bytes = b"",
    early: bytes = b"",
    forward: bool = True,
    leaving: Leaving | None = None,
    before: Printed | None = None,
) -> None:
    """Run a session between two sockets; the scene has the far ends of both, and the session's task."""

    async def run() -> None:
        client, their_client = socket.socketpair()
        engine, their_engine = socket.socketpair()
        for end in (client, their_client, engine, their_engine):
            end.setblocking(False)
        their_client.send(head)
        hangups = Hangups()
        session = Session(
            their_client, their_engine, hangups,
            early=early, forward=forward, leaving=leaving, before=cast("Replay | None", before),
        )  # fmt: skip
        task = asyncio.get_running_loop().create_task(session.run())
        async with asyncio.timeout(20):
            await scene(client, engine, task)
            client.close()
            engine.close()
            await task
        assert (their_client.fileno(), their_engine.fileno()) == (-1, -1)
        hangups.close()

    asyncio.run(run())


async def receive_all(end: socket.socket) -> bytes:
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(end, MEGABYTE):
        parts.append(part)
    return b"".join(parts)


async def send(end: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(end, data)


async def receive(end: socket.socket, size: int) -> bytes:
    return await asyncio.get_running_loop().sock_recv(end, size)


async def fill(end: socket.socket) -> int:
    """Send until nothing moves any more; how many bytes went."""
    sent = turns = 0
    while turns < 200 and sent < 64 * MEGABYTE:
        try:
            sent += end.send(b"x" * 65536)
            turns = 0
        except BlockingIOError:
            turns += 1
            await asyncio.sleep(0)
    return sent


def test_bytes_go_both_ways():
    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        await send(client, b"in")
        assert await receive(engine, 10) == b"in"
        await send(engine, b"out")
        assert await receive(client, 10) == b"out"

    play(scene)


def test_what_the_client_had_sent_early_comes_first():
    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        assert await receive(engine, 10) == b"early"
        await send(client, b"later")
        assert await receive(engine, 10) == b"later"

    play(scene, early=b"early")


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_the_stream_begins_once_the_client_has_read_the_head_however_late(seconds: float):
    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        await send(engine, b"stream")
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
        assert client.recv(100) == b"head"
        assert await receive(client, 100) == b"stream"

    play(scene, head=b"head")


def test_the_end_of_input_leaves_output_open():
    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        await send(client, b"last words")
        client.shutdown(socket.SHUT_WR)
        assert await receive_all(engine) == b"last words"
        await send(engine, b"still here")
        engine.close()
        assert await receive_all(client) == b"still here"

    play(scene)


def test_the_end_of_output_ends_the_session_once_the_client_has_heard_it():
    async def scene(client: socket.socket, engine: socket.socket, task: "asyncio.Task[None]") -> None:
        await send(engine, b"done")
        engine.close()
        assert await receive_all(client) == b"done"
        assert not task.done()
        client.close()
        await task

    play(scene)


def test_input_that_nobody_reads_any_more_does_not_lose_the_output():
    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        engine.shutdown(socket.SHUT_RD)
        sending = asyncio.get_running_loop().create_task(send(client, b"x" * 4 * MEGABYTE))
        await send(engine, b"result")
        engine.shutdown(socket.SHUT_WR)
        assert await receive_all(client) == b"result"
        await sending

    play(scene)


def test_input_that_was_not_asked_for_is_dropped():
    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        await send(client, b"x" * MEGABYTE)
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(BlockingIOError):
            engine.recv(10)

    play(scene, early=b"early", forward=False)


def test_a_client_that_vanishes_frees_the_engines_end():
    async def scene(client: socket.socket, engine: socket.socket, task: "asyncio.Task[None]") -> None:
        client.close()
        assert await receive_all(engine) == b""
        await task

    play(scene)


def test_a_client_that_vanishes_after_a_half_close_frees_the_engines_end():
    async def scene(client: socket.socket, engine: socket.socket, task: "asyncio.Task[None]") -> None:
        client.shutdown(socket.SHUT_WR)
        assert await receive_all(engine) == b""
        assert not task.done()
        client.close()
        await task

    play(scene)


def test_a_client_that_does_not_read_stops_the_engines_end_and_nothing_piles_up():
    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        sent = await fill(engine)
        assert sent < 4 * MEGABYTE
        engine.shutdown(socket.SHUT_WR)
        assert len(await receive_all(client)) >= sent

    play(scene)


def test_the_keys_that_detach_end_the_stream_once_that_is_noted():
    noted: list[str] = []

    async def note() -> None:
        noted.append("left")
        raise Conflict("it has ended just now")

    async def scene(client: socket.socket, engine: socket.socket, task: "asyncio.Task[None]") -> None:
        await send(client, b"typed\x10")
        assert await receive(engine, 100) == b"typed"
        await send(client, b"\x11never")
        assert await receive_all(engine) == b""
        assert noted == ["left"]
        assert await receive_all(client) == b""
        assert not task.done()

    play(scene, leaving=Leaving(b"\x10\x11", note))


@pytest.mark.parametrize("before", [None, Printed()])
def test_who_detaches_before_reading_the_head_takes_nobody_elses_bytes(before: Printed | None):
    async def note() -> None:
        """There is nobody to tell."""

    async def scene(client: socket.socket, engine: socket.socket, _task: "asyncio.Task[None]") -> None:
        if before is None:
            await send(engine, b"stream")
        await send(client, b"\x10\x11")
        while await receive(engine, 100):
            pass  # until its other end is closed, whose number the next one gets
        others = [socket.socketpair() for _ in range(3)]
        for ours, _theirs in others:
            ours.setblocking(False)
        waiting = [asyncio.create_task(receive(ours, 10)) for ours, _theirs in others]
        await asyncio.sleep(0)
        assert await receive(client, 100) == b"head"
        assert await receive_all(client) == b""
        await asyncio.sleep(0.3)  # longer than the session waits before it looks again
        for _ours, theirs in others:
            theirs.send(b"theirs")
        assert await asyncio.gather(*waiting) == [b"theirs"] * 3
        for pair in others:
            for end in pair:
                end.close()

    play(scene, head=b"head", leaving=Leaving(b"\x10\x11", note), before=before)


HEAD = b"POST /v1.41/containers/abc/attach?stdin=1&stream=1 HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        (HEAD + b"\r\nstdin", len(HEAD) + 2),
        (HEAD + b"Content-Length: 0\r\n\r\nstdin", len(HEAD) + 21),
        (HEAD + b"content-length:2\r\n\r\n{}stdin", len(HEAD) + 22),
        (b"POST /exec/abc/start HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}", 61),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", None),
        (HEAD, None),
        (b"POST /containers/abc/start HTTP/1.1\r\n\r\nx", None),
        (b"GET /containers/abc/attach/ws HTTP/1.1\r\n\r\nx", None),
        (b"POST /containers/a/b/attach HTTP/1.1\r\n\r\nx", None),
        (b"", None),
    ],
)
def test_where_the_stream_of_a_hijacking_request_begins(data: bytes, cut: int | None):
    assert split_hijack(data) == cut
