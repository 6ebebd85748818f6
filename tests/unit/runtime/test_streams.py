"""Standard streams over real pipes, terminals and sockets: nothing is lost, nothing grows, nobody is waited for."""

import contextlib
import os
import pty
import socket
import struct
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.runtime import streams as module
from kist.runtime.logreader import LogReader
from kist.runtime.logwriter import LogWriter
from kist.runtime.loop import Loop
from kist.runtime.streams import Client, Streams

PATIENCE = 20.0


class Room:
    """A loop with the streams of one process, of which the test plays the process and the clients."""

    def __init__(self, *, stdin: bool = True, stdin_once: bool = False, log: LogWriter | None = None) -> None:
        self.loop = Loop()
        self.idle = 0
        self.streams = Streams(self.loop, log, stdin_once=stdin_once, on_idle=self._idle, on_output=lambda: None)
        self.stdin = -1
        self.opened: set[int] = set()
        self.sockets: list[socket.socket] = []
        self._feed = stdin

    def _idle(self) -> None:
        self.idle += 1

    def pipes(self) -> "Room":
        theirs = -1
        if self._feed:
            self.stdin, theirs = os.pipe2(os.O_CLOEXEC)
        out_read, self.stdout = os.pipe2(os.O_CLOEXEC)
        err_read, self.stderr = os.pipe2(os.O_CLOEXEC)
        self.opened |= {self.stdout, self.stderr} | ({self.stdin} if self._feed else set())
        for each in self.opened:
            os.set_blocking(each, False)
        self.streams.use_pipes(theirs, out_read, err_read)
        return self

    def terminal(self) -> "Room":
        """The process's side of a terminal is the test's, as a third descriptor."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        self.slave = os.dup(slave)
        os.set_blocking(self.slave, False)
        self.opened.add(self.slave)
        self.streams.use_terminal(master, slave)
        return self

    def attach(self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True, held: bool = False) -> "Ours":
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.sockets += [ours, theirs]
        client = Client(theirs, stdin=stdin, stdout=stdout, stderr=stderr)
        client.held = held
        self.streams.attach(client)
        return Ours(ours, client)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        self.opened.discard(descriptor)

    def until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until it is so; without an event for so long it never will be."""
        while not condition():
            assert self._turn(PATIENCE), "nothing happens any more"

    def settle(self) -> None:
        """Turn the loop until there is nothing to do."""
        while self._turn(0):
            pass

    def _turn(self, timeout: float) -> bool:
        before = self.loop._epoll.poll(timeout)
        self.loop.turn(0)
        return bool(before)

    def tear_down(self) -> None:
        if not self.streams._ended:
            self.streams.end()
        for each in self.opened:
            os.close(each)
        for each in self.sockets:
            each.close()
        self.settle()
        self.loop.close()


class Ours:
    """The test's end of a client's connection."""

    def __init__(self, connection: socket.socket, client: Client) -> None:
        self.connection = connection
        self.client = client
        self.received = bytearray()
        self.ended = False

    def take(self, size: int = 1 << 20) -> int:
        """Receive what is there."""
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < size and not self.ended:
                data = self.connection.recv(min(size - taken, 1 << 16))
                self.ended = not data
                taken += len(data)
                self.received += data
        return taken

    def frames(self) -> dict[str, bytes]:
        found = {"stdout": b"", "stderr": b""}
        start = 0
        while start < len(self.received):
            number, size = struct.unpack_from(">BxxxL", self.received, start)
            found["stderr" if number == 2 else "stdout"] += self.received[start + 8 : start + 8 + size]
            start += 8 + size
        return found


def put(descriptor: int, data: bytes) -> int:
    """Write what there is room for."""
    written = 0
    with contextlib.suppress(BlockingIOError):
        while written < len(data):
            written += os.write(descriptor, data[written : written + 4096])
    return written


