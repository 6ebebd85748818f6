"""The compiled launcher asks in the words of the program in Python, and leaves to it whatever is not plain."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.cli import ahead
from kist.client.frames import END, Demultiplexer, frame
from kist.client.wire import Exchange

SOURCE = Path(__file__).resolve().parents[3] / "src" / "launcher" / "kist.c"
# In place of the program in Python: tells how it was called, and what waits on the connection that it was given.
IN_PYTHON = """#!/bin/sh
printf '%s\\n' "$@"
[ "$1" != __begun ] || cat <&"$2"
exit 99
"""
SWITCHED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nKist-Exec: 5eed\r\nUpgrade: tcp\r\n\r\n"
PLAIN = ["exec", "web", "true"]


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (Debian: gcc, libc6-dev)")
    place = tmp_path_factory.mktemp("launcher")
    warnings = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover")
    subprocess.run([compiler, "-std=gnu11", "-O1", *warnings, str(SOURCE), "-o", str(place / "kist")], check=True)
    beside = place / "kist-python"
    beside.write_text(IN_PYTHON)
    beside.chmod(0o755)
    return place / "kist"


def surroundings(place: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(place), "KIST_RUN": str(place), "PATH": os.environ["PATH"], **more}


def start(launcher: Path, words: Sequence[str | bytes], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([launcher, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def request(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head and the body of a request."""
    connection.settimeout(30)
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < size:
        body += connection.recv(65536)
    return head, body


def answered(
    launcher: Path, engine: socket.socket, place: Path, pieces: Sequence[bytes], words: Sequence[str] = PLAIN
) -> tuple[int, bytes, bytes]:
    """The launcher's exit code and output when the engine answers with these pieces and closes."""
    process = start(launcher, words, surroundings(place))
    connection, _ = engine.accept()
    with connection:
        request(connection)
        for piece in pieces:
            connection.sendall(piece)
    return ended(process)


@pytest.mark.parametrize(
    "command",
    [
        ["true"],
        ["ls", "-l", "--", "-x", ""],
        ["printf", 'ä\n\x1b"\\\t\x7f', "\U0001f419", "\ud7ff", "\ue000", "\U0010ffff"],
        ["sh", "-c", "x" * 120_000],
        [],
    ],
)
def test_it_asks_as_the_program_in_python_does(
    launcher: Path, engine: socket.socket, place: Path, command: list[str]
) -> None:
    words = ["exec", "web.db_1-2", "env", *command]
    process = start(launcher, words, surroundings(place))
    connection, _ = engine.accept()
    with connection:
        head, body = request(connection)
        connection.sendall(SWITCHED + frame(END, b"0"))
        assert ended(process) == (0, b"", b"")
    begun = ahead.begin(words, {"KIST_ROOT": str(place), **surroundings(place)})
    assert begun is not None
    assert isinstance(begun.execution, Exchange)
    connection, _ = engine.accept()
    with connection:
        its_head, its_body = request(connection)
    begun.execution.abandon()
    without_length = [[line for line in each.split(b"\r\n") if b"Length" not in line] for each in (head, its_head)]
    assert without_length[0] == without_length[1]
    assert json.loads(body) == json.loads(its_body)


