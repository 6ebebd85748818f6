"""What is plain is asked for at once, and nothing else is."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kist.cli import ahead
from kist.client.endpoint import Endpoint
from kist.client.frames import END, STDERR, STDOUT, frame
from kist.client.wire import Exchange, Wire
from kist.errors import NotFound


def surroundings(place: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(place), "KIST_ROOT": str(place), "KIST_RUN": str(place), **more}


def was_called(engine: socket.socket) -> bool:
    engine.setblocking(False)
    try:
        engine.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def received(engine: socket.socket) -> tuple[bytes, dict[str, object]]:
    connection, _ = engine.accept()
    with connection:
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
        return head.split(b"\r\n")[0], json.loads(body)


@pytest.mark.parametrize(
    ("words", "path", "command"),
    [
        (["web", "true"], b"/kist/containers/web/exec", ["true"]),
        (["web", "ls", "-l", "--", "-x"], b"/kist/containers/web/exec", ["ls", "-l", "--", "-x"]),
        (["web", "--", "true"], b"/kist/containers/web/exec", ["--", "true"]),
        (["a/b c", "printf", 'ä\n\x1b"'], b"/kist/containers/a%2Fb%20c/exec", ["printf", 'ä\n\x1b"']),
    ],
)
def test_a_plain_command_is_asked_for(
    engine: socket.socket, place: Path, words: list[str], path: bytes, command: list[str]
) -> None:
    begun = ahead.begin(["exec", *words], surroundings(place))
    assert begun is not None
    line, body = received(engine)
    assert line == b"POST " + path + b" HTTP/1.1"
    assert body == ahead.body_of(command)
    assert isinstance(begun.execution, Exchange)
    begun.execution.abandon()


@pytest.mark.parametrize(
    "words",
    [
        [], ["exec"], ["exec", "web"], ["exec", "-i", "web", "cat"], ["exec", "--help", "web", "x"],
        ["exec", "", "true"], ["container", "exec", "web", "true"], ["-D", "exec", "web", "true"],
        ["run", "web", "true"], ["exec", "web", "\udcff"],
    ],
)  # fmt: skip
def test_nothing_else_is(engine: socket.socket, place: Path, words: list[str]) -> None:
    assert ahead.begin(words, surroundings(place)) is None
    if words[:2] != ["exec", "web"]:
        assert not was_called(engine)


def test_no_engine_is_started_and_none_on_another_machine_is_asked(place: Path) -> None:
    assert ahead.begin(["exec", "web", "true"], surroundings(place)) is None
    assert os.listdir(place) == []
    for host in ("tcp://192.0.2.1:2376", "nothing://of-the-kind"):
        assert ahead.begin(["exec", "web", "true"], surroundings(place, DOCKER_HOST=host)) is None


def test_it_needs_little_of_the_program() -> None:
    code = "import sys, kist.cli.ahead; print(sum(name.startswith('kist.') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 8


@pytest.mark.parametrize("name", ["web", "a-b_c.9", "é", "a/b", "a?b c"])
@pytest.mark.parametrize("command", [["true"], ["sh", "-c", "exit 3"], ['"', "\\", "\x7f\n", "日本"], ["a%sb", ""]])
def test_it_asks_in_the_words_of_what_is_not_plain(
    engine: socket.socket, place: Path, name: str, command: list[str]
) -> None:
    begun = ahead.begin(["exec", name, *command], surroundings(place))
    assert begun is not None
    usual = ahead.execute(Wire(Endpoint(str(place / "engine.sock"), None)), name, ahead.body_of(command))
    asked = []
    for exchange in (begun.execution, usual):
        connection, _ = engine.accept()
        with connection:
            asked.append(connection.recv(65536))
        assert isinstance(exchange, Exchange)
        exchange.abandon()
    assert asked[0] == asked[1]


def test_a_stranger_who_listens_hears_nothing(place: Path) -> None:
    """As a user whose run directory is in /tmp, where anybody could have been there first."""
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    code = (
        "import os, socket, sys; listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1])\n"
        "os.setresuid(4321, 4321, 4321); listener.listen(); print('ready', flush=True)\n"
        "connection, _ = listener.accept(); print(len(connection.recv(1)))"
    )
    path = str(place / "engine.sock")
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "ready\n"
        assert ahead.begin(["exec", "web", "true"], surroundings(place)) is None
        assert stranger.stdout.read() == "0\n"


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nKist-Exec: abc\r\n\r\n"


def heard(engine: socket.socket, place: Path, answer: bytes) -> tuple[int | None, ahead.Begun]:
    """What comes of a request that is answered so."""
    begun = ahead.begin(["exec", "web", "true"], surroundings(place))
    assert begun is not None
    connection, _ = engine.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)
    return ahead.hear(begun), begun


def test_what_the_command_prints_is_passed_on_and_its_code_told(
    engine: socket.socket, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    printed = frame(STDOUT, b"out\n") + frame(STDERR, b"err\n") + frame(STDOUT, b"more\n") + frame(END, b"3")
    code, _ = heard(engine, place, UPGRADED + printed)
    assert code == 3
    assert capfd.readouterr() == ("out\nmore\n", "err\n")


def test_a_refusal_is_the_verbs_to_hear(engine: socket.socket, place: Path) -> None:
    body = json.dumps({"message": "No such container: web"}).encode()
    code, begun = heard(engine, place, b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert code is None
    with pytest.raises(NotFound, match="No such container: web"):
        begun.execution.stream()
    begun.wire.close()


def test_a_stream_that_tells_no_code_is_the_verbs_to_go_on_with(
    engine: socket.socket, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, begun = heard(engine, place, UPGRADED + frame(STDOUT, b"lost\n"))
    assert code is None
    assert capfd.readouterr().out == "lost\n"
    stream, headers = begun.execution.stream()
    assert headers["kist-exec"] == "abc"
    assert stream.receive() == b""
    stream.close()


def test_an_output_that_takes_nothing_is_the_verbs_to_tell(engine: socket.socket, place: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    kept = os.dup(1)
    try:
        os.dup2(write_end, 1)
        code, begun = heard(engine, place, UPGRADED + frame(STDOUT, b"unheard\n") + frame(END, b"0"))
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(write_end)
    assert code is None
    with pytest.raises(BrokenPipeError):
        begun.execution.stream()