def get(descriptor: int) -> bytes:
    """Read what is there; None of it is waited for."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(descriptor, 1 << 16):
            found += data
    return found


def at_end(descriptor: int) -> bool:
    """Whether a pipe has no writer left and nothing in it."""
    try:
        return os.read(descriptor, 1) == b""
    except BlockingIOError:
        return False


@pytest.fixture
def rooms() -> Iterator[Callable[..., Room]]:
    made: list[Room] = []

    def make(**options: object) -> Room:
        made.append(Room(**options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for room in made:
        room.tear_down()


Rooms = Callable[..., Room]


# output


def test_output_goes_to_the_log_and_to_everybody_who_wants_it(rooms: Rooms, tmp_path: Path) -> None:
    log = tmp_path / "log"
    room = rooms(log=LogWriter(str(log), 1 << 20, 2)).pipes()
    both, only_errors = room.attach(), room.attach(stdout=False)
    put(room.stdout, b"out\n")
    put(room.stderr, b"err\n")
    room.settle()
    room.streams.end()
    for each in (both, only_errors):
        each.take()
        assert each.ended
    assert both.frames() == {"stdout": b"out\n", "stderr": b"err\n"}
    assert only_errors.frames() == {"stdout": b"", "stderr": b"err\n"}
    with LogReader(str(log)) as reader:
        records = [record for run in reader.runs() for record in run.records()]
    assert sorted((r.stream, r.data) for r in records) == [("stderr", b"err\n"), ("stdout", b"out\n")]


def test_a_client_sees_what_is_printed_after_it_came(rooms: Rooms) -> None:
    room = rooms().pipes()
    put(room.stdout, b"early")
    room.settle()
    late = room.attach()
    put(room.stdout, b"late")
    room.settle()
    late.take()
    assert late.frames()["stdout"] == b"late"


def test_what_is_in_the_pipes_at_the_end_still_arrives(rooms: Rooms) -> None:
    room = rooms().pipes()
    client = room.attach()
    sent = put(room.stdout, os.urandom(1 << 20))
    assert sent >= 1 << 16
    room.streams.end()
    while not client.ended:
        client.take()
        room.settle()
    assert len(client.frames()["stdout"]) == sent
    assert room.streams.idle
    assert room.idle == 1


@pytest.mark.parametrize("framed", [True, False])
def test_the_exit_code_comes_after_all_output_in_a_frame_of_its_own(rooms: Rooms, *, framed: bool) -> None:
    room = rooms().pipes() if framed else rooms().terminal()
    client = room.attach()
    put(room.stdout if framed else room.slave, b"last")
    room.streams.drain()
    room.streams.finish(201)
    client.take()
    told = b"\x01\0\0\0\0\0\0\x04last" + b"\x04\0\0\0\0\0\0\x03201"
    assert bytes(client.received) == (told if framed else b"last"), "a terminal has no frames"
    assert client.ended


def test_the_end_does_not_wait_for_a_left_behind_child_that_goes_on_printing(rooms: Rooms) -> None:
    room = rooms().pipes()
    reads = 0

    class Endless:
        """A log that plays the child: for everything that is read, there is more to read."""

        full = False

        def write(self, _stream: str, data: bytes) -> None:
            nonlocal reads
            reads += 1
            assert reads < 1000, "the end of the process is not reached"
            put(room.stdout, data)

        def close(self) -> None:
            pass

    room.streams._log = Endless()  # type: ignore[assignment]
    put(room.stdout, bytes(1 << 16))
    room.streams.end()
    assert 0 < reads <= 64


def test_a_slow_client_holds_the_process_back_and_loses_nothing(rooms: Rooms) -> None:
    room = rooms().pipes()
    client = room.attach()
    text = os.urandom(4 << 20)
    sent = 0
    while (written := put(room.stdout, text[sent:])) > 0:
        sent += written
        room.settle()
    assert sent < len(text), "the process was never held back"
    assert len(client.client.pending) <= module._LIMIT + 2 * module._CHUNK
    while len(client.received) < len(text):
        client.take(100_000)
        room.settle()
        sent += put(room.stdout, text[sent:])
        room.settle()
        if sent == len(text) and not client.take():
            break
    assert client.frames()["stdout"] == text


def test_a_slow_client_that_goes_away_holds_nobody_back(rooms: Rooms) -> None:
    room = rooms().pipes()
    client, other = room.attach(), room.attach()
    text = bytes(3 << 20)
    sent = 0
    while (written := put(room.stdout, text[sent:])) > 0:
        sent += written
        room.settle()
        other.take()
    assert sent < len(text)
    client.connection.close()
    while sent < len(text):
        room.settle()
        other.take()
        sent += put(room.stdout, text[sent:])
    room.settle()
    other.take()
    room.settle()
    other.take()
    assert len(other.frames()["stdout"]) == len(text)


def test_a_client_that_never_reads_keeps_only_the_end_waiting(rooms: Rooms) -> None:
    room = rooms().pipes()
    client = room.attach()
    while put(room.stdout, bytes(1 << 16)):
        room.settle()
    room.streams.end()
    assert not room.streams.idle
    client.connection.close()
    room.until(lambda: room.streams.idle)
    assert room.idle == 1


def test_one_who_comes_after_the_end_is_sent_home(rooms: Rooms) -> None:
    room = rooms().pipes()
    room.streams.end()
    late = room.attach(stdin=True)
    late.take()
    assert late.ended
    assert room.streams.idle


def test_a_held_client_misses_nothing_and_gets_nothing_before_its_release(rooms: Rooms) -> None:
    room = rooms().pipes()
    client = room.attach(held=True, stdin=True)
    put(room.stdout, b"first")
    client.connection.send(b"in")
    room.settle()
    assert client.take() == 0
    assert get(room.stdin) == b""
    room.streams.release(client.client)
    room.settle()
    client.take()
    assert client.frames()["stdout"] == b"first"
    assert get(room.stdin) == b"in"


def test_a_held_client_is_not_lost_at_the_end(rooms: Rooms) -> None:
    room = rooms().pipes()
    client = room.attach(held=True)
    put(room.stdout, b"all")
    room.streams.end()
    assert not room.streams.idle
    room.streams.release(client.client)
    client.take()
    assert client.ended
    assert client.frames()["stdout"] == b"all"
    assert room.streams.idle


# input


def test_input_reaches_the_process_however_slowly_it_reads(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).pipes()
    client = room.attach(stdin=True)
    text = os.urandom(3 << 20)
    sent, read = 0, b""
    while len(read) < len(text):
        with contextlib.suppress(BlockingIOError):
            while sent < len(text):
                sent += client.connection.send(text[sent : sent + (1 << 16)])
        if sent == len(text):
            with contextlib.suppress(OSError):
                client.connection.shutdown(socket.SHUT_WR)
        room.settle()
        assert len(room.streams._stdin_pending) <= 2 * module._CHUNK
        got = get(room.stdin)
        assert got or sent < len(text)
        read += got
    assert read == text
    room.settle()
    assert at_end(room.stdin)


@pytest.mark.parametrize(("once", "ends"), [(True, True), (False, False)])
def test_standard_input_ends_with_its_first_feeder_only_when_told_so(rooms: Rooms, once: bool, ends: bool) -> None:
    room = rooms(stdin_once=once).pipes()
    feeder, other = room.attach(stdin=True), room.attach(stdin=True)
    feeder.connection.send(b"mine")
    feeder.connection.shutdown(socket.SHUT_WR)
    room.settle()
    assert get(room.stdin) == b"mine"
    assert at_end(room.stdin) == ends
    other.connection.send(b"too")
    room.settle()
    assert get(room.stdin) == (b"" if ends else b"too")


def test_half_closing_a_connection_leaves_the_output(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).pipes()
    client = room.attach(stdin=True)
    client.connection.shutdown(socket.SHUT_WR)
    room.settle()
    put(room.stdout, b"still here")
    room.settle()
    client.take()
    assert client.frames()["stdout"] == b"still here"
    assert not client.ended


@pytest.mark.parametrize("printing", [False, True])
def test_what_a_client_sent_before_it_went_is_still_input(rooms: Rooms, printing: bool) -> None:
    room = rooms(stdin_once=True).pipes()
    client = room.attach(stdin=True)
    text = os.urandom(1 << 20)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < len(text):
            sent += client.connection.send(text[sent : sent + 4096])
            room.settle()
    assert sent > 1 << 16, "more than a pipe holds"
    client.connection.close()
    room.settle()
    if printing:
        put(room.stdout, b"nobody is there for this")
        room.settle()
    read = b""
    while data := get(room.stdin):
        read += data
        room.settle()
    assert read == text[:sent]
    assert at_end(room.stdin)
    assert not room.streams._clients


def test_a_process_that_closes_its_input_is_not_fed_and_not_disturbed(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).pipes()
    client = room.attach(stdin=True)
    room.close(room.stdin)
    sent = 0
    while sent < 1 << 20:
        with contextlib.suppress(BlockingIOError):
            sent += client.connection.send(bytes(1 << 16))
        room.settle()
    put(room.stdout, b"fine")
    room.settle()
    client.take()
    assert client.frames()["stdout"] == b"fine"


def test_input_is_dropped_where_none_is_wanted(rooms: Rooms) -> None:
    room = rooms(stdin=False, stdin_once=True).pipes()
    client = room.attach(stdin=True)
    client.connection.send(b"for nobody")
    client.connection.shutdown(socket.SHUT_WR)
    room.settle()
    assert not client.take()


def test_input_that_nobody_took_does_not_spoil_the_end(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).pipes()
    client = room.attach(stdin=True)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.connection.send(bytes(1 << 14))
            room.settle()
    put(room.stdout, b"all of it")
    room.streams.end()
    while not client.ended:
        client.take()
    assert client.frames()["stdout"] == b"all of it"


# terminals


def test_a_terminal_carries_both_ways_without_frames(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).terminal()
    client = room.attach(stdin=True)
    client.connection.send(b"typed")
    room.until(lambda: get(room.slave) == b"typed")
    put(room.slave, b"shown")
    room.until(client.take)
    assert bytes(client.received) == b"shown"


def test_a_terminal_is_not_closed_when_its_feeder_goes(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).terminal()
    client = room.attach(stdin=True)
    client.connection.close()
    room.until(lambda: not room.streams._clients)
    other = room.attach(stdin=True)
    other.connection.send(b"again")
    room.until(lambda: get(room.slave) == b"again")


def test_what_a_terminal_holds_at_the_end_still_arrives(rooms: Rooms) -> None:
    room = rooms().terminal()
    client = room.attach()
    put(room.slave, b"last words")
    room.streams.end()
    client.take()
    assert client.ended
    assert bytes(client.received) == b"last words"
    assert room.streams.terminal == -1


def test_a_terminal_with_a_slow_client_and_unread_input_recovers_both_ways(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).terminal()
    client = room.attach(stdin=True)
    typed, shown = os.urandom(1 << 17), os.urandom(2 << 20)
    sent = printed = 0
    while not (room.streams._paused and room.streams._stdin_pending):  # neither side reads
        printed += put(room.slave, shown[printed:])
        with contextlib.suppress(BlockingIOError):
            while sent < len(typed):
                sent += client.connection.send(typed[sent : sent + 4096])
        assert room._turn(PATIENCE)
    assert len(client.client.pending) <= module._LIMIT + module._CHUNK
    got = b""
    stuck = 0
    while (len(got) < len(typed) or len(client.received) < len(shown)) and stuck < 1000:
        before = len(got) + len(client.received)
        got += get(room.slave)
        client.take()
        with contextlib.suppress(BlockingIOError):
            while sent < len(typed):
                sent += client.connection.send(typed[sent : sent + 4096])
        printed += put(room.slave, shown[printed:])
        room._turn(0.05)
        stuck = stuck + 1 if len(got) + len(client.received) == before else 0
    assert got == typed
    assert bytes(client.received) == shown


def test_the_end_of_input_while_a_terminal_is_full_does_not_stop_its_output(rooms: Rooms) -> None:
    room = rooms(stdin_once=True).terminal()
    client, watcher = room.attach(stdin=True), room.attach()
    sent = 0
    while not room.streams._stdin_pending:
        sent += client.connection.send(b"x" * 4096)
        room.settle()
    client.connection.close()
    room.settle()
    put(room.slave, b"still printing")
    room.until(watcher.take)
    assert bytes(watcher.received) == b"still printing"


# everything at once


@settings(deadline=None, max_examples=40)
@given(
    script=st.lists(
        st.tuples(
            st.sampled_from(["out", "err", "attach", "take", "leave", "feed", "read", "half"]), st.integers(0, 1 << 18)
        ),
        max_size=40,
    )
)
def test_clients_that_stay_get_all_since_they_came_in_order(script: list[tuple[str, int]]) -> None:
    room = Room(stdin_once=True).pipes()
    stayed: list[tuple[Ours, int, int]] = []
    printed = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        for action, number in script:
            if action in {"out", "err"}:
                stream = "std" + action
                data = bytes((len(printed[stream]) + n) % 251 for n in range(number))
                printed[stream] += data[: put(getattr(room, stream), data)]
            elif action == "attach" and len(stayed) < 4 and not room.streams._paused:
                room.settle()
                if not room.streams._paused:
                    stayed.append((room.attach(stdin=True), len(printed["stdout"]), len(printed["stderr"])))
            elif stayed and action == "leave":
                stayed.pop(number % len(stayed))[0].connection.close()
            elif stayed and action == "take":
                stayed[number % len(stayed)][0].take(number)
            elif stayed and action in {"feed", "half"}:
                one = stayed[number % len(stayed)][0].connection
                with contextlib.suppress(OSError):
                    one.send(bytes(number)) if action == "feed" else one.shutdown(socket.SHUT_WR)
            elif action == "read":
                get(room.stdin)
            room.settle()
            for one, _, _ in stayed:
                assert len(one.client.pending) <= module._LIMIT + 3 * module._CHUNK
        room.streams.end()
        for one, out, err in stayed:
            while not one.ended:
                one.take()
                room.settle()
            assert one.frames() == {"stdout": bytes(printed["stdout"][out:]), "stderr": bytes(printed["stderr"][err:])}
        room.settle()
        assert room.streams.idle
    finally:
        room.tear_down()
    assert room.loop._watches == {}
