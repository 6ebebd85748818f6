"""User namespaces made, entered, and looked for (user_namespaces(7))."""

from __future__ import annotations

import fcntl
import os

from kist.kernel import libc, namespaces, process
from kist.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INITIAL = 0xFFFFFFFF
_NS_GET_USERNS = 0xB701


def make(uids: Sequence[Sequence[int]], gids: Sequence[Sequence[int]]) -> int:
    """A descriptor of a new user namespace with these maps, in which no process is.

    To be called by a process with one thread and with the capabilities that maps of more than the own id take.

    Args:
        uids: ``(inside, outside, size)`` for each range of users.
        gids: and of groups.
    """
    pid, pidfd = namespaces.clone(namespaces.CLONE_NEWUSER)
    if pid == 0:
        try:
            while True:
                signal.pause()
        finally:
            os._exit(1)
    try:
        for name, maps in (("gid_map", gids), ("uid_map", uids)):
            _write(f"/proc/{pid}/{name}", "".join(f"{a} {b} {c}\n" for a, b, c in maps))
        return process.namespace_descriptor(pid, "user")
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        os.waitpid(pid, 0)


def enter(descriptor: int) -> None:
    """Go there as its root, with all capabilities in it and none outside."""
    namespaces.setns(descriptor, namespaces.CLONE_NEWUSER)
    os.setgroups(())
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def owner_of(namespace: int) -> int:
    """A descriptor of the user namespace that another namespace (a descriptor) belongs to (ioctl_ns(2))."""
    return fcntl.ioctl(namespace, _NS_GET_USERNS)


class as_owner:  # noqa: N801 - used as a function
    """For a while the files that this thread makes are of these ids (setfsuid(2)); its capabilities stay."""

    __slots__ = ("_gid", "_uid")

    def __init__(self, uid: int, gid: int) -> None:
        self._uid = uid
        self._gid = gid

    def __enter__(self) -> None:
        held = process.permitted_capabilities()
        libc.call("setfsgid", self._gid)
        libc.call("setfsuid", self._uid)
        # Away from root the kernel takes those about files out of the effective set.
        process.set_capabilities(held, held, 0)

    def __exit__(self, *error: object) -> None:
        libc.call("setfsgid", 0)
        libc.call("setfsuid", 0)


def ranges_in_use() -> Iterator[tuple[int, int]]:
    """The host's ids that user namespaces of living processes have, ``(start, size)``."""
    seen = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        for name in ("uid_map", "gid_map"):
            try:
                text = process.read_file(f"/proc/{pid}/{name}")
            except OSError:
                continue  # it has ended
            seen.update(text.splitlines())
    for line in seen:
        _, start, size = map(int, line.split())
        if size != _INITIAL:
            yield start, size


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
