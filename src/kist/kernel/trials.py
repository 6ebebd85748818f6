"""What the kernel lets this user do, found by doing it: in a child process, whose namespaces and mounts end with it."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from kist.kernel import mounts, namespaces, netlink, process, rtnetlink, seccomp, userns

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 10.0
_DONE = b"done"
# include/uapi/linux/fs.h: _IOW(0x94, 9, int); three architectures number the directions otherwise.
_FICLONE = 0x80049409 if os.uname().machine.startswith(("mips", "ppc", "sparc")) else 0x40049409
# A filter of one instruction (BPF_RET | BPF_K, SECCOMP_RET_ALLOW): struct sock_filter.
_ALLOW_ALL = b"".join(
    (number).to_bytes(size, sys.byteorder) for number, size in ((0x06, 2), (0, 1), (0, 1), (0x7FFF0000, 4))
)
_MAC = "02:00:00:00:00:01"
_MTU = 1500


def attempt(act: Callable[[], object], *, seconds: float = _SECONDS) -> OSError | None:
    """Do something in a child process; what the kernel refused, None when it was done.

    Only for processes with one thread, as every fork that goes on in Python is.

    Args:
        act: raises ``OSError`` for what is refused.
        seconds: how long it may take; ``ETIMEDOUT`` after that.

    Raises:
        RuntimeError: ``act`` raised something else.
    """
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _be_the_child(act, write)
    os.close(write)
    try:
        return _outcome(read, pid, seconds)
    finally:
        os.close(read)
        os.waitpid(pid, 0)


def _be_the_child(act: Callable[[], object], write: int) -> None:
    words = b"-1 it has ended"
    try:
        act()
        words = _DONE
    except OSError as error:
        words = f"{error.errno or 0} {error.strerror or error}".encode()
    except BaseException as error:  # noqa: BLE001 - told to the parent, which raises it
        words = f"-1 {type(error).__name__}: {error}".encode()
    finally:
        os.write(write, words)
        os._exit(0)


def _outcome(read: int, pid: int, seconds: float) -> OSError | None:
    poll = select.poll()
    poll.register(read, select.POLLIN)
    if not poll.poll(seconds * 1000):
        os.kill(pid, signal.SIGKILL)
        return OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    words = os.read(read, 4096)
    if words == _DONE:
        return None
    if not words:
        # As a filter of system calls may do it that some service or batch system has put on us.
        return OSError(errno.EPERM, "the process that tried it was killed")
    number, _, text = words.decode(errors="replace").partition(" ")
    if number == "-1":
        raise RuntimeError(text)
    return OSError(int(number), text)


def become_root() -> None:
    """Be root with a mount namespace of one's own: the machine's root, else of a user namespace with one id."""
    if os.geteuid():
        user_namespace()
        return
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)


def user_namespace() -> None:
    """Make a user namespace, and be its root, whoever asks."""
    uid, gid = os.geteuid(), os.getegid()

    def write_maps(pid: int) -> str:
        userns.write_own_map(pid, uid, gid)
        return ""

    userns.become_root(write_maps)


def proc() -> None:
    """Mount a /proc of a new pid namespace, as every container has one.

    Where a part of the machine's own is hidden, as in most containers, the kernel refuses it to a user namespace.
    """
    become_root()
    namespaces.unshare(namespaces.CLONE_NEWPID)
    if refused := attempt(lambda: mounts.mount("proc", "/proc", "proc")):
        raise refused


def overlay(directory: str) -> None:
    """Mount an overlay of directories below an empty one, and make a directory of its lower layer anew in it.

    A mount alone tells too little: without extended attributes one is made, and then a directory cannot be replaced.
    """
    become_root()
    layers = {name: os.path.join(directory, name) for name in ("lower", "upper", "work", "merged")}
    for each in layers.values():
        os.mkdir(each)
    os.mkdir(os.path.join(layers["lower"], "directory"))
    own = "" if process.in_initial_user_namespace() else ",userxattr"
    options = f"lowerdir={layers['lower']},upperdir={layers['upper']},workdir={layers['work']}{own}"
    try:
        mounts.mount("overlay", layers["merged"], "overlay", 0, options)
        try:
            os.rmdir(os.path.join(layers["merged"], "directory"))
            os.mkdir(os.path.join(layers["merged"], "directory"))
        finally:
            mounts.unmount(layers["merged"], mounts.MNT_DETACH)
    finally:
        # Here, for what overlayfs leaves in the work directory is nobody's to enter but a root's.
        for each in layers.values():
            shutil.rmtree(each)


def mapped_mount(directory: str) -> None:
    """Show a directory with other owners (an id-mapped mount); for the machine's root."""
    become_root()
    descriptor = userns.make(((0, 100000, 65536),), ((0, 100000, 65536),))
    mounts.map_ids(mounts.clone_tree(directory, recursive=False), descriptor)


def attribute(path: str, name: str) -> None:
    """Give a file of one's own an extended attribute."""
    os.setxattr(path, name, b"y")


def reflink(source: str, target: str) -> None:
    """Let one file have the content of another one without a copy of it (ioctl_ficlone(2))."""
    with open(source, "rb") as reading, open(target, "wb") as writing:
        fcntl.ioctl(writing, _FICLONE, reading.fileno())


def seccomp_filter() -> None:
    """Put a filter of system calls, one that allows all, on this process."""
    process.set_no_new_privileges()
    seccomp.load(seccomp.assemble(_ALLOW_ALL))


def bridge(act: Callable[[], object] | None = None) -> None:
    """Make a bridge and a cable to it, in a new network namespace; then ``act`` there."""
    become_root()
    namespaces.unshare(namespaces.CLONE_NEWNET)
    here = process.namespace_descriptor(os.getpid(), "net")
    with netlink.Socket(netlink.NETLINK_ROUTE) as connection:
        connection.transact([rtnetlink.new_bridge("kist-doctor", mac=_MAC, mtu=_MTU)])
        link = rtnetlink.find_link(connection, "kist-doctor")
        index = link.ifindex if link is not None else 0
        connection.transact(
            [rtnetlink.new_veth("kist-cable", master=index, mtu=_MTU, peer="eth0", peer_mac=_MAC, peer_netns=here)]
        )
    if act is not None:
        act()