@pytest.mark.parametrize(
    "words",
    [
        [], ["exec"], ["exec", "web"], ["exec", "-i", "web", "cat"], ["exec", "--help", "web", "x"],
        ["exec", "", "true"], ["exec", "a/b", "true"], ["exec", "wéb", "true"], ["exec", "..", "true"],
        ["container", "exec", "web", "true"], ["-D", "exec", "web", "true"], ["run", "web", "true"],
        ["exec", "web", b"\xff"], ["exec", "web", b"\xc0\x80"], ["exec", "web", b"\xed\xa0\x80"],
        ["exec", "web", b"\xf4\x90\x80\x80"], ["exec", "web", b"\xe2\x82"], ["exec", "web", b"\xe0\x80\x80"],
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_program_in_python(
    launcher: Path, engine: socket.socket, place: Path, words: list[str | bytes]
) -> None:
    code, out, err = ended(start(launcher, words, surroundings(place)))
    told = b"".join((word.encode() if isinstance(word, str) else word) + b"\n" for word in words)
    assert (code, out, err) == (99, told or b"\n", b"")
    engine.setblocking(False)
    with pytest.raises(BlockingIOError):
        engine.accept()


@pytest.mark.parametrize(
    ("config", "more", "is_asked"),
    [
        (None, {}, True),
        (None, {"DOCKER_HOST": "unix:///nowhere"}, False),
        (None, {"DOCKER_CONTEXT": "far"}, False),
        (None, {"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, True),
        ('{"currentContext": "far"}', {}, True),  # who names a run root has named an engine
        ('{"currentContext": "far"}', {"KIST_RUN": ""}, False),
        (r'{"current\u0043ontext": "far"}', {"KIST_RUN": ""}, False),
        ('{"auths": {}}', {"KIST_RUN": "", "DOCKER_CONFIG": ""}, False),  # it may be, and nobody is there
        (None, {"KIST_RUN": "/" + "x" * 120}, False),
    ],
)
def test_it_asks_only_where_nothing_names_another_engine(
    launcher: Path, engine: socket.socket, place: Path, config: str | None, more: dict[str, str], is_asked: bool
) -> None:
    if config is not None:
        (place / ".docker").mkdir()
        (place / ".docker" / "config.json").write_text(config)
    if os.getuid() == 0 and more.get("KIST_RUN") == "" and Path("/run/kist/engine.sock").exists():
        pytest.skip("an engine of this machine's would be asked")
    environment = {**surroundings(place, XDG_RUNTIME_DIR=str(place / "none")), **more}
    process = start(launcher, PLAIN, environment)
    if is_asked:
        connection, _ = engine.accept()
        with connection:
            request(connection)
            connection.sendall(SWITCHED + frame(END, b"0"))
            assert ended(process) == (0, b"", b"")
    else:
        assert ended(process) == (99, b"exec\nweb\ntrue\n", b"")


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that everybody can get to."""
    with tempfile.TemporaryDirectory(prefix="kist-launcher-", dir="/tmp") as made:
        yield Path(made)


def test_an_ordinary_users_place_is_found(launcher: Path, open_place: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    place = open_place
    (place / "kist").mkdir()
    for directory in (place, place / "kist"):
        directory.chmod(0o777)
    own = shutil.copy(launcher, place / "program")  # where others may look
    environment = {"HOME": str(place), "XDG_RUNTIME_DIR": str(place), "PATH": os.environ["PATH"]}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "kist" / "engine.sock"))
        (place / "kist" / "engine.sock").chmod(0o777)
        listener.listen()
        listener.settimeout(30)
        process = subprocess.Popen(
            [own, *PLAIN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, user=54321, group=54321
        )
        connection, _ = listener.accept()
        with connection:
            request(connection)
            connection.sendall(SWITCHED + frame(1, b"mine") + frame(END, b"0"))
            assert ended(process) == (0, b"mine", b"")


def test_an_answer_that_is_not_hoped_for_goes_on_unread(launcher: Path, engine: socket.socket, place: Path) -> None:
    answer = b'HTTP/1.1 404 Not Found\r\nContent-Length: 16\r\n\r\n{"message":"no"}'
    code, out, err = answered(launcher, engine, place, [answer])
    lines = out.split(b"\n", 5)
    assert (code, err, lines[0]) == (99, b"", b"__begun")
    assert lines[2:5] == [b"exec", b"web", b"true"]
    assert lines[5] == answer
    code, out, _ = answered(launcher, engine, place, [])
    assert (code, out.split(b"\n")[0]) == (99, b"__begun")


def test_a_stream_without_an_end_is_asked_after(launcher: Path, engine: socket.socket, place: Path) -> None:
    for rest in (b"", frame(1, b"some"), frame(1, b"some")[:-2]):
        code, out, err = answered(launcher, engine, place, [SWITCHED, rest])
        assert (code, err) == (99, b"")
        assert out.partition(b"__lost\n")[2].split(b"\n")[1:] == [b"5eed", b"exec", b"web", b"true", b""]
    code, out, err = answered(launcher, engine, place, [SWITCHED[:-2]])
    assert (code, out) == (1, b"")
    assert err.startswith(b"kist: the engine's answer was cut short")


_FRAMES = st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 7]), st.binary(max_size=300)), max_size=12)


@given(frames=_FRAMES, code=st.integers(0, 300), cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_streams_are_taken_apart_as_in_python(
    launcher: Path, frames: list[tuple[int, bytes]], code: int, cuts: list[int]
) -> None:
    data = SWITCHED + b"".join(frame(*each) for each in frames) + frame(END, str(code).encode())
    # The first piece has the status line, as any engine sends it.
    edges = sorted({16, len(data), *(cut for cut in cuts if 16 < cut < len(data))})
    pieces = [data[begin:end] for begin, end in zip([0, *edges], edges, strict=False)]
    expected = Demultiplexer().feed(data.removeprefix(SWITCHED))
    with tempfile.TemporaryDirectory(prefix="kist-launcher-") as made, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{made}/engine.sock")
        listener.listen()
        listener.settimeout(30)
        result = answered(launcher, listener, Path(made), pieces)
    out, err = (b"".join(payload for kind, payload in expected if kind == stream) for stream in (1, 2))
    assert result == (code & 0xFF, out, err)


def test_large_output_is_passed_on_as_it_comes(launcher: Path, engine: socket.socket, place: Path) -> None:
    block = os.urandom(1 << 20)
    process = start(launcher, PLAIN, surroundings(place))
    connection, _ = engine.accept()

    def send() -> None:
        with connection:
            request(connection)
            connection.sendall(SWITCHED + frame(1, block) * 8 + frame(END, b"3"))

    sender = threading.Thread(target=send)
    sender.start()
    assert ended(process) == (3, block * 8, b"")
    sender.join()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_end_it(launcher: Path, engine: socket.socket, place: Path, number: int, code: int) -> None:
    process = start(launcher, PLAIN, surroundings(place))
    connection, _ = engine.accept()
    with connection:
        request(connection)
        process.send_signal(number)
        assert ended(process) == (code, b"", b"")
        assert connection.recv(1) == b""


def test_output_that_nobody_takes_is_told(launcher: Path, engine: socket.socket, place: Path) -> None:
    for target, code, told in (("/dev/full", 1, b"kist: No space left on device: standard output\n"), ("", 141, b"")):
        read_end, write_end = os.pipe()
        os.close(read_end)
        output = os.open(target, os.O_WRONLY) if target else os.dup(write_end)
        os.close(write_end)
        process = subprocess.Popen([launcher, *PLAIN], stdout=output, stderr=subprocess.PIPE, env=surroundings(place))
        os.close(output)
        connection, _ = engine.accept()
        with connection:
            request(connection)
            connection.sendall(SWITCHED + frame(1, b"words"))
            _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (code, told)


def test_closed_streams_are_for_the_program_in_python(launcher: Path, place: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" exec web true <&-', launcher], capture_output=True, env=surroundings(place), check=False
    )
    assert (done.returncode, done.stdout) == (99, b"exec\nweb\ntrue\n")


def test_without_the_program_in_python_it_says_so(launcher: Path, tmp_path: Path) -> None:
    alone = tmp_path / "kist"
    shutil.copy(launcher, alone)
    done = subprocess.run([alone, "ps"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"kist: No such file or directory: {tmp_path}/kist-python\n")
