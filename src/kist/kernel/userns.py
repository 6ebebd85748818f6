"""User namespaces made, entered, and looked for (user_namespaces(7))."""

from __future__ import annotations

import errno
import fcntl
import os

from kist.kernel import libc, mounts, namespaces, process
from kist.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_INITIAL = 0xFFFFFFFF
_NS_GET_USERNS = 0xB701
_limited: list[Ids | None] = []


# The default of /proc/sys/kernel/overflowuid.
_OVERFLOW = 65534


class Ids:
    """The ids that there are in this process's user namespace.

    Args:
        uids: ``(first, size)`` for each range of users.
        gids: and of groups.
        maker: what root's ids are outside.
    """

    def __init__(
        self,
        uids: Sequence[tuple[int, int]],
        gids: Sequence[tuple[int, int]],
        maker: tuple[int, int] = (0, 0),
    ) -> None:
        self.uids = tuple(uids)
        self.gids = tuple(gids)
        self._maker = maker

    def holds(self, uid: int, gid: int) -> bool:
        """Whether files can be of both."""
        return _among(uid, self.uids) and _among(gid, self.gids)

    def of_outsider(self, uid: int, gid: int) -> tuple[int, int]:
        """The ids here of somebody outside: of the maker, root's; of who is not here, root's too."""
        mine, my_group = self._maker
        return (
            0 if uid == mine or not _among(uid, self.uids) else uid,
            0 if gid == my_group or not _among(gid, self.gids) else gid,
        )

    def has_group(self, gid: int) -> bool:
        """Whether there is this group."""
        return _among(gid, self.gids)

    @property
    def count(self) -> int:
        """How many users there are."""
        return sum(size for _, size in self.uids)

    @property
    def alone(self) -> bool:
        """Whether there is nobody but root."""
        return self.uids == ((0, 1),)

    @property
    def last_group(self) -> int:
        """Up to which one there are all groups."""
        end = 0
        for first, size in sorted(self.gids):
            if first > end:
                break
            end = first + size
        return end - 1


def ids_here() -> Ids:
    """Those of this process's user namespace."""
    uids, gids = _ranges("/proc/self/uid_map"), _ranges("/proc/self/gid_map")
    return Ids(_here(uids), _here(gids), (_root(uids), _root(gids)))


def limited_ids() -> Ids | None:
    """The same, and None where there are all: on the machine itself. Looked up once, for good."""
    if not _limited:
        _limited.append(None if process.in_initial_user_namespace() else ids_here())
    return _limited[0]


def outside(uid: int, gid: int) -> tuple[int, int]:
    """What the machine calls a user and a group of this process's user namespace; -1 where that cannot be known.

    Whoever is not in the namespace is seen as the overflow id there (user_namespaces(7)), so that one tells nothing.
    """
    if limited_ids() is None:
        return uid, gid
    return _outside(uid, _ranges("/proc/self/uid_map")), _outside(gid, _ranges("/proc/self/gid_map"))


def _outside(number: int, rows: Sequence[tuple[int, int, int]]) -> int:
    if number == _OVERFLOW:
        return -1
    return next((number - first + there for first, there, size in rows if first <= number < first + size), -1)


def _ranges(path: str) -> list[tuple[int, int, int]]:
    """Rows of a map of our own: the first id here, outside, and how many."""
    lines = (line.split() for line in process.read_file(path).splitlines())
    return [(int(first), int(outside), int(size)) for first, outside, size in lines]


def _here(rows: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    return [(first, size) for first, _, size in rows]


def _root(rows: Sequence[tuple[int, int, int]]) -> int:
    """What 0 is outside."""
    return next((outside for first, outside, _ in rows if first == 0), 0)


def _among(number: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= number < first + size for first, size in ranges)


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


def become_root(write_maps: Callable[[int], str]) -> None:
    """Make a user and a mount namespace for this process, which has one thread, and be root there.

    Args:
        write_maps: called in a process that stays outside, with the number of this one; what went wrong, or nothing.

    Raises:
        OSError: the kernel makes no such namespaces (EPERM, ENOSPC), or the maps cannot be written.
    """
    made, make_ = os.pipe2(os.O_CLOEXEC)
    told, tell = os.pipe2(os.O_CLOEXEC)
    own = os.getpid()
    outside = os.fork()
    if outside == 0:
        os.close(make_)
        words = "it has ended"
        try:
            words = write_maps(own) if os.read(made, 1) else ""
        except OSError as error:
            words = str(error)
        finally:
            os.write(tell, words.encode())
            os._exit(0)
    try:
        namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
        os.write(make_, b"x")
    finally:
        for descriptor in (made, make_, tell):
            os.close(descriptor)
        words = os.read(told, 4096).decode(errors="replace")
        os.close(told)
        os.waitpid(outside, 0)
    if words:
        raise OSError(errno.EPERM, words, "uid_map")
    # What is mounted here is nobody else's matter. Where a security module gives such a root no rights, that shows now.
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_SLAVE)


def write_own_map(pid: int, uid: int, gid: int) -> None:
    """Let the root of a process's new user namespace be this user, and nobody else be there.

    Groups cannot be set there any more: that is the kernel's condition (user_namespaces(7)).
    """
    _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/uid_map", f"0 {uid} 1")
    _write(f"/proc/{pid}/gid_map", f"0 {gid} 1")


def join(pid: int, started: int = 0, *, mounts_too: bool) -> None:
    """Enter the user namespace that a process's mounts belong to, of which this user is root or the maker.

    Args:
        pid: the process.
        started: when it began (``process.start_time``); 0 where nobody else can have the number.
        mounts_too: enter its mount namespace too, where that is an engine's; otherwise have a new one.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        space = process.namespace_descriptor(pid, "mnt")
        if started and process.start_time(pid) != started:
            raise ProcessLookupError(f"process {pid} is another one by now")
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid} has ended") from error
    # Not its own: it may be in one within (``keep-id``).
    owner = owner_of(space)
    namespaces.setns(owner, namespaces.CLONE_NEWUSER)
    if mounts_too:
        namespaces.setns(space, namespaces.CLONE_NEWNS)
    else:
        namespaces.unshare(namespaces.CLONE_NEWNS)
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_SLAVE)
    os.close(owner)
    os.close(space)


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
