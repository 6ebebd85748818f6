"""File systems that are mounted where no path of the host leads, for containers to have in common.

A holder is a mount namespace that has nothing but one mount, as its root. It lives as long as somebody has a descriptor
of it or a copy of its mount, so what is mounted goes with its last user, whoever that is: no process has to see to it.
"""

from __future__ import annotations

import os

from kist.kernel import mounts, namespaces
from kist.kernel.threads import in_own_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Of the mount rather than of the file system (mount_setattr(2)).
_ATTRIBUTES = {
    "ro": mounts.MOUNT_ATTR_RDONLY,
    "nosuid": mounts.MOUNT_ATTR_NOSUID,
    "nodev": mounts.MOUNT_ATTR_NODEV,
    "noexec": mounts.MOUNT_ATTR_NOEXEC,
    "noatime": 0x10,
    "strictatime": 0x20,
    "nodiratime": 0x80,
}
_USUAL = frozenset({"async", "atime", "defaults", "dev", "diratime", "exec", "relatime", "rw", "suid"})


def open_file_system(kind: str, device: str, words: Sequence[str]) -> int:
    """A detached mount of a file system, as a descriptor.

    Args:
        kind: its type.
        device: what it is of.
        words: of mount(8).

    Raises:
        OSError: as the kernel has it; ``said`` are its own words, where it has any.
    """
    attributes = 0
    for word in words:
        attributes |= _ATTRIBUTES.get(word, 0)
    own = tuple(word for word in words if word == "ro" or (word not in _ATTRIBUTES and word not in _USUAL))
    return mounts.new_filesystem(kind, own, source=device, attributes=attributes)


def hold(tree: int, place: str) -> int:
    """A descriptor of a mount namespace whose root is the detached mount ``tree``, which is closed.

    Args:
        tree: the mount.
        place: an absolute path of an empty directory, which stays as it is.
    """
    try:
        # Of its mounts and its root this process is to know nothing.
        return in_own_thread(lambda: _hold(tree, place), "volume")
    finally:
        os.close(tree)


def _hold(tree: int, place: str) -> int:
    namespaces.unshare(namespaces.CLONE_FS | namespaces.CLONE_NEWNS)
    space = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
        mounts.attach_tree(tree, place)
        os.chdir(place)
        mounts.pivot_root(".", ".")
        mounts.unmount(".", mounts.MNT_DETACH)
    except OSError:
        os.close(space)
        raise
    return space


def copy_of(space: int, within: str = "") -> int:
    """A detached copy of what a holder holds, or of a part of it that no link leads out of.

    To be called by a process that shares its root with no other; it comes back to where it was.
    """
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        namespaces.setns(space, namespaces.CLONE_NEWNS)
        try:
            return mounts.clone_part("/", within)
        finally:
            namespaces.setns(own, namespaces.CLONE_NEWNS)
            # Not the root of the mount namespace, which is another one where the engine runs in a chroot.
            os.fchdir(root)
            os.chroot(".")
    finally:
        os.close(own)
        os.close(root)


def copy_in_thread(space: int) -> int:
    """As ``copy_of``, of the whole, for a process with threads."""

    def work() -> int:
        namespaces.unshare(namespaces.CLONE_FS)
        namespaces.setns(space, namespaces.CLONE_NEWNS)
        return mounts.clone_tree("/")

    return in_own_thread(work, "volume")
