"""Very many clients that listen at once, some of whom never read, and what is left of them when they have gone."""

import contextlib
import json
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import until

from .conftest import Server, image_tar
from .test_http import receive_head
from .test_websocket import handshake

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

LONG = bool(os.environ.get("KIST_LONG_TESTS"))
COUNT = 1000 if LONG else 100
KINDS = ("logs", "attach", "websocket", "events", "stats", "wait")


def opening(kind: str, container: str) -> bytes:
    """The request with which a client begins to listen."""
    if kind == "websocket":
        return handshake(f"/containers/{container}/attach/ws?stream=1&stdout=1")
    method, path = {
        "logs": ("GET", f"/containers/{container}/logs?stdout=1&follow=1"),
        "attach": ("POST", f"/containers/{container}/attach?stream=1&stdout=1"),
        "events": ("GET", "/events"),
        "stats": ("GET", f"/containers/{container}/stats"),
        "wait": ("POST", f"/containers/{container}/wait"),
    }[kind]
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def threads(server: Server) -> int:
    assert server.process is not None
    return len(os.listdir(f"/proc/{server.process.pid}/task"))


def memory(server: Server) -> int:
    """The engine's own, in KiB."""
    assert server.process is not None
    found = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(int(line.split()[1]) for line in found.splitlines() if line.startswith("Private_"))


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Enough of them for the clients here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * COUNT)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def listening(server: Server, container: str) -> Iterator[list[tuple[str, socket.socket]]]:
    """So many clients, of all kinds by turns, each of which has got its answer's head."""
    with contextlib.ExitStack() as stack:
        clients = []
        for number in range(COUNT):
            kind = KINDS[number % len(KINDS)]
            connection = stack.enter_context(server.connect())
            connection.sendall(opening(kind, container))
            clients.append((kind, connection))
        for _, connection in clients:
            assert receive_head(connection)[0] in {101, 200}
        yield clients


def read_until(connection: socket.socket, words: bytes) -> None:
    received = b""
    while words not in received:
        part = connection.recv(65536)
        assert part
        received += part


def test_many_listen_at_once_and_leave_nothing_behind(fresh_server: Server) -> None:
    server = fresh_server
    made = server.create("cat", OpenStdin=True)
    server.good("POST", f"/containers/{made}/start")
    server.good("GET", "/containers/json")

    def round_of_listeners(words: bytes) -> None:
        with listening(server, made) as clients:
            with server.connect() as typing:
                typing.sendall(f"POST /containers/{made}/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                receive_head(typing)
                typing.sendall(words + b"\n")
                for number, (kind, connection) in enumerate(clients):
                    if kind in {"logs", "attach", "websocket"} and number % 4:  # every fourth reads nothing at all
                        read_until(connection, words)
            assert server.ask("GET", "/_ping").status == 200
            executed = server.good("POST", f"/containers/{made}/exec", {"Cmd": ["true"]})
            assert server.ask("POST", f"/exec/{executed['Id']}/start", {"Detach": True}).status == 200
            for kind, connection in clients:
                if kind == "events":
                    read_until(connection, b"exec_start")

    before = server.descriptors
    round_of_listeners(b"said first")  # what the engine loads and keeps for good comes with the first
    assert server.settles_at(before)
    at_rest, used = threads(server), memory(server)
    round_of_listeners(b"said next")
    assert server.settles_at(before)
    until(lambda: threads(server) <= at_rest)
    until(lambda: memory(server) <= used + 4096)
    server.remove(made)


def test_all_who_wait_hear_of_the_end(fresh_server: Server) -> None:
    server = fresh_server
    made = server.create("cat", OpenStdin=True, StdinOnce=True)
    server.good("POST", f"/containers/{made}/start")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(COUNT)]
        for number, connection in enumerate(clients):
            kind = ("wait", "logs", "attach")[number % 3]
            connection.sendall(opening(kind, made))
        heads = [receive_head(connection) for connection in clients]
        assert {status for status, _ in heads} == {200}
        server.good("POST", f"/containers/{made}/kill")
        for number, (connection, (_, rest)) in enumerate(zip(clients, heads, strict=True)):
            received = rest
            ending = b"0\r\n\r\n" if number % 3 < 2 else b""
            while not (ending and received.endswith(ending)) and (part := connection.recv(65536)):
                received += part
            if number % 3 == 0:
                assert b'"StatusCode": 137' in received or json.loads(received.split(b"\r\n")[1])["StatusCode"] == 137
    server.remove(made)


def test_archives_that_do_not_come_hold_a_bounded_number_of_threads(fresh_server: Server) -> None:
    server = fresh_server
    head = b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    server.good("GET", "/containers/json")
    before, at_rest = server.descriptors, threads(server)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(server.connect()).sendall(head + bytes(512))
        until(lambda: threads(server) >= at_rest + 50)  # of those at rest some may have been about to end
        assert server.ask("GET", "/_ping").status == 200
        assert server.good("GET", "/images/json")
        assert threads(server) < at_rest + 64 + 16
    assert server.settles_at(before)
    until(lambda: threads(server) <= at_rest + 8)  # of short calls
    server.good("POST", "/images/create?fromSrc=-&repo=again:1", raw=image_tar())


@pytest.mark.skipif(not LONG, reason="takes a minute; KIST_LONG_TESTS=1 runs it")
def test_what_does_not_come_is_waited_for_so_long_and_no_longer(server: Server) -> None:
    cases = (
        (b"GET /_ping HTTP/1.1\r\nHost: x\r\n", b"the request's head is too slow", 30),
        (
            b'POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"Image":',
            b"the request body has not come within 60 seconds",
            60,
        ),
    )
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in cases]
        for client, (sent, _, _) in zip(clients, cases, strict=True):
            client.settimeout(90)
            client.sendall(sent)
        for client, (_, words, seconds) in zip(clients, cases, strict=True):
            status, received = receive_head(client)
            while words not in received:
                part = client.recv(65536)
                assert part
                received += part
            assert status == 408
            assert seconds <= time.monotonic() - begun < seconds + 20
