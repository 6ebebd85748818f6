"""File trees by descriptor: the mounts of a snapshot, made where no path leads to them."""

from __future__ import annotations

import errno
import os

from kist.kernel import mounts, namespaces
from kist.kernel.threads import in_own_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def open_tree_of(specifications: Sequence[tuple[str, str, Sequence[str]]]) -> int:
    """A directory descriptor for the file tree that mounts (type, source, options) make.

    The descriptor is one of ``O_PATH`` (open ``.`` relative to it to list the directory). The mount is detached: no
    path leads to it, and it is gone when the descriptor is closed. One mount, of type ``bind`` or a file system's;
    several raise ``ValueError``. The option ``disk`` names a file whose file system is mounted first, on the directory
    that the upper directory (or the source) is in.
    """
    if len(specifications) != 1:
        raise ValueError(f"one mount makes a root, not {len(specifications)}")
    kind, source, options = specifications[0]
    read_only = mounts.MOUNT_ATTR_RDONLY if "ro" in options else 0
    if disk := next((option.partition("=")[2] for option in options if option.startswith("disk=")), ""):
        plain = tuple(option for option in options if option not in {"ro", "rw", f"disk={disk}"})
        return _alone(lambda: _on_disk(disk, kind, source, plain, read_only))
    if kind == "bind":
        tree = mounts.clone_tree(source)
        if read_only:
            mounts.set_attributes("", read_only, dir_fd=tree)
        return tree
    own = tuple(option for option in options if option not in {"ro", "rw"})
    if kind == "overlay":
        return _open_overlay(own, read_only)
    return mounts.new_filesystem(kind, own, source=source, attributes=read_only)


def _open_overlay(options: tuple[str, ...], attributes: int) -> int:
    """An overlay of any number of layers (Documentation/filesystems/overlayfs.rst).

    A string of fsconfig(2) holds 256 bytes, too few for the lower directories of a real image, so they go one by one
    (``lowerdir+``, Linux 6.5). An older kernel gets the classic mount(2) in a mount namespace of its own.
    """
    try:
        return mounts.new_filesystem(
            "overlay", mounts.layers_one_by_one(options), source="overlay", attributes=attributes
        )
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return open_classic(options, attributes)


def open_classic(options: Sequence[str], attributes: int) -> int:
    """An overlay by mount(2), with ``MOUNT_ATTR_*``: as kernels before 6.5 get it."""
    return _alone(lambda: _mount_and_clone(options, attributes))


def _alone(make: Callable[[], int]) -> int:
    """Mount in a namespace that only a short-lived thread is in, and take a detached copy out of it."""

    def work() -> int:
        # A thread shares its root and working directory with the others until CLONE_FS is undone, and as long as it
        # does it cannot change its mount namespace.
        namespaces.unshare(namespaces.CLONE_FS | namespaces.CLONE_NEWNS)
        mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
        return make()

    return in_own_thread(work, "overlay")


def _mount_and_clone(options: Sequence[str], attributes: int) -> int:
    # Any directory serves as the place but "/": that path leads below what is mounted there, to the host's own root.
    # This namespace ends with the thread, and the mount lives on in the descriptor.
    named = {name: value for name, _, value in (option.partition("=") for option in options)}
    place = os.path.dirname(named.get("upperdir") or named["lowerdir"].partition(":")[0])
    mounts.mount_layers("overlay", "overlay", options, place, attributes & mounts.MS_RDONLY)
    return mounts.clone_tree(place, recursive=False)


def _on_disk(disk: str, kind: str, source: str, options: tuple[str, ...], attributes: int) -> int:
    from kist.kernel import disks  # noqa: PLC0415 - few snapshots have one

    upper = next((option.partition("=")[2] for option in options if option.startswith("upperdir=")), source)
    place = os.path.dirname(upper)
    disks.mount_at(disk, place)
    if kind == "overlay":
        mounts.mount_layers(kind, "overlay", options, place, attributes & mounts.MS_RDONLY)
        return mounts.clone_tree(place, recursive=False)
    tree = mounts.clone_tree(source, recursive=False)
    if attributes:
        mounts.set_attributes("", attributes, dir_fd=tree)
    return tree
