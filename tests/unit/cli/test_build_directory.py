"""A build that is written plainly is asked for at once, in the words of the verb, and no other one is."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kist.cli import build_directory
from kist.cli.dispatch import run
from kist.errors import Unavailable


@pytest.fixture
def place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run directory, with contexts in it, as the working directory."""
    for path in ("ctx/Dockerfile", "ctx/other/Own.file", "lower/dockerfile", "lower/Containerfile", "none/file"):
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text("FROM scratch\n")
    (place / "ctx/linked").symlink_to("other/Own.file")
    monkeypatch.chdir(place)
    return place


def surroundings(place: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(place), "KIST_ROOT": str(place), "KIST_RUN": str(place), **more}


def received(engine: socket.socket) -> bytes:
    connection, _ = engine.accept()
    with connection:
        return connection.recv(65536)


def asked_by_the_verb(engine: socket.socket, words: list[str], place: Path) -> bytes:
    """The request of the usual way, which gets no answer."""
    found: list[bytes] = []
    hearing = threading.Thread(target=lambda: found.append(received(engine)))
    hearing.start()
    assert run(words, surroundings(place)) == 1
    hearing.join()
    return found[0]


@pytest.mark.parametrize(
    ("words", "dockerfile"),
    [
        (["ctx"], "Dockerfile"),
        (["./ctx/"], "Dockerfile"),
        (["-t", "a b:1", "ctx"], "Dockerfile"),
        (["ctx", "--tag", "ä", "-t", "--"], "Dockerfile"),
        (["-f", "ctx/other/Own.file", "ctx"], "other/Own.file"),
        (["--file", "ctx/linked", "-f", "ctx/other/Own.file", "ctx", "-t", "x"], "other/Own.file"),
        (["ctx", "-f", "ctx/linked"], "linked"),
        (["-q", "lower", "--quiet"], "dockerfile"),
    ],
)
def test_what_is_plain_is_asked_for_in_the_words_of_the_verb(
    engine: socket.socket, place: Path, words: list[str], dockerfile: str
) -> None:
    begun = build_directory.begin(["build", *words], surroundings(place))
    assert begun is not None
    assert begun.dockerfile == dockerfile
    asked = received(engine)
    assert asked.startswith(b"POST /kist/build?")
    with pytest.raises(Unavailable):
        begun.building.follow(print)
    assert asked == asked_by_the_verb(engine, ["build", *words], place)


@pytest.mark.parametrize(
    "words",
    [
        [], ["-"], ["-t"], ["ctx", "-t"], ["-t", "", "ctx"], ["ctx", "ctx"], ["--no-cache", "ctx"], ["--check", "ctx"],
        ["-ta", "ctx"], ["--tag=a", "ctx"], ["-f", "-", "ctx"], ["--", "ctx"], ["--help", "ctx"], ["-qt", "a", "ctx"],
        ["--build-arg", "A", "ctx"], ["https://example.com/a.git"], ["git@example.com:a"],
        [""],
    ],
)  # fmt: skip
def test_nothing_else_is(engine: socket.socket, place: Path, words: list[str]) -> None:
    assert build_directory.begin(["build", *words], surroundings(place)) is None
    was_not_called(engine)


@pytest.mark.parametrize(
    "words",
    [["none"], ["nowhere"], ["-f", "none/file", "ctx"], ["-f", "ctx/missing", "ctx"], ["ctx/Dockerfile"]],
)
def test_what_is_not_there_is_not_asked_for(engine: socket.socket, place: Path, words: list[str]) -> None:
    assert build_directory.begin(["build", *words], surroundings(place)) is None
    assert received(engine) == b""


@pytest.mark.parametrize("more", [{"SOURCE_DATE_EPOCH": "1"}, {"DOCKER_HOST": "tcp://192.0.2.1:2376"}])
def test_nor_what_the_environment_says_more_of(engine: socket.socket, place: Path, more: dict[str, str]) -> None:
    assert build_directory.begin(["build", "ctx"], surroundings(place, **more)) is None
    was_not_called(engine)


def test_another_ones_engine_is_not_asked_for_a_directory_of_this_machine(engine: socket.socket, place: Path) -> None:
    (place / "foreign").mkdir()
    (place / "engine.sock").rename(place / "foreign/engine.sock")
    host = f"unix://{place}/foreign/engine.sock"
    assert build_directory.begin(["build", "ctx"], surroundings(place, DOCKER_HOST=host)) is None
    was_not_called(engine)


def was_not_called(engine: socket.socket) -> None:
    engine.setblocking(False)
    with pytest.raises(BlockingIOError):
        engine.accept()


def test_no_engine_is_started(place: Path) -> None:
    before = sorted(place.iterdir())
    assert build_directory.begin(["build", "ctx"], surroundings(place)) is None
    assert sorted(place.iterdir()) == before


def test_it_needs_little_of_the_program() -> None:
    code = "import sys, kist.cli.build_directory; print(sum(name.startswith('kist.') for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 15
