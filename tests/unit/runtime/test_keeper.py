"""The keeper's word that a container can be started again: not before it is unmounted, or its monitor has ended."""

import functools
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kist.kernel import process
from kist.runtime import messages
from kist.runtime.guard import Guard
from kist.runtime.keeper import Keeper
from kist.runtime.machine import Machine


class Room:
    """A keeper that has started nothing, the line of its monitors, and an engine that asks."""

    def __init__(self, directory: Path) -> None:
        self.at = str(directory)
        self.keeper = Keeper(Machine(), str(directory), "keeper.sock", -1, -1)
        self.guard = Guard(self.keeper._speaks, self.at)
        self.engine, self._theirs = messages.pair()
        self.engine.settimeout(0)

    def took(self, monitor: int = 0) -> None:
        request = {"run_directory": self.at, "directory": self.at, "plan": ""}
        self.guard.took(request, monitor or os.getpid())

    def ask(self) -> None:
        self.keeper._settle(self._theirs, self.at)

    def is_told(self) -> bool:
        self.keeper._hear()
        try:
            return messages.receive(self.engine)[0] == {"settled": self.at}
        except BlockingIOError:
            return False

    def close(self) -> None:
        for each in (self.engine, self._theirs, self.keeper._hears, self.keeper._speaks):
            each.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def apart(test: Callable[[Room], None]) -> Callable[[Room], None]:
    """Run a test in a process of its own: a keeper reaps whatever child its process has, and monitors change titles."""

    @functools.wraps(test)
    def run(room: Room) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                test(room)
            except BaseException:  # noqa: BLE001 - the fork ends here, whatever it is
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert process.exit_code(os.waitpid(pid, 0)[1]) == 0

    return run


@apart
def test_what_is_over_and_unmounted_is_settled(room: Room) -> None:
    room.ask()
    assert room.is_told(), "nothing has begun"
    room.took()
    room.ask()
    assert not room.is_told()
    room.guard.over()
    assert room.is_told()


@apart
def test_what_is_still_mounted_is_not_settled(room: Room) -> None:
    room.took()
    room.ask()
    room.guard.over(unmounts=True)
    assert not room.is_told()
    room.ask()
    assert not room.is_told()
    room.guard.unmounted()
    assert room.is_told()
    assert room.is_told(), "both have asked"


@apart
def test_the_end_of_the_monitor_unmounts(room: Room) -> None:
    pid = os.fork()
    if pid == 0:
        room.took(os.getpid())
        room.guard.over(unmounts=True)
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    room.keeper._hear()
    assert room.at in room.keeper._unmounting
    room.ask()  # which looks for children that have ended, first
    assert room.is_told()


@apart
def test_the_next_run_does_not_wait_for_the_word_of_the_last(room: Room) -> None:
    room.took()
    room.guard.over(unmounts=True)
    room.took()
    room.guard.unmounted()
    room.ask()
    assert not room.is_told(), "it runs again"
    room.guard.over()
    assert room.is_told()


@apart
def test_a_keeper_that_is_gone_is_no_hindrance(room: Room) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    guard = Guard(ours, room.at)
    guard.over(unmounts=True)
    guard.unmounted()
