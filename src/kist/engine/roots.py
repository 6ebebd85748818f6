"""What a container's root file system is: a snapshot of its image, or a directory of the host (``--rootfs``)."""

import os
from collections.abc import Sequence

from kist.engine import mountpoints
from kist.errors import Conflict, InvalidInput, NotFound
from kist.spec.container import Container, ContainerOptions
from kist.spec.digest import Digest
from kist.spec.mount import Mount
from kist.store import Store

NO_IMAGE = Digest("sha256:" + "0" * 64)
"""Stands for the image of a container that has none."""


def root_mounts(store: Store, container: Container) -> tuple[Mount, ...]:
    """The root as the container starts with it; mount points that an image lacks are there."""
    if container.options.rootfs:
        return (Mount("bind", container.options.rootfs),)
    return over_mountpoints(store, container.id, store.snapshots.mounts(container.id))


def over_mountpoints(store: Store, key: str, root: Sequence[Mount]) -> tuple[Mount, ...]:
    """The mounts of an active snapshot, with the mount points that its image lacks."""
    return mountpoints.with_mountpoints(f"{store.root}/mountpoints", store.snapshots.below(key), root)


def need_image(container: Container, doing: str) -> None:
    """Refuse what needs an image below the container's own files.

    Raises:
        Conflict: it is a container on a directory of the host.
    """
    if container.options.rootfs:
        raise Conflict(
            f"cannot {doing} {container.name}: it has no image, its root is {container.options.rootfs}",
            hint=f"tar -C {container.options.rootfs} -c . | kist import - makes an image of it",
        )


def check_directory(options: ContainerOptions) -> None:
    """Refuse a ``--rootfs`` that cannot be a root.

    Raises:
        InvalidInput: it is not absolute, or it is the host's own.
        NotFound: there is no such directory.
    """
    path = options.rootfs
    if not path.startswith("/"):
        raise InvalidInput(f"invalid --rootfs {path!r}: it must be an absolute path")
    if not os.path.isdir(path):
        raise NotFound(f"--rootfs: no such directory: {path}", hint="it is a file system tree on the engine's machine")
    if os.path.samefile(path, "/"):
        raise InvalidInput("--rootfs: the root of this machine cannot be a container's", hint="name a directory in it")
