"""Hijacked streams, logs, events, measurements and waits as plain HTTP sees them, with what is odd about each."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from .conftest import Server
from .test_http import attach, demultiplex, receive_all, receive_head

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

DOCKER = "User-Agent: Docker-Client/1\r\n"


def receive_until(connection: socket.socket, words: bytes) -> bytes:
    received = b""
    while words not in received:
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


def events_of(server: Server, identity: str, *actions: str) -> list[str]:
    """What happened to a container so far, of these actions."""
    filters = json.dumps({"container": [identity], "event": list(actions)}).replace(" ", "")
    lines = server.ask("GET", f"/events?since=1&until={time.time()}&filters={filters}").lines
    return [line["Action"] for line in lines]


@pytest.fixture
def terminal(server: Server) -> Iterator[str]:
    """A running container with a terminal."""
    made = server.run("cat", Tty=True, OpenStdin=True)
    yield made
    server.remove(made)


# the keys that detach


@pytest.mark.parametrize(
    ("query", "headers", "keys"),
    [("", DOCKER, b"\x10\x11"), ("&detachKeys=ctrl-a,DEL", "", b"\x01\x7f")],
)
def test_typed_keys_detach_and_the_container_goes_on(
    server: Server, terminal: str, query: str, headers: str, keys: bytes
) -> None:
    with server.connect() as connection:
        path = f"/containers/{terminal}/attach?stream=1&stdin=1&stdout=1{query}"
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        status, rest = receive_head(connection)
        assert (status, rest) == (200, b"")
        connection.sendall(b"typed")
        receive_until(connection, b"typed")
        connection.sendall(keys[:1])
        connection.sendall(keys[1:] + b"never")
        assert receive_all(connection) == b""
    assert server.good("GET", f"/containers/{terminal}/json")["State"]["Running"]
    assert events_of(server, terminal, "detach") == ["detach"]


def test_kists_own_client_looks_for_the_keys_itself(server: Server, terminal: str) -> None:
    with attach(server, terminal, "stream=1&stdin=1&stdout=1") as connection:
        connection.sendall(b"\x10\x11after")
        receive_until(connection, b"after")
    assert events_of(server, terminal, "detach") == []


def test_keys_of_an_exec_leave_it_running(server: Server, terminal: str) -> None:
    body = {"Cmd": ["sleep", "1000"], "AttachStdin": True, "Tty": True, "DetachKeys": "ctrl-x,q"}
    made = server.good("POST", f"/containers/{terminal}/exec", body)["Id"]
    assert server.good("GET", f"/exec/{made}/json")["DetachKeys"] == "ctrl-x,q"
    with server.connect() as connection:
        connection.sendall(f"POST /exec/{made}/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        assert receive_head(connection)[0] == 200
        connection.sendall(b"\x18q")
        receive_all(connection)
    assert server.good("GET", f"/exec/{made}/json")["Running"]
    assert events_of(server, terminal, "exec_detach") == ["exec_detach"]


@pytest.mark.parametrize("keys", ["ctrl-", "ab", "ctrl-1", ","])
def test_keys_that_nobody_can_type_are_refused(server: Server, terminal: str, keys: str) -> None:
    refused = server.ask("POST", f"/containers/{terminal}/attach?stream=1&stdin=1&detachKeys={keys}")
    assert (refused.status, refused.value["message"]) == (400, f"Invalid detach keys ({keys}) provided")
    refused = server.ask("POST", f"/containers/{terminal}/exec", {"Cmd": ["true"], "DetachKeys": keys})
    assert (refused.status, refused.value["message"]) == (400, f"Invalid escape keys ({keys}) provided")


# several clients, and both ends


def test_every_client_of_a_container_gets_its_output(server: Server) -> None:
    made = server.create("sh", "-c", "cat; echo end", OpenStdin=True, StdinOnce=True)
    clients = [
        attach(server, made, f"stream=1&stdout=1{'&stdin=1' if first else ''}") for first in (True, False, False)
    ]
    server.good("POST", f"/containers/{made}/start")
    clients[0].sendall(b"said\n")
    clients[0].shutdown(socket.SHUT_WR)
    for client in clients:
        with client:
            assert demultiplex(receive_all(client)) == {"stdout": b"said\nend\n"}
    server.remove(made)


def test_with_logs_and_stream_nothing_is_lost_or_doubled(server: Server) -> None:
    made = server.run("sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done")
    with attach(server, made, "logs=1&stream=1&stdout=1") as connection:
        printed = demultiplex(receive_all(connection))["stdout"]
    assert printed.split() == [str(number).encode() for number in range(3000)]
    server.remove(made)
