"""HTTP on a connection: what is odd, slow or cut short is answered, and nobody waits for ever."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.api.hangups import Hangups
from kist.api.http import BaseRequest, RequestPayloadError, Response, StreamResponse
from kist.api.patience import Patience, Turns
from kist.api.places import HANDED, Place, UnixPath, place_at
from kist.api.protocol import HttpServer
from kist.errors import Unavailable
from kist.spec.scope import read_scope

Scene = Callable[[socket.socket], Awaitable[None]]
PATIENCE = Patience()
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(request: BaseRequest) -> StreamResponse:
    """Answer with the target and the body."""
    try:
        response = Response(body=request.raw_path.encode() + b" " + await request.content.read())
    except RequestPayloadError:
        response = Response(status=400, text="cut short")
    request.protocol.end_with(response)  # type: ignore[attr-defined]
    return response


def play(scene: Scene, patience: Patience = PATIENCE, handler: Callable[..., Awaitable[StreamResponse]] = echo) -> None:
    """Serve one connection; the scene has its far end."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        hangups = Hangups()
        server = HttpServer(handler, None, patience, hangups)
        client, theirs = socket.socketpair()
        for end in (client, theirs):
            end.setblocking(False)
        await loop.connect_accepted_socket(server.at(HANDED), theirs)
        try:
            async with asyncio.timeout(5):
                await scene(client)
        finally:
            client.close()
            await server.shutdown(5)
            hangups.close()

    asyncio.run(run())


async def send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def receive_all(client: socket.socket) -> bytes:
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(client, 65536):
        parts.append(part)
    return b"".join(parts)


async def receive_until(client: socket.socket, words: bytes) -> bytes:
    received = b""
    while words not in received:
        part = await asyncio.get_running_loop().sock_recv(client, 65536)
        assert part, received
        received += part
    return received


def statuses(received: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def test_a_head_that_does_not_come_to_its_end_is_not_waited_for() -> None:
    async def scene(client: socket.socket) -> None:
        await send(client, PING)
        await receive_until(client, b"/ping")
        await send(client, PING[:-2])  # and the rest never
        received = await receive_all(client)
        assert statuses(received) == [408]
        assert b"the request's head is too slow" in received

    play(scene, Patience(head=0.05))


def test_an_idle_connection_is_left_alone() -> None:
    async def scene(client: socket.socket) -> None:
        for piece in (PING[:10], PING[10:]):
            await send(client, piece)
        await receive_until(client, b"/ping")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await receive_all(client)
        await send(client, PING)
        await receive_until(client, b"/ping")

    play(scene, Patience(head=0.05))


def test_others_do_not_take_all_connections() -> None:
    """Twenty thousand that said nothing had kept the engine's own user out."""
    scoped = place_at(UnixPath("/see.sock", scope=read_scope("read-only", [])))

    async def scene(ends: contextlib.ExitStack) -> None:
        loop = asyncio.get_running_loop()
        hangups = Hangups()
        ends.callback(hangups.close)
        server = HttpServer(echo, None, Patience(others=2), hangups)

        async def connect(place: Place) -> socket.socket:
            client, theirs = socket.socketpair()
            for end in (ends.enter_context(client), theirs):
                end.setblocking(False)
            await loop.connect_accepted_socket(server.at(place), theirs)
            return client

        async def ended(client: socket.socket) -> None:
            await send(client, PING.replace(b"Host", b"Connection: close\r\nHost"))
            assert statuses(await receive_all(client)) == [200]

        async with asyncio.timeout(5):
            first, second, third = [await connect(scoped) for _ in range(3)]
            received = await receive_all(third)
            assert statuses(received) == [503]
            assert b'{"message":"too many connections' in received
            await ended(await connect(HANDED))
            await ended(first)
            await ended(await connect(scoped))
            await ended(second)

    with contextlib.ExitStack() as ends:
        asyncio.run(scene(ends))


def test_a_head_without_end_is_cut_off() -> None:
    async def scene(client: socket.socket) -> None:
        await send(client, b"GET / HTTP/1.1\r\nHost: x\r\n")
        for number in range(40):
            await send(client, f"X-{number}: ".encode() + b"x" * 30_000 + b"\r\n")
        received = await receive_all(client)
        assert statuses(received) == [431]
        assert b"longer than 1024 KiB" in received

    play(scene)


@pytest.mark.parametrize("pieces", [1, 2])
def test_who_sends_no_more_is_still_answered(pieces: int) -> None:
    async def scene(client: socket.socket) -> None:
        await send(client, PING * pieces)
        client.shutdown(socket.SHUT_WR)
        assert statuses(await receive_all(client)) == [200] * pieces

    play(scene)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n9\r\nshort"]
)
def test_a_body_that_is_cut_short_is_an_error(framing: bytes) -> None:
    async def scene(client: socket.socket) -> None:
        await send(client, b"POST / HTTP/1.1\r\nHost: x\r\n" + framing)
        client.shutdown(socket.SHUT_WR)
        received = await receive_all(client)
        assert statuses(received) == [400]
        assert received.endswith(b"cut short")

    play(scene)


