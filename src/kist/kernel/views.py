"""What a container sees, as directory descriptors: the root of a process, and a root with mounts put on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from kist.kernel import mounts, namespaces, paths, process_handle, trees
from kist.kernel.threads import in_own_thread

_SAME: tuple[tuple[int, int, int], ...] = ((0, 0, 0xFFFFFFFF),)
# File systems without files of their own: what is in them is the kernel speaking.
_KERNEL_SYSTEMS = frozenset({
    "proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "bpf", "binfmt_misc",
})  # fmt: skip

Bind = tuple[str | tuple[str, str, Sequence[str]], str, str, bool]


class ProcessView:
    """The files of a running process.

    Attributes:
        root: a descriptor of its root directory, with all that is mounted there for it; the holder closes it.
        uids, gids: rows of its user namespace's maps: first id inside, first id here, how many (user_namespaces(7)).
        kernel_devices: device numbers of the mounts that hold no files (/proc, /sys, …), and of its /dev.
    """

    def __init__(
        self,
        root: int,
        uids: tuple[tuple[int, int, int], ...],
        gids: tuple[tuple[int, int, int], ...],
        kernel_devices: frozenset[int],
    ) -> None:
        self.root = root
        self.uids = uids
        self.gids = gids
        self.kernel_devices = kernel_devices


def of_process(pid: int, started: int, *, mounts_too: bool = True) -> ProcessView:
    """The view of a process.

    Args:
        pid: of the process.
        started: when it began (``process.start_time``).
        mounts_too: with what is mounted below the root; without, what it hides is seen.

    Raises:
        ProcessLookupError: there is no such process (any more), or it has not left our own root yet.
    """
    with ExitStack() as stack:
        handle = stack.enter_context(process_handle.held(pid, started))
        if os.path.samestat(os.stat("root", dir_fd=handle), os.stat("/")):
            raise ProcessLookupError(f"process {pid} is on its way into its container")
        uids = gids = _SAME
        # The maps of our own namespace tell what its ids are outside.
        if os.readlink("ns/user", dir_fd=handle) != os.readlink("/proc/self/ns/user"):
            uids, gids = (_map(process_handle.read(handle, name)) for name in ("uid_map", "gid_map"))
        devices = _kernel_devices(process_handle.read(handle, "mountinfo"))
        root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
        if not mounts_too:
            stack.callback(os.close, root)
            space = os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=handle)
            stack.callback(os.close, space)
            root = in_own_thread(lambda: _clone_in(space, root), "view")
    return ProcessView(root, uids, gids, devices)


def put_together(specification: tuple[str, str, Sequence[str]], binds: Sequence[Bind], *, read_only: bool) -> int:
    """A root with mounts on it, as a descriptor of a detached tree: no path leads to it, and it goes with the last one.

    Args:
        specification: type, source and options of the root's mount.
        binds: source (a path, or a mount as the root's), what of it is meant (empty for all; no link in it leads out),
            target below the root (made where it is missing), and whether it is read-only.
        read_only: whether the root itself is; what is mounted on it is not.
    """
    return in_own_thread(lambda: _put_together(specification, binds, read_only=read_only), "view")


def _put_together(specification: tuple[str, str, Sequence[str]], binds: Sequence[Bind], *, read_only: bool) -> int:
    namespaces.unshare(namespaces.CLONE_FS | namespaces.CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
    with ExitStack() as stack:
        sources = [_source(source, within) for source, within, _, _ in binds]
        for source in sources:
            stack.callback(os.close, source)
        detached = trees.open_tree_of([specification])
        stack.callback(os.close, detached)
        # Any directory serves as the place: this namespace ends with the thread.
        mounts.attach_tree(detached, "/")
        root = detached
        for source, (_, _, target, bind_read_only) in zip(sources, binds, strict=True):
            if bind_read_only:
                mounts.set_attributes("", mounts.MOUNT_ATTR_RDONLY, recursive=True, dir_fd=source)
            place = _place(root, target, directory=_is_directory(source))
            stack.callback(os.close, place)
            mounts.attach_tree(source, "", dir_fd=place)
        if read_only:
            mounts.set_attributes("", mounts.MOUNT_ATTR_RDONLY, dir_fd=root)
        return mounts.clone_tree("", dir_fd=root)


def _source(source: str | tuple[str, str, Sequence[str]], within: str) -> int:
    if isinstance(source, str):
        return mounts.clone_part(source, within)
    tree = trees.open_tree_of([source])
    if not within:
        return tree
    # Of what is mounted nowhere there are no copies. Any directory serves as the place.
    try:
        mounts.attach_tree(tree, "/")
        held = paths.open_in_root(tree, within, os.O_PATH)
    finally:
        os.close(tree)
    try:
        return mounts.clone_tree("", dir_fd=held)
    finally:
        os.close(held)


def in_chroot() -> bool:
    """Whether this process's root is not that of its mount namespace: chroot(2) has put it elsewhere.

    A container's mount namespace is a copy of ours. Its root, which pivot_root(2) cannot exchange then, would stay the
    host's.
    """

    def root_of_namespace() -> int:
        own = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            namespaces.unshare(namespaces.CLONE_FS)
            namespaces.setns(own, namespaces.CLONE_NEWNS)  # which makes that root this thread's
        finally:
            os.close(own)
        return _mount_of_root()

    try:
        return in_own_thread(root_of_namespace, "view") != _mount_of_root()
    except PermissionError:
        return False  # who may not even do that starts no container


def _mount_of_root() -> int:
    """The number of the mount that this thread's root is on (proc_pid_fdinfo(5))."""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(f"/proc/thread-self/fdinfo/{root}", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))
    finally:
        os.close(root)


def _place(root: int, target: str, *, directory: bool) -> int:
    try:
        return paths.open_in_root(root, target, os.O_PATH)
    except FileNotFoundError:
        above, _, name = target.rstrip("/").rpartition("/")
    paths.make_directories(root, above)
    if directory:
        paths.make_directories(root, target)
    else:
        paths.make_file(root, above, name)
    return paths.open_in_root(root, target, os.O_PATH)


def _is_directory(descriptor: int) -> bool:
    return os.fstat(descriptor).st_mode & 0o170000 == 0o040000


def _clone_in(space: int, root: int) -> int:
    """A copy of the root's mount alone; the kernel copies mounts only for who is in their namespace."""
    namespaces.unshare(namespaces.CLONE_FS)
    namespaces.setns(space, namespaces.CLONE_NEWNS)
    return mounts.clone_tree("", recursive=False, dir_fd=root)


def _map(text: str) -> tuple[tuple[int, int, int], ...]:
    rows = (line.split() for line in text.splitlines())
    return tuple((int(inside), int(outside), int(count)) for inside, outside, count in rows)


def _kernel_devices(mountinfo: str) -> frozenset[int]:
    """Device numbers out of proc_pid_mountinfo(5)."""
    found = set()
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if after.split(" ", 1)[0] in _KERNEL_SYSTEMS or fields[4] == "/dev":
            major, _, minor = fields[2].partition(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
