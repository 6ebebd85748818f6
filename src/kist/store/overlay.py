"""Snapshots as directories that overlayfs stacks (Documentation/filesystems/overlayfs.rst of the kernel).

A snapshot's directory is one layer; beside it, while it is active and on top of others, is overlayfs's work directory
(two directories and no third around them, for making them is what ``prepare`` costs).
"""

import os
from collections.abc import Sequence

import msgspec

from kist.kernel import files, process, userns
from kist.spec.mount import Mount
from kist.store import directories

# Features that would leave an upper directory without all that changed, when a distribution turns them on.
_UNWANTED = ("redirect_dir", "metacopy")
_VOLATILE_SINCE = (5, 10)  # of Linux


class Overlay:
    """The kernel shows an image's layers as one tree, and keeps what changes apart."""

    name = "overlay"
    quick = True
    layered = True
    whole = False

    def __init__(self) -> None:
        self._options = options()

    def make(self, directory: str, below: str | None) -> int:
        """The directories of a snapshot; its root looks like the root below, for a mount shows the upper's."""
        os.mkdir(directory, 0o700)
        if below is None:
            os.chmod(directory, 0o755)  # noqa: S103 - the root of a container is for all its users
            return 0
        os.mkdir(f"{directory}-work", 0o700)
        like = os.stat(below)
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(directory, like.st_uid, like.st_gid)
        os.chmod(directory, like.st_mode & 0o7777)
        return 0

    def mounts(self, directory: str, lowers: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``."""
        if not lowers:
            return (Mount("bind", directory, "", ("rbind", "rw")),)
        layers = (f"lowerdir={':'.join(lowers)}", f"upperdir={directory}", f"workdir={directory}-work")
        return (Mount("overlay", "overlay", "", (*layers, *self._options)),)

    def view(self, stack: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``."""
        if len(stack) == 1:
            return (Mount("bind", stack[0], "", ("rbind", "ro")),)
        return (Mount("overlay", "overlay", "", ("lowerdir=" + ":".join(stack), *self._options)),)

    def size(self, directory: str, below: str | None) -> int:
        """See ``Storage``."""
        del below  # nothing of it is here
        return directories.size(directory)


def unsynced(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """The mounts of an active snapshot that becomes a layer, without waiting for the disk as they end.

    At its end an overlay writes all that its file system holds in memory, of others too. A layer's files are not synced
    one by one (``snapshots``), so that would be for nothing; and so is fsync(2) of anything in it, which does nothing
    now. The kernel leaves a mark of that beside the files and mounts none that has it: call this each time.
    """
    (mount,) = mounts
    if mount.type != "overlay" or process.kernel_release() < _VOLATILE_SINCE:
        return tuple(mounts)
    mark = f"{mount.option('workdir')}/work/incompat"
    if os.path.isdir(mark):
        directories.remove_tree(mark)
    return (msgspec.structs.replace(mount, options=(*mount.options, "volatile")),)


def options() -> tuple[str, ...]:
    """What every mount of ours is told."""
    defaults = files.overlay_defaults(_UNWANTED)
    found = [f"{name}=off" for name in _UNWANTED if defaults[name]]
    if userns.limited_ids() is not None:
        found.append("userxattr")  # the other attributes are the machine's root's
    return tuple(found)
