"""The processes of a container without a control group, found, stopped and ended."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import until
from kist.kernel.members import Members

pytestmark = pytest.mark.root


@pytest.fixture
def family() -> Iterator[int]:
    """A process in a mount namespace of its own, with two that it has started; one is somebody else's child by now."""
    script = "(sleep 100 &); sleep 100 & echo; wait"
    started = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    members = Members(started.pid, own_pids=False)
    yield started.pid
    members.kill()
    members.close()
    started.communicate()


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_they_are_found_whoever_their_parents_are(family: int) -> None:
    found = Members(family, own_pids=False).pids()
    assert family in found
    assert len(found) == 3
    assert os.getpid() not in found


def test_what_a_first_process_left_that_has_ended_is_found_by_its_mount_namespace(family: int) -> None:
    space = os.open(f"/proc/{family}/ns/mnt", os.O_RDONLY)
    os.kill(family, signal.SIGKILL)
    until(lambda: state(family) == "Z")
    assert Members(family, own_pids=False).pids() == []
    known = Members(family, own_pids=False, mounts=space)
    assert len(known.pids()) == 2
    known.kill()
    assert known.pids() == []
    known.close()


def test_nobody_gets_the_number_of_a_namespace_that_is_held() -> None:
    words = ["unshare", "-m", "sh", "-c", "echo; read line"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        ended.stdout.readline()
        members = Members(ended.pid, own_pids=False)
        assert members.pids() == [ended.pid]
        ended.communicate()
    for _ in range(5):
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            assert members.pids() == []
            other.communicate()
    members.close()


def test_once_let_go_nobody_is_one_of_them(family: int) -> None:
    members = Members(family, own_pids=False)
    members.close()
    assert members.pids() == []
    assert not members.has(family)


def test_those_in_namespaces_of_their_own_below_are_found_too() -> None:
    inner = "unshare -mpf --kill-child sh -c '(sleep 100 &); echo; exec sleep 100'"
    words = ["unshare", "-mpf", "--kill-child", "sh", "-c", f"{inner} & wait"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        [first] = map(int, Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split())
        members = Members(first, own_pids=True)

        def names() -> list[str]:
            return sorted(Path(f"/proc/{pid}/comm").read_text().strip() for pid in members.pids())

        # a shell has made its own a copy of itself first, that is another program a moment later
        until(lambda: names() == ["sh", "sleep", "sleep", "unshare", "unshare"])
        found = members.pids()
        assert all(map(members.has, found))
        assert not members.has(os.getpid())
        members.stop()
        assert {state(pid) for pid in found} == {"T"}
        held = [os.pidfd_open(pid) for pid in found]
        members.kill()
        for descriptor in held:
            assert select.select([descriptor], [], [], 20)[0]
            os.close(descriptor)


def test_they_stop_and_go_on_but_who_had_stopped_before(family: int) -> None:
    members = Members(family, own_pids=False)
    (before, *_) = (pid for pid in members.pids() if pid != family)
    os.kill(before, signal.SIGSTOP)
    end = time.monotonic() + 10
    while state(before) != "T":
        assert time.monotonic() < end
    stopped = members.stop()
    assert {state(pid) for pid in members.pids()} == {"T"}
    assert before not in stopped
    members.go_on(stopped)
    while "T" in {state(pid) for pid in stopped}:
        assert time.monotonic() < end
    assert state(before) == "T"


def test_they_are_killed_when_the_first_has_ended(family: int) -> None:
    members = Members(family, own_pids=False)
    held = [os.pidfd_open(pid) for pid in members.pids()]
    os.kill(family, signal.SIGKILL)
    members.kill()
    for descriptor in held:  # a signal is sent at once, and a process ends when it runs next
        assert select.select([descriptor], [], [], 20)[0]
    for descriptor in held:
        os.close(descriptor)


def test_of_who_has_ended_there_is_nobody() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    members = Members(ended.pid, own_pids=True)
    assert members.pids() == []
    assert members.stop() == []
