"""Containers whose own files are in a file system of theirs: how large it is, and how its files are reached."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kist.engine.disk_size import asked_size
from kist.errors import Unsupported, see_doctor
from kist.kernel import disks
from kist.spec.container import ContainerOptions
from kist.spec.mount import Mount
from kist.store import Store, choice
from kist.store.loop import Loop

DEFAULT_SIZE = 10 << 30
"""Bytes of a container that names no size, in a data root where each has a disk of its own."""


def size_of(options: ContainerOptions, store: Store) -> int:
    """The bytes of the disk that a container is made with; 0 for none of its own.

    Raises:
        InvalidInput: as ``asked_size``.
        Unsupported: it is asked for, and cannot be had here.
    """
    asked = asked_size(options)
    if store.storage.name == Loop.name:
        return 0 if options.rootfs else asked or DEFAULT_SIZE
    if asked and (fault := choice.refusal_of_limits(store.root)):
        raise Unsupported(
            f"--storage-opt size={options.storage_options['size']} cannot be had: {fault}",
            hint=see_doctor("loop", "a limit is kept by a loop device, which root's engine makes with mkfs.ext4"),
        )
    return asked


@contextmanager
def reached(mounts: Sequence[Mount]) -> Iterator[tuple[Mount, ...]]:
    """The mounts of an active snapshot, their directories named so that this process can read them in the block."""
    disk = mounts[0].option("disk")
    if not disk:
        yield tuple(mounts)
        return
    tree = disks.open_tree(disk)
    try:
        yield tuple(_through(mount, f"/proc/self/fd/{tree}") for mount in mounts)
    finally:
        os.close(tree)


def _through(mount: Mount, way: str) -> Mount:
    own = os.path.dirname(mount.option("upperdir") or mount.source)
    options = (option.replace(f"{own}/", f"{way}/") for option in mount.options if not option.startswith("disk="))
    return Mount(mount.type, mount.source.replace(f"{own}/", f"{way}/"), mount.target, tuple(options))
