"""Trials in a child process: what it comes to is told, whatever that is."""

import errno
import os
import signal
import time
from pathlib import Path

import pytest

from kist.kernel import marks, trials


def refused(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_what_works_is_done_in_a_child_alone() -> None:
    before = os.getcwd()
    assert trials.attempt(lambda: os.chdir("/")) is None
    assert os.getcwd() == before


def test_a_refusal_comes_back_with_its_errno() -> None:
    found = trials.attempt(lambda: refused(errno.EPERM))
    assert found is not None
    assert (found.errno, found.strerror) == (errno.EPERM, "Operation not permitted")


def test_what_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    found = trials.attempt(signal.pause, seconds=0.05)
    assert found is not None
    assert found.errno == errno.ETIMEDOUT
    assert time.monotonic() - began < 10


def test_a_child_that_is_killed_has_not_worked() -> None:
    found = trials.attempt(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert found is not None
    assert "killed" in str(found)


def test_a_mistake_of_ours_is_no_refusal() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        trials.attempt(lambda: 1 // 0)


def test_no_child_is_left() -> None:
    before = children()
    for seconds in (10.0, 0.0):
        trials.attempt(signal.pause if not seconds else lambda: None, seconds=seconds)
    assert children() == before


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")


def test_a_filter_is_set_in_the_child_and_not_here() -> None:
    assert trials.attempt(trials.seccomp_filter) is None
    assert not marks.no_new_privileges()


@pytest.mark.root
@pytest.mark.parametrize("trial", [trials.user_namespace, trials.proc, trials.bridge])
def test_what_the_tests_machine_has_works(trial: object) -> None:
    spaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("user", "mnt", "pid", "net")}
    assert trials.attempt(trial) is None  # type: ignore[arg-type]
    assert spaces == {name: os.readlink(f"/proc/self/ns/{name}") for name in spaces}


@pytest.mark.root
def test_an_overlay_leaves_nothing(tmp_path: Path) -> None:
    assert trials.attempt(lambda: trials.overlay(str(tmp_path))) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.root
def test_an_overlay_on_a_file_system_that_cannot_be_one_is_refused() -> None:
    found = trials.attempt(lambda: trials.overlay("/proc/self"))
    assert found is not None
    assert found.errno in {errno.ENOENT, errno.EPERM, errno.EACCES}


def test_the_file_system_of_a_place_is_known() -> None:
    assert marks.file_system("/proc") == "proc"
    assert marks.file_system("/dev/shm") in {"tmpfs", marks.file_system("/dev")}


@pytest.mark.root
def test_a_program_sets_ids_by_its_bit_or_by_a_capability(tmp_path: Path) -> None:
    program = tmp_path / "newuidmap"
    program.write_bytes(b"")
    program.chmod(0o755)
    assert not marks.sets_ids(str(program))
    program.chmod(0o4755)
    assert marks.sets_ids(str(program))
    program.chmod(0o755)
    # VFS_CAP_REVISION_2, effective; CAP_SETUID among the permitted (capabilities(7), "File capability extended").
    words = (0x02000001, 1 << 7, 0, 0, 0)
    os.setxattr(program, "security.capability", b"".join(word.to_bytes(4, "little") for word in words))
    assert marks.sets_ids(str(program))
    other = program.rename(tmp_path / "newgidmap")
    assert not marks.sets_ids(str(other)), "the right to set users is none to set groups"


def test_a_setting_that_is_not_there_is_empty() -> None:
    assert marks.setting("/proc/sys/kernel/no_such_setting") == ""
    assert marks.setting("/proc/sys/user/max_user_namespaces").isdecimal()
