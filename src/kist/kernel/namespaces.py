"""Namespaces: clone3(2), unshare(2), setns(2), and what is set in a new one."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

from kist.kernel import libc
from kist.kernel.lean import signal, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
CLONE_FS = 0x200
CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

# Where /proc/PID/ns calls them otherwise.
_FILES = {"network": "net", "mount": "mnt"}
# The runtime specification's words (config-linux.md, "Namespaces").
FLAGS = {
    "pid": CLONE_NEWPID,
    "network": CLONE_NEWNET,
    "mount": CLONE_NEWNS,
    "ipc": CLONE_NEWIPC,
    "uts": CLONE_NEWUTS,
    "user": CLONE_NEWUSER,
    "cgroup": CLONE_NEWCGROUP,
}


def others(pid: int, kinds: Iterable[str]) -> Iterator[str]:
    """Of these kinds of namespaces those in which the process is and this one is not."""
    for kind in kinds:
        name = _FILES.get(kind, kind)
        if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
            yield kind


def whereabouts(pid: int, kinds: Iterable[str]) -> tuple[object, ...]:
    """What tells that a process is where it was: its root, and the names of its namespaces of these kinds."""
    root = os.stat(f"/proc/{pid}/root")
    names = (os.readlink(f"/proc/{pid}/ns/{_FILES.get(kind, kind)}") for kind in kinds)
    return root.st_dev, root.st_ino, *names


def clone(flags: int, *, cgroup: int | None = None) -> tuple[int, int]:
    """Make a child process that goes on here, as fork does, in new namespaces.

    Only for single-threaded processes. With ``cgroup``, a descriptor of a v2 cgroup's directory, the child
    starts in it.

    Returns:
        ``(pid, pidfd)`` in the parent, ``(0, -1)`` in the child.
    """
    pidfd = ctypes.c_int(-1)
    if cgroup is not None:
        flags |= CLONE_INTO_CGROUP
    parent = flags & CLONE_PARENT
    arguments = struct.pack(
        "=QQQQQQQQQQQ",
        flags | CLONE_PIDFD,
        ctypes.addressof(pidfd),
        0,
        0,
        # With CLONE_PARENT the child reports its end in the way its parent does, and clone3 wants a zero here.
        0 if parent else signal.SIGCHLD,
        0,
        0,
        0,
        0,
        0,
        cgroup or 0,
    )
    pid = libc.syscall_locked(libc.SYS_CLONE3, arguments, len(arguments))
    return (pid, pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own."""
    libc.call("unshare", flags)


def setns(descriptor: int, flags: int) -> None:
    """Enter namespaces: ``descriptor`` is a namespace's file or a pidfd; ``flags`` says which ones."""
    libc.call("setns", descriptor, flags)


def enter(pid: int, pidfd: int, flags: int) -> None:
    """Enter namespaces of a process, and its root directory where its mounts are among them.

    Args:
        pid: the process.
        pidfd: a descriptor of it.
        flags: of the namespaces.
    """
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if flags & CLONE_NEWNS else -1
    setns(pidfd, flags)
    if root >= 0:
        # Not the root of the mount namespace, which is another one where the engine runs in a chroot.
        os.fchdir(root)
        os.chroot(".")
        os.close(root)


def set_domain_name(name: str) -> None:
    """The NIS domain name of this UTS namespace (setdomainname(2))."""
    text = os.fsencode(name)
    libc.call("setdomainname", text, len(text))


def set_loopback_up() -> None:
    """Bring this network namespace's loopback interface up, unless it is (netdevice(7))."""
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = struct.pack("16sh22x", b"lo", 0)
    flags = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)[0]
    if not flags & _IFF_UP:
        # It waits for whoever else changes interfaces, of any namespace.
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))
    control.close()
