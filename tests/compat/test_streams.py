"""Hijacked streams, logs, events, measurements and waits as plain HTTP sees them, with what is odd about each."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from .conftest import IMAGE, Server
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
    # It does not end before somebody has attached: a stream of one that has ended waits for its next start.
    script = "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; read end"
    made = server.run("sh", "-c", script, OpenStdin=True, StdinOnce=True)
    with attach(server, made, "logs=1&stream=1&stdout=1&stdin=1") as connection:
        connection.sendall(b"end\n")
        printed = demultiplex(receive_all(connection))["stdout"]
    assert printed.split() == [str(number).encode() for number in range(3000)]
    server.remove(made)


# waits


Waiter = tuple[socket.socket, bytes]


def begin_wait(server: Server, container: str, condition: str) -> Waiter:
    """A connection on which somebody waits, once the engine has noted that, and what has come beside the head."""
    connection = server.connect()
    connection.sendall(f"POST /containers/{container}/wait?condition={condition} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    status, rest = receive_head(connection)
    assert status == 200
    return connection, rest


def waited(waiter: Waiter) -> int:
    connection, received = waiter
    with connection:
        if not received.endswith(b"0\r\n\r\n"):
            received += receive_until(connection, b"0\r\n\r\n")
    return int(json.loads(received.split(b"\r\n")[1])["StatusCode"])


def is_waiting(waiter: Waiter) -> bool:
    """Whether nothing has come that would be an answer, by the time that the engine has answered somebody else."""
    connection, rest = waiter
    assert not rest
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(30)


@pytest.mark.parametrize(
    ("condition", "answered"),
    [
        ("not-running", {"created": 0, "exited": 3}),
        ("next-exit", {"running": 3, "paused": 3}),
        ("removed", {"removed": 3}),
    ],
)
def test_each_condition_of_a_wait_comes_true_in_its_state_and_in_no_other(
    server: Server, condition: str, answered: dict[str, int]
) -> None:
    made = server.create("sh", "-c", "read line; exit 3", OpenStdin=True)
    waiting = {"created": begin_wait(server, made, condition)}
    if "created" in answered:
        assert waited(waiting.pop("created")) == 0
    server.good("POST", f"/containers/{made}/start")
    waiting["running"] = begin_wait(server, made, condition)
    server.good("POST", f"/containers/{made}/pause")
    waiting["paused"] = begin_wait(server, made, condition)
    server.good("POST", f"/containers/{made}/unpause")
    assert all(is_waiting(each) for each in waiting.values())
    with attach(server, made, "stream=1&stdin=1") as typing:
        typing.sendall(b"go\n")
        receive_all(typing)
    server.wait(made)
    if condition != "removed":
        assert {state: waited(each) for state, each in waiting.items()} == dict.fromkeys(waiting, 3)
        waiting = {}
    if "exited" in answered:
        assert waited(begin_wait(server, made, condition)) == 3
    else:
        waiting["exited"] = begin_wait(server, made, condition)
    server.remove(made)
    assert {state: waited(each) for state, each in waiting.items()} == dict.fromkeys(waiting, 3)


def test_the_code_of_a_container_that_removes_itself_is_its_own(server: Server) -> None:
    for code in (0, 3, 255):
        made = server.create("sh", "-c", f"exit {code}", HostConfig={"AutoRemove": True})
        waiting = [begin_wait(server, made, condition) for condition in ("removed", "next-exit")]
        server.good("POST", f"/containers/{made}/start")
        assert [waited(each) for each in waiting] == [code, code]


# events


def test_events_are_told_between_any_two_moments(server: Server) -> None:
    made = server.create("true")
    server.remove(made)
    told = server.ask("GET", f'/events?since=1&until={time.time()}&filters={{"container":["{made}"]}}').lines
    assert [line["Action"] for line in told] == ["create", "destroy"]
    first, last = (line["timeNano"] for line in told)

    def between(since: str, until: str) -> list[str]:
        query = f'since={since}&until={until}&filters={{"container":["{made}"],"type":["container"]}}'
        return [line["Action"] for line in server.ask("GET", f"/events?{query}").lines]

    def fraction(nanoseconds: int) -> str:
        return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"

    def rfc3339(nanoseconds: int) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9))
        return f"{whole}.{nanoseconds % 10**9:09d}Z"

    for write in (fraction, rfc3339):
        assert between(write(first), write(last)) == ["create", "destroy"]
        assert between(write(first + 1), write(last)) == ["destroy"]
        assert between(write(first), write(last - 1)) == ["create"]
    assert between("10m", fraction(last)) == ["create", "destroy"]
    refused = server.ask("GET", f"/events?since={fraction(last)}&until={fraction(first)}")
    assert refused.status == 400
    assert "cannot be after `until` time" in refused.value["message"]


def test_events_end_at_a_moment_that_is_to_come(server: Server) -> None:
    begun = time.time()
    with server.connect() as connection:
        connection.sendall(f"GET /events?until={begun + 0.3} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        receive_until(connection, b"0\r\n\r\n")
    assert 0.3 <= time.time() - begun < 20


@pytest.mark.parametrize(
    ("filters", "actions"),
    [
        ({"event": ["create", "start"]}, ["create", "start"]),
        ({"event": ["exec_create"]}, ["exec_create: true"]),
        ({"label": ["of=this"], "event": ["die"]}, ["die"]),
        ({"label": ["of"], "event": ["die"]}, ["die"]),
        ({"label": ["of=other"]}, []),
        ({"image": [IMAGE], "event": ["start"]}, ["start"]),
        ({"image": ["nosuch"]}, []),
        ({"type": ["network"]}, []),
        ({"daemon": ["nosuch"]}, []),
        ({"scope": ["swarm"]}, []),
        ({"scope": ["local"], "event": ["destroy"]}, ["destroy"]),
    ],
)
def test_events_are_chosen_by_each_filter(
    server: Server, lived: str, filters: dict[str, list[str]], actions: list[str]
) -> None:
    chosen = json.dumps({"container": [lived]} | filters).replace(" ", "")
    told = server.ask("GET", f"/events?since=1&until={time.time()}&filters={chosen}").lines
    assert [line["Action"] for line in told] == actions


@pytest.fixture(scope="module")
def lived(server: Server) -> str:
    """A container that was, and what happened to it."""
    made = server.run("sleep", "1000", Labels={"of": "this"})
    executed = server.good("POST", f"/containers/{made}/exec", {"Cmd": ["true"]})["Id"]
    server.ask("POST", f"/exec/{executed}/start", {})
    server.remove(made)
    return made


# measurements


def test_a_container_that_does_not_run_has_measurements_of_nothing(server: Server) -> None:
    made = server.create("true")
    for query in ("stream=0", "stream=0&one-shot=1"):
        told = server.good("GET", f"/containers/{made}/stats?{query}")
        assert told["id"] == made
        assert not told["cpu_stats"]["cpu_usage"]["total_usage"]
    server.remove(made)


def test_measurements_stream_and_a_single_one_has_one_before_it_or_not(server: Server, terminal: str) -> None:
    once = server.good("GET", f"/containers/{terminal}/stats?stream=0&one-shot=1")
    assert once["preread"].startswith("0001-")
    twice = server.good("GET", f"/containers/{terminal}/stats?stream=0")
    assert not twice["preread"].startswith("0001-")
    with server.connect() as connection:
        connection.sendall(f"GET /containers/{terminal}/stats HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        receive_until(connection, b"\r\n\r\n")
        assert b'"read"' in receive_until(connection, b"\n")
