"""Network namespaces: work done in another one, one that is kept, and a lock on the one that the caller is in.

Whoever has entered one of an ordinary user's may not come back to the host's (setns(2)), so it is never the caller's
thread that goes there, but one of its own that ends there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from kist.kernel import mounts, namespaces, process_handle
from kist.kernel.netlink import NETLINK_ROUTE, Socket
from kist.kernel.threads import in_own_thread

T = TypeVar("T")

_NS_GET_NSTYPE = 0xB703


def socket_inside(netns_fd: int, protocol: int = NETLINK_ROUTE) -> Socket:
    """A socket in another network namespace: it belongs to the namespace of the thread that makes it."""
    return inside(netns_fd, lambda: Socket(protocol))


def inside(netns_fd: int, work: Callable[[], T]) -> T:
    """Do something in another network namespace, and give or raise what it gives or raises."""

    def enter() -> T:
        namespaces.setns(netns_fd, namespaces.CLONE_NEWNET)
        return work()

    return in_own_thread(enter, "netns")


def keep_new(path: str) -> None:
    """Make a network namespace, kept by a mount over the file ``path``: as long as this mount namespace has it.

    Whose it is follows from the user namespace of this process.
    """

    def make() -> None:
        namespaces.unshare(namespaces.CLONE_NEWNET)
        mounts.mount("/proc/thread-self/ns/net", path, None, mounts.MS_BIND)

    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    in_own_thread(make, "netns")


def of_process(pid: int, started: int) -> int:
    """A descriptor of the network namespace that a process is in.

    Args:
        pid: of the process.
        started: when it began (``process.start_time``).

    Raises:
        ProcessLookupError: there is no such process (any more).
        PermissionError: who asks may not look into it.
    """
    with process_handle.held(pid, started) as handle:
        return os.open("ns/net", os.O_RDONLY | os.O_CLOEXEC, dir_fd=handle)


def kept_at(path: str) -> int:
    """A descriptor of the network namespace that is mounted here; -1 where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    try:
        if fcntl.ioctl(descriptor, _NS_GET_NSTYPE) == namespaces.CLONE_NEWNET:
            return descriptor
    except OSError:
        pass  # ENOTTY: an ordinary file, where the mount of an earlier engine was
    os.close(descriptor)
    return -1


def current() -> int:
    """A new descriptor of the network namespace of the calling thread."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Keep out all other threads and processes that do the same in this network namespace, however they were started.

    The lock is flock(2) on the namespace itself: it leaves no file behind, needs no directory that all engines share,
    and ends with its holder.
    """
    descriptor = current()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
