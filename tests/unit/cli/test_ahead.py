"""What is plain is asked for at once, and nothing else is."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.cli import ahead
from kist.client.endpoint import Endpoint
from kist.client.wire import Wire


@pytest.fixture
def place() -> Iterator[Path]:
    """A run directory, whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="kist-ahead-") as made:
        yield Path(made)


@pytest.fixture
def engine(place: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "engine.sock"))
        listener.listen()
        listener.settimeout(10)
        yield listener


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
    asked = []
    for begun in (
        ahead.begin(["exec", name, *command], surroundings(place)),
        ahead.execute(Wire(Endpoint(str(place / "engine.sock"), None)), name, ahead.body_of(command)),
    ):
        connection, _ = engine.accept()
        with connection:
            asked.append(connection.recv(65536))
        assert begun is not None
        (begun.execution if isinstance(begun, ahead.Begun) else begun).abandon()
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
