"""What ``kist exec`` asks for: one request, and those of Docker's API where the engine does not know that one."""

import json
import re
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import Cli, kill_engine, until

BUSYBOX = "busybox:test"


@pytest.fixture(scope="module")
def idle(cli: Cli) -> Iterator[str]:
    cli.good("run", "-d", "--name", "requested", "--network", "none", BUSYBOX, "sleep", "1000")
    yield "requested"
    cli.good("rm", "-f", "requested")


def receive_head(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = connection.recv(1)
        if not part:
            return b""
        head += part
    return head


def receive_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def post(connection: socket.socket, path: str, body: object) -> None:
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    connection.sendall(head.encode() + data)


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        number, size = struct.unpack_from(">BxxxL", data)
        found.append((number, data[8 : 8 + size]))
        data = data[8 + size :]
    return found


@contextmanager
def connected(cli: Cli) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(cli.directory / "run" / "engine.sock"))
        yield connection


def told(cli: Cli, identity: str) -> list[str]:
    """The events of a process."""
    shown = cli.good("events", "--since", "1h", "--until", "0s", "--format", "{{json .}}").splitlines()
    about = [each for each in map(json.loads, shown) if identity in json.dumps(each)]
    return [each["Action"].partition(":")[0] for each in about]


def test_one_request_makes_starts_and_tells_the_end_and_leaves_what_three_leave(cli: Cli, idle: str) -> None:
    with connected(cli) as connection:
        body = {"Cmd": ["sh", "-c", "cat; echo err >&2; exit 9"], "AttachStdin": True}
        post(connection, f"/kist/containers/{idle}/exec", body)
        connection.sendall(b"in\n")  # before the answer is there, as some clients do
        head = receive_head(connection).decode()
        assert head.startswith("HTTP/1.1 101 ")
        connection.shutdown(socket.SHUT_WR)
        found = frames(receive_all(connection))
    assert b"".join(data for number, data in found if number == 1) == b"in\n"
    assert b"".join(data for number, data in found if number == 2) == b"err\n"
    assert found[-1] == (4, b"9")
    assert [number for number, _ in found].count(4) == 1
    named = re.search(r"\r\nKist-Exec: ([0-9a-f]{64})\r\n", head)
    assert named is not None
    identity = named[1]
    with connected(cli) as connection:
        connection.sendall(f"GET /exec/{identity}/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        state = json.loads(receive_all(connection).partition(b"\r\n\r\n")[2])
    assert (state["ExitCode"], state["Running"], state["OpenStdin"]) == (9, False, True)
    until(lambda: len(told(cli, identity)) == 3)
    assert told(cli, identity) == ["exec_create", "exec_start", "exec_die"]
    lines = (cli.directory / "data" / "audit.log").read_text(encoding="utf-8").splitlines()
    recorded = [each for each in map(json.loads, lines) if each.get("made") == identity]
    assert {each["container"] for each in recorded} == {idle}
    assert [(each["status"], each.get("end", False)) for each in recorded] == [(101, False), (101, True)]


@pytest.mark.parametrize("options", [(), ("-e", "A=b")])
def test_a_command_whose_engine_goes_away_has_not_ended_well(cli: Cli, idle: str, options: tuple[str, ...]) -> None:
    """The command goes on, and nobody knows how it will end."""
    words = ("exec", *options, idle, "sh", "-c", "echo begun; while test ! -e /over; do sleep 0.1; done; rm /over")
    with subprocess.Popen(
        [*cli.command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=cli.environment,
    ) as client:  # fmt: skip
        assert client.stdout is not None
        assert client.stdout.readline() == b"begun\n"
        kill_engine(cli)
        out, error = client.communicate(timeout=60)
    assert (client.returncode, out) == (1, b"")
    assert b"the command goes on: how it ends is not known" in error
    cli.good("exec", idle, "touch", "/over")
    until(lambda: cli("exec", idle, "test", "-e", "/over").returncode == 1)


@pytest.mark.parametrize("code", [0, 5])
def test_what_a_command_printed_without_an_engine_is_told_to_be_missing(cli: Cli, idle: str, code: int) -> None:
    """Its end is known by the time that it is asked for; an exit code of 0 alone would say that all is there."""
    script = f"echo begun; while ! test -e /go; do sleep 0.05; done; rm /go; echo more; touch /said; exit {code}"
    with subprocess.Popen(
        [*cli.command, "exec", idle, "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=cli.environment,
    ) as client:  # fmt: skip
        assert client.stdout is not None
        assert client.stdout.readline() == b"begun\n"
        client.send_signal(signal.SIGSTOP)  # it asks when all is over
        try:
            kill_engine(cli)
            cli.good("exec", idle, "touch", "/go")
            until(lambda: cli("exec", idle, "rm", "/said").returncode == 0)
            until(lambda: "touch /said" not in cli.good("top", idle))
        finally:
            client.send_signal(signal.SIGCONT)
        out, error = client.communicate(timeout=60)
    assert (client.returncode, out) == (code or 1, b"")
    assert f"what it printed since may be missing; it ended with {code}".encode() in error


def test_a_client_of_dockers_is_told_no_end(cli: Cli, idle: str) -> None:
    """Its readers of the stream would refuse a frame that they do not know."""
    with connected(cli) as connection:
        data = json.dumps({"Cmd": ["sh", "-c", "echo out; exit 3"]}).encode()
        head = f"POST /containers/{idle}/exec HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data)
        length = re.search(rb"content-length: (\d+)", receive_head(connection).lower())
        assert length is not None
        made = json.loads(connection.recv(int(length[1]), socket.MSG_WAITALL))["Id"]
        post(connection, f"/exec/{made}/start", {"Detach": False})
        assert receive_head(connection).startswith(b"HTTP/1.1 101 ")
        assert frames(receive_all(connection)) == [(1, b"out\n")]


def test_what_cannot_be_started_was_made_all_the_same_and_leaves_the_same(cli: Cli, idle: str) -> None:
    assert cli("exec", idle, "nothing-of-the-kind").returncode == 127
    lines = (cli.directory / "data" / "audit.log").read_text(encoding="utf-8").splitlines()
    about = [each for each in map(json.loads, lines) if each.get("container") == idle and each["status"] == 400]
    [identity] = [each["made"] for each in about]
    until(lambda: told(cli, identity)[2:] == ["exec_die"])
    assert told(cli, identity) == ["exec_create", "exec_start", "exec_die"]


class Forwarder(socketserver.BaseRequestHandler):
    """An engine of before: it knows nothing of the one request, and all the rest."""

    engine = ""
    refused: list[bytes]

    def handle(self) -> None:
        while head := receive_head(self.request):
            if b" /kist/containers/" not in head:
                break
            self.refused.append(head.split(b"\r\n", 1)[0])
            length = re.search(rb"content-length: (\d+)", head.lower())
            self.request.recv(int(length[1]) if length else 0, socket.MSG_WAITALL)
            body = b'{"message":"page not found"}\n'
            self.request.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            return
        with socket.socket(socket.AF_UNIX) as onward:
            onward.connect(self.engine)
            onward.sendall(head)
            back = threading.Thread(target=carry, args=(onward, self.request))
            back.start()
            carry(self.request, onward)
            back.join()


def carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # either end has gone


@pytest.fixture
def older(cli: Cli) -> Iterator[tuple[str, list[bytes]]]:
    """The address of such an engine, and what it was asked for in vain."""
    place = tempfile.mkdtemp(prefix="kist-older-")
    refused: list[bytes] = []
    engine = str(cli.directory / "run" / "engine.sock")
    handler = type("Handler", (Forwarder,), {"engine": engine, "refused": refused})
    with socketserver.ThreadingUnixStreamServer(f"{place}/engine.sock", handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"unix://{place}/engine.sock", refused
        server.shutdown()
        thread.join()
    shutil.rmtree(place)


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [(("sh", "-c", "cat; exit 5"), 5, b"fed"), (("nothing-of-the-kind",), 127, b""), (("true",), 0, b"")],
)
def test_an_engine_that_does_not_know_it_is_asked_in_dockers_words(
    cli: Cli, idle: str, older: tuple[str, list[bytes]], words: tuple[str, ...], code: int, out: bytes
) -> None:
    host, refused = older
    done = subprocess.run(
        [*cli.command, "-H", host, "exec", "-i", idle, *words],
        input=b"fed", capture_output=True, env=cli.environment, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, out)
    assert refused == [b"POST /kist/containers/requested/exec HTTP/1.1"]


def test_an_engine_that_does_not_know_it_is_asked_again_where_it_was_asked_ahead(
    cli: Cli, idle: str, older: tuple[str, list[bytes]]
) -> None:
    host, refused = older
    done = subprocess.run(
        [*cli.command, "exec", idle, "sh", "-c", "echo out; exit 6"],
        capture_output=True, env={**cli.environment, "DOCKER_HOST": host}, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (6, b"out\n", b"")
    assert refused == [b"POST /kist/containers/requested/exec HTTP/1.1"]


def test_a_container_that_is_not_there_is_told_in_both_ways(cli: Cli, older: tuple[str, list[bytes]]) -> None:
    here, there = cli("exec", "nobodys", "true"), cli("-H", older[0], "exec", "nobodys", "true")
    assert here.returncode == there.returncode == 1
    assert "No such container: nobodys" in here.stderr
    assert here.stderr == there.stderr
