"""Network namespaces: a socket in another one, and a lock on the one that the caller is in."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator

from kist.kernel import namespaces
from kist.kernel.netlink import NETLINK_ROUTE, Socket


def socket_inside(netns_fd: int, protocol: int = NETLINK_ROUTE) -> Socket:
    """A socket in another network namespace; the caller's thread stays where it is.

    A socket belongs to the namespace of the thread that makes it, so a thread of its own goes there and ends.
    """
    made: list[Socket | OSError] = []

    def enter() -> None:
        try:
            namespaces.setns(netns_fd, namespaces.CLONE_NEWNET)
            made.append(Socket(protocol))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=enter, name="netns", daemon=True)
    thread.start()
    thread.join()
    result = made[0]
    if isinstance(result, OSError):
        raise result
    return result


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
