"""Files and processes of one cgroup directory, the same for both cgroup versions."""

from __future__ import annotations

import errno
import os
import select
import time

from kist.kernel import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SYS_PIDFD_SEND_SIGNAL = 424
_SIGKILL = 9
_BATCH = 256  # pidfds held open at once while killing: far below the usual limit of 1024 descriptors


def write(path: str, *texts: str) -> None:
    """Hand the texts to the kernel, each in a system call of its own, as cgroup files want it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            for text in texts:
                os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        error.filename = path  # write(2) does not know it
        raise


def read(path: str) -> str:
    """The whole content of a small file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(descriptor)
    return b"".join(parts).decode()


def read_number(path: str) -> int | None:
    """The number that the file holds; None when there is no such file here."""
    try:
        return int(read(path))
    except OSError as error:
        if gone(error):
            return None
        raise


def read_field(path: str, field: str) -> int | None:
    """The number after ``field`` in a file of ``name value`` lines; None when the file or the field is not there."""
    try:
        lines = read(path).splitlines()
    except OSError as error:
        if gone(error):
            return None
        raise
    for line in lines:
        name, _, value = line.partition(" ")
        if name == field:
            return int(value)
    return None


def sum_of(path: str, word: str) -> int:
    """The sum of the numbers that stand behind ``word`` in the lines of a file; 0 when it is gone."""
    try:
        parts = read(path).split(word)[1:]
    except OSError as error:
        if gone(error):
            return 0
        raise
    return sum(int(part.split(None, 1)[0]) for part in parts)


def gone(error: OSError) -> bool:
    """Whether the error says that the cgroup or the file is not there (ENODEV: removed after it was opened)."""
    return error.errno in (errno.ENOENT, errno.ENODEV)


def make(path: str) -> None:
    """Make the cgroup, afresh when an empty one of this name was left behind."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        remove(path)
        os.mkdir(path, 0o755)


def await_state(arrived: Callable[[], bool], seconds: float = 2.0) -> bool:
    """Whether the kernel gets there in time; of this it tells nobody, so it is asked every millisecond."""
    deadline = time.monotonic() + seconds
    while not arrived():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.001)
    return True


def descendants(path: str) -> Iterator[str]:
    """The cgroups below ``path``, the deepest first, and at last ``path`` itself."""
    try:
        # A cgroup's directory has two links and one more for each child: a look that costs less than a listing.
        if os.stat(path).st_nlink > 2:
            with os.scandir(path) as entries:
                children = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            for child in children:
                yield from descendants(child)
    except OSError as error:
        if not gone(error):
            raise
    yield path


def pids(path: str) -> list[int]:
    """The processes in the cgroup and below it, in this process's pid namespace; empty when it does not exist."""
    found: list[int] = []
    for directory in descendants(path):
        try:
            found += map(int, read(directory + "/cgroup.procs").split())
        except OSError as error:
            if not gone(error) and error.errno != errno.EOPNOTSUPP:  # the latter: a threaded v2 cgroup
                raise
    return [pid for pid in found if pid]  # 0 stands for a process outside this pid namespace


def kill(path: str) -> None:
    """Send SIGKILL to every process in the cgroup and below it, until a look shows none that was not sent one.

    No other process is hit when a pid is used anew meanwhile: the pidfd is taken first, and then the cgroup is asked
    again whether it holds the pid.
    """
    sent: set[int] = set()
    while new := [pid for pid in pids(path) if pid not in sent][:_BATCH]:
        descriptors = {pid: descriptor for pid in new if (descriptor := _pidfd(pid)) is not None}
        try:
            for pid in descriptors.keys() & set(pids(path)):
                _kill(descriptors[pid])
        finally:
            for descriptor in descriptors.values():
                os.close(descriptor)
        sent.update(new)


def remove(path: str, timeout: float = 0.0) -> None:
    """Remove the cgroup and what is below it, once its last process is gone; nothing happens when it does not exist.

    Raises:
        OSError: EBUSY when processes are left after ``timeout`` seconds.
    """
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    else:
        return
    deadline = time.monotonic() + timeout
    while not _try_remove(path):
        if time.monotonic() >= deadline:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        _wait_for_an_exit(path, deadline)


def _try_remove(path: str) -> bool:
    for directory in list(descendants(path)):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
    return True


def _wait_for_an_exit(path: str, deadline: float) -> None:
    """Return when one of the processes has ended, when there is none to wait for, or at the deadline."""
    first: Iterable[int] = pids(path)[:1]
    for pid in first:
        descriptor = _pidfd(pid)
        if descriptor is None:
            return
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        finally:
            os.close(descriptor)
        return
    # No process is listed and yet the kernel says busy: the last one is on its way through exit(2), on some CPU.
    os.sched_yield()


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:  # the leader is gone already (kernels before 6.9 say so)
            return None
        raise


def _kill(pidfd: int) -> None:
    try:
        libc.syscall(_SYS_PIDFD_SEND_SIGNAL, pidfd, _SIGKILL, None, 0)
    except ProcessLookupError:
        return
