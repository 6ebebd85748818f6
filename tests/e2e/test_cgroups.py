"""Cgroups on the machine's own hierarchies, whichever they are; ``script/test-cgroup2`` runs this on version 2."""

import errno
import os
import select
import signal
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kist.kernel import namespaces
from kist.kernel.cgroup import Cgroup, Hierarchies, detect

pytestmark = pytest.mark.root("makes control groups at the top")

HIERARCHIES = detect()
VERSION_1 = bool(HIERARCHIES.v1)
MIB = 1 << 20


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    parent = f"kist-test-{uuid.uuid4().hex}"
    group = Cgroup(HIERARCHIES, f"{parent}/group")
    yield group
    group.kill()
    group.remove()
    Cgroup(HIERARCHIES, parent).remove()


def start(group: Cgroup, body: Callable[[], object]) -> int:
    """A child process that joins the cgroup and runs ``body``; it ends with what ``body`` gives, or an errno."""
    pid = os.fork()
    if pid == 0:
        try:
            group.join()
            os._exit(int(body() or 0))  # type: ignore[call-overload]
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(254)
    return pid


def end(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(group: Cgroup, body: Callable[[], object]) -> int:
    return end(start(group, body))


def waiting(group: Cgroup, then: Callable[[], object] = signal.pause) -> int:
    """A child that is in the cgroup when this returns, and goes on with ``then``; it waits unless told otherwise."""
    reader, writer = os.pipe()

    def body() -> object:
        os.write(writer, b"x")
        return then()

    pid = start(group, body)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    return pid


def directories(group: Cgroup) -> list[str]:
    points = [point for point, _ in HIERARCHIES.v1] if VERSION_1 else [HIERARCHIES.v2]
    return [path for point in points if os.path.isdir(path := f"{point}/{group.path}")]


def setting(group: Cgroup, *names: str) -> str:
    for directory in directories(group):
        for name in names:
            if os.path.exists(f"{directory}/{name}"):
                with open(f"{directory}/{name}", encoding="ascii") as file:
                    return file.read().strip()
    raise FileNotFoundError(names[0])


def test_a_process_joins_and_the_cgroup_goes_after_it(cgroup):
    assert cgroup.create({}) == ()
    assert directories(cgroup)
    pid = waiting(cgroup)
    assert cgroup.pids() == [pid]
    cgroup.kill()
    assert end(pid) == -signal.SIGKILL
    cgroup.remove()
    assert not directories(cgroup)
    cgroup.remove()  # once more is no error


def test_limits_are_written(cgroup):
    limits = {"memory": 64 * MIB, "memorySwap": 128 * MIB, "cpuQuota": 50_000, "cpuPeriod": 100_000, "pids": 77}
    warnings = cgroup.create(limits)
    assert all("swap" in warning for warning in warnings)
    assert setting(cgroup, "memory.max", "memory.limit_in_bytes") == str(64 * MIB)
    assert setting(cgroup, "cpu.max", "cpu.cfs_quota_us") == ("50000" if VERSION_1 else "50000 100000")
    assert setting(cgroup, "pids.max") == "77"
    if not warnings:
        swap = setting(cgroup, "memory.swap.max", "memory.memsw.limit_in_bytes")
        assert swap == str((128 if VERSION_1 else 64) * MIB)


def test_more_memory_than_the_limit_ends_in_a_kill_that_is_seen(cgroup):
    cgroup.create({"memory": 24 * MIB, "memorySwap": 24 * MIB})
    watcher = cgroup.watch_oom()
    assert not cgroup.oom_killed()
    try:
        assert run(cgroup, lambda: len(bytearray(os.urandom(1) * 64 * MIB)) * 0) == -signal.SIGKILL
        assert select.select([watcher], [], [], 10)[0]
    finally:
        os.close(watcher)
    assert cgroup.oom_killed()
    assert cgroup.stats()["oom_kills"] >= 1


def test_no_more_processes_than_the_limit(cgroup):
    cgroup.create({"pids": 2})

    def body() -> int:
        os.fork()
        os.fork()  # two are there now: refused with EAGAIN in at least one of them
        return 0

    assert run(cgroup, body) == errno.EAGAIN


def _open(path: str) -> Callable[[], None]:
    return lambda: os.close(os.open(path, os.O_RDWR))


def test_devices_beyond_the_list_are_refused(cgroup, tmp_path):
    def rule(allow: bool, kind: str, major: int, minor: int, access: str) -> dict[str, Any]:
        return {"allow": allow, "type": kind, "major": major, "minor": minor, "access": access}

    listed = [rule(False, "a", -1, -1, "rwm"), rule(True, "c", 1, 3, "rw"), rule(True, "c", 5, -1, "m")]
    cgroup.create({"devices": listed})
    node = os.fspath(tmp_path / "node")
    assert run(cgroup, _open("/dev/null")) == 0
    assert run(cgroup, _open("/dev/zero")) == errno.EPERM
    assert run(cgroup, lambda: os.mknod(node, 0o600 | 0o020000, os.makedev(5, 1))) == 0
    assert run(cgroup, lambda: os.mknod(node + "2", 0o600 | 0o020000, os.makedev(1, 3))) == errno.EPERM


def test_what_was_used_is_counted(cgroup):
    cgroup.create({})
    reader, writer = os.pipe()

    def body() -> None:
        held = bytearray(os.urandom(1) * 4 * MIB)
        sum(range(2_000_000))
        os.write(writer, held[:1])
        signal.pause()

    pid = start(cgroup, body)
    os.read(reader, 1)
    os.close(reader)
    os.close(writer)
    stats = cgroup.stats()
    assert stats["pids"] == 1
    assert stats["memory"] >= 4 * MIB
    assert stats["cpu_ns"] > 0
    assert stats["oom_kills"] == 0
    os.kill(pid, signal.SIGKILL)
    assert end(pid) == -signal.SIGKILL


def test_kill_ends_processes_that_fork_all_the_time(cgroup):
    cgroup.create({"pids": 60})

    def storm() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            try:
                os.fork()
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise

    pid = waiting(cgroup, storm)
    while len(cgroup.pids()) < 20:
        os.sched_yield()
    cgroup.kill()
    assert end(pid) == -signal.SIGKILL
    cgroup.remove()
    assert not directories(cgroup)


def test_removing_waits_for_the_processes_and_says_busy_when_they_stay(cgroup):
    cgroup.create({})
    pid = waiting(cgroup)
    with pytest.raises(OSError, match="busy") as caught:
        cgroup.remove(timeout=0)
    assert caught.value.errno == errno.EBUSY
    assert caught.value.filename.endswith(cgroup.path)
    cgroup.kill()
    cgroup.remove()  # nobody has reaped the process: removal does not depend on that
    assert end(pid) == -signal.SIGKILL


def test_cgroups_below_are_killed_and_removed_too(cgroup):
    cgroup.create({})
    for directory in directories(cgroup):
        os.mkdir(directory + "/a")
        os.mkdir(directory + "/a/b")
    below = Cgroup(HIERARCHIES, cgroup.path + "/a/b")
    pid = waiting(below)
    assert cgroup.pids() == [pid]
    cgroup.kill()
    assert end(pid) == -signal.SIGKILL
    cgroup.remove()
    assert not directories(cgroup)


def test_an_empty_leftover_of_the_name_is_made_afresh_and_a_used_one_is_busy(cgroup):
    cgroup.create({"pids": 5})
    cgroup.create({})
    assert setting(cgroup, "pids.max") == "max"
    pid = waiting(cgroup)
    with pytest.raises(OSError, match="busy"):
        cgroup.create({})
    assert cgroup.pids() == [pid]


def test_nothing_is_left_when_a_limit_is_refused(cgroup):
    with pytest.raises(OSError, match=r"cpu\.") as caught:
        cgroup.create({"cpuQuota": 1})
    assert caught.value.errno == errno.EINVAL
    assert not directories(cgroup)


def test_a_limit_without_a_controller_is_a_warning(cgroup):
    if VERSION_1:
        poor = Hierarchies(tuple(entry for entry in HIERARCHIES.v1 if "pids" not in entry[1]))
    else:
        poor = Hierarchies((), HIERARCHIES.v2, ("memory",))
    group = Cgroup(poor, cgroup.path)
    assert group.create({"pids": 10}) == (
        "the limit on the number of processes has no effect: this machine's cgroups have no pids controller",
    )


def test_a_user_without_permission_gets_the_path(cgroup):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            cgroup.create({})
        except OSError as error:
            os.write(writer, f"{error.errno} {error.filename}".encode())
        finally:
            os._exit(0)
    end(pid)
    number, path = os.read(reader, 4096).decode().split()
    os.close(reader)
    os.close(writer)
    assert int(number) == errno.EACCES
    assert path.startswith("/")
    assert path.endswith((os.path.dirname(cgroup.path), "cgroup.subtree_control"))


@pytest.mark.skipif(VERSION_1, reason="the container's cgroup is a version 1 one here")
def test_a_process_is_born_in_the_cgroup(cgroup):
    cgroup.create({})
    descriptor = cgroup.open_v2()
    assert descriptor is not None
    pid, pidfd = namespaces.clone(0, cgroup=descriptor)
    if pid == 0:
        cgroup.join()  # sees that it is there
        signal.pause()
        os._exit(0)
    os.close(descriptor)
    os.close(pidfd)
    assert cgroup.pids() == [pid]
    cgroup.kill()
    assert end(pid) == -signal.SIGKILL