def test_a_body_that_looks_like_a_request_for_a_stream_is_a_body() -> None:
    inner = b"POST /containers/x/attach HTTP/1.1\r\nHost: x\r\n\r\n"
    begun = asyncio.Event()

    async def handler(request: BaseRequest) -> StreamResponse:
        begun.set()
        return await echo(request)

    async def scene(client: socket.socket) -> None:
        await send(client, b"PUT /archive HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (len(inner) + 4))
        await begun.wait()
        await send(client, inner + b"rest")
        assert (await receive_until(client, b"rest")).endswith(b"/archive " + inner + b"rest")

    play(scene, handler=handler)


def test_who_sends_no_more_and_then_vanishes_is_noticed() -> None:
    ended = asyncio.Event()

    async def endless(_request: BaseRequest) -> StreamResponse:
        try:
            await asyncio.Event().wait()
            raise AssertionError
        finally:
            ended.set()

    async def scene(client: socket.socket) -> None:
        await send(client, PING)
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await receive_all(client)
        assert not ended.is_set()
        client.close()
        await ended.wait()

    play(scene, handler=endless)


REQUESTS = st.lists(
    st.one_of(
        st.just(PING),
        st.binary(max_size=40).map(
            lambda body: b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        ),
        st.lists(st.binary(min_size=1, max_size=20), max_size=3).map(
            lambda parts: (
                b"PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"".join(b"%x\r\n" % len(part) + part + b"\r\n" for part in parts)
                + b"0\r\n\r\n"
            )
        ),
        st.just(b"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n"),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.lists(st.integers(1, 60), max_size=12))
def test_every_request_is_answered_however_its_bytes_are_cut(requests: list[bytes], cuts: list[int]) -> None:
    async def scene(client: socket.socket) -> None:
        left = b"".join(requests)
        for cut in cuts:
            await send(client, left[:cut])
            left = left[cut:]
            await asyncio.sleep(0)
        await send(client, left)
        client.shutdown(socket.SHUT_WR)
        assert statuses(await receive_all(client)) == [200] * len(requests)

    play(scene)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(
            st.sampled_from([b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\nHost: x\r\n"]), st.binary(max_size=80)
        ).map(b"".join),
        st.tuples(
            st.just(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"),
            st.text("0123456789abcdefg;=- \r\n", max_size=40).map(str.encode),
        ).map(b"".join),
    )
)
def test_whatever_comes_is_answered_or_closed_and_never_a_fault_of_ours(sent: bytes) -> None:
    async def scene(client: socket.socket) -> None:
        try:
            await send(client, sent)
            client.shutdown(socket.SHUT_WR)
            received = await receive_all(client)
        except (ConnectionError, BrokenPipeError):
            return  # it was closed over what it had not read
        assert all(status < 500 for status in statuses(received)), received

    play(scene)


# turns


def test_those_beyond_the_bound_wait_for_a_turn_and_no_longer_than_may_be() -> None:
    async def run() -> None:
        turns = Turns(Patience(bodies=1, turn=0.05))
        async with turns.turn(lambda: None):
            with pytest.raises(Unavailable, match="1 archives are being sent or received"):
                async with turns.turn(lambda: None):
                    pass
        async with turns.turn(lambda: None):
            assert turns.waiting() == 0

    asyncio.run(run())


@pytest.mark.parametrize(("pace", "outcome"), [(0, "none"), (1000, "its turn has come")])
def test_who_is_slower_than_may_be_goes_when_others_wait(pace: int, outcome: str) -> None:
    async def run() -> str:
        turns = Turns(Patience(bodies=1, look=0.02, pace=pace, turn=0.5))
        gone = asyncio.Event()

        async def slow() -> None:
            async with turns.turn(gone.set) as turn:
                turn.awaits_client = True
                while not gone.is_set():
                    turn.moved += 1
                    await asyncio.sleep(0.01)

        task = asyncio.create_task(slow())
        await asyncio.sleep(0.1)
        assert not gone.is_set()  # alone it may take its time
        try:
            async with turns.turn(lambda: None):
                return "its turn has come"
        except Unavailable:
            return "none"
        finally:
            gone.set()
            await task

    assert asyncio.run(run()) == outcome


def test_who_sends_nothing_at_all_goes_in_the_end() -> None:
    async def run() -> None:
        turns = Turns(Patience(look=0.02, stall=0.1))
        gone = asyncio.Event()
        async with turns.turn(gone.set) as turn:
            await asyncio.sleep(0.2)
            assert not gone.is_set()  # it was not the client who let it stand
            turn.awaits_client = True
            await asyncio.wait_for(gone.wait(), 5)

    asyncio.run(run())
