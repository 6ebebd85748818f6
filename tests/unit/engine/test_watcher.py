"""Who is told of which end, over real sockets."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kist.engine.watcher import Watcher, answered
from kist.errors import Conflict
from kist.runtime import door, launch, messages

# What a waiter reads when the watcher has closed, which descriptors are left, and what was reported.
_CLOSING = """
import os, socket
from kist.engine.watcher import Watcher
before = os.listdir("/proc/self/fd")
reported = []
made = Watcher(lambda *told: reported.append(told), lambda *told: reported.append(told))
ours, monitor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
made.watch_control("a", ours)
waiter = made.add_waiter("a", "not-running")
made.close()
with monitor, waiter:
    print(waiter.recv(1))
print([each for each in os.listdir("/proc/self/fd") if each not in before], reported)
"""


class Heard:
    """What the watcher reported; ``next`` waits for it."""

    def __init__(self) -> None:
        self._reports: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def __call__(self, identifier: str, state: dict[str, Any]) -> None:
        with self._changed:
            self._reports.append((identifier, state))
            self._changed.notify_all()

    def next(self) -> tuple[str, dict[str, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: self._reports, timeout=20)
            return self._reports.pop(0)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def watcher(heard: Heard) -> Iterator[Watcher]:
    made = Watcher(heard, lambda _identifier, _notice: None)
    yield made
    made.close()


def line(connection: socket.socket) -> dict[str, Any]:
    connection.settimeout(20)
    with connection:
        found = launch.read_line(connection)
        assert not found or connection.recv(1) == b"", "after the line comes the end"
    return found


def silent(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


def control() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def end(monitor: socket.socket, code: int) -> None:
    with monitor:
        messages.send(monitor, {"event": "exited", "state": {"status": "exited", "exit_code": code}})


@pytest.mark.parametrize(
    ("condition", "by_end", "by_removal"),
    [("not-running", True, True), ("next-exit", True, True), ("removed", False, True)],
)
def test_conditions(watcher: Watcher, condition: Any, by_end: bool, by_removal: bool) -> None:
    waiter, other = watcher.add_waiter("a", condition), watcher.add_waiter("b", condition)
    watcher.tell("a", 3, removed=False)
    assert silent(waiter) == (not by_end)
    watcher.tell("a", 3, removed=True)
    assert silent(waiter) == (not by_removal)
    assert line(waiter) == {"StatusCode": 3, "Error": None}
    assert silent(other)
    other.close()


def test_a_waiter_is_told_once_and_all_of_them_are(watcher: Watcher) -> None:
    waiters = [watcher.add_waiter("a", "not-running") for _ in range(5)]
    watcher.tell("a", 1, removed=False, error="why")
    watcher.tell("a", 2, removed=False)
    assert [line(waiter) for waiter in waiters] == [{"StatusCode": 1, "Error": {"Message": "why"}}] * 5


def test_one_who_has_gone_is_no_trouble(watcher: Watcher) -> None:
    gone, here = watcher.add_waiter("a", "not-running"), watcher.add_waiter("a", "not-running")
    gone.close()
    watcher.tell("a", 0, removed=False)
    assert line(here)["StatusCode"] == 0


def test_what_is_true_already_is_answered_at_once() -> None:
    assert line(answered(7)) == {"StatusCode": 7, "Error": None}


def test_the_end_of_a_started_container_is_heard(watcher: Watcher, heard: Heard) -> None:
    ours, monitor = control()
    watcher.watch_control("a", ours)
    end(monitor, 4)
    assert heard.next() == ("a", {"status": "exited", "exit_code": 4})


def test_a_monitor_that_dies_without_a_word_is_heard_too(watcher: Watcher, heard: Heard) -> None:
    ours, monitor = control()
    watcher.watch_control("a", ours)
    monitor.close()
    assert heard.next() == ("a", {})


def test_a_container_that_is_started_again_before_its_end_was_heard(watcher: Watcher, heard: Heard) -> None:
    """The old connection's end must not be looked for on the new one, which goes on."""
    first, old = control()
    second, new = control()
    with watcher._lock:  # the watcher's thread cannot act in between
        watcher._watched.add(("a", first))
        watcher._selector.register(first, 1, lambda: watcher._heard("a", first))
        end(old, 1)
    watcher.watch_control("a", second)
    assert heard.next() == ("a", {"status": "exited", "exit_code": 1})
    other, monitor = control()
    watcher.watch_control("b", other)
    end(monitor, 2)
    assert heard.next()[0] == "b", "the watcher waits for nobody"
    end(new, 3)
    assert heard.next() == ("a", {"status": "exited", "exit_code": 3})


@pytest.mark.parametrize("answer", [b'{"exited": {"exit_code": 9}}\n', b"", b"nonsense\n"])
def test_a_container_that_another_engine_started(watcher: Watcher, heard: Heard, tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / door.SOCKET))
        listener.listen()
        watcher.watch_running("a", lambda: launch.connect(str(tmp_path)))
        watcher.watch_running("a", lambda: launch.connect(str(tmp_path)))
        connection, _ = listener.accept()
        with connection:
            assert launch.read_line(connection) == {"op": "wait"}
            connection.sendall(answer)
        assert heard.next() == ("a", {"exit_code": 9} if answer.startswith(b"{") else {})
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_container_without_a_monitor_is_said_not_to_run(watcher: Watcher, tmp_path: Path) -> None:
    with pytest.raises(Conflict):
        watcher.watch_running("a", lambda: launch.connect(str(tmp_path)))


def test_closing_leaves_no_descriptor_and_ends_the_waiting() -> None:
    """In a process of its own: threads of other tests may open what they need at any time."""
    done = subprocess.run([sys.executable, "-c", _CLOSING], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b''\n[] []\n", "")
