"""Copy-up: an empty volume gets what the image has at its place.

One of the engine's own directories is filled aside and put in its place at once; a directory of the host's, or what is
mounted, is filled where it is, and emptied again where that fails.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from kist.errors import from_os_error
from kist.kernel import copying, files, paths, trees
from kist.spec.mount import Mount
from kist.store import Store, directories

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def fill(store: Store, mounts: Iterable[Mount], root: tuple[Mount, ...]) -> None:
    """Fill those of a new container's volumes that are empty, as far as they are there before it starts.

    Args:
        store: that has the volumes.
        mounts: of the container, its volumes named.
        root: its root file system, as the image has it.

    Raises:
        Unavailable: a disk is full; the volume is empty then, as before.
    """
    wanted = [mount for mount in mounts if is_wanted(mount)]
    if not wanted:
        return
    with opened(root) as tree:
        for mount in wanted:
            source = store.volumes.source(store.volumes.get(mount.source))
            if source.is_host:
                fill_in_place(mount, tree, partial(os.open, source.path, _DIRECTORY))
            elif not source.is_held:
                _fill_aside(store, mount, tree)


def is_wanted(mount: Mount) -> bool:
    """Whether a mount is one that the image's files may go to: of a whole volume."""
    return mount.type == "volume" and "nocopy" not in mount.options and mount.option("subpath") is None


@contextmanager
def opened(root: tuple[Mount, ...]) -> Iterator[int]:
    """A descriptor of a container's root file system."""
    with _told("open the image"):
        tree = trees.open_tree_of([(mount.type, mount.source, (*mount.options, "ro")) for mount in root])
    try:
        yield tree
    finally:
        os.close(tree)


def _fill_aside(store: Store, mount: Mount, tree: int) -> None:
    with _source(tree, mount) as source, _told(_doing(mount), store.volumes.root):
        if source < 0:
            return
        with store.volumes.fresh(mount.source) as empty:
            if empty is not None:
                target = os.open(empty, _DIRECTORY)
                try:
                    copying.copy_tree(source, target)
                finally:
                    os.close(target)


def fill_in_place(mount: Mount, tree: int, open_target: Callable[[], int]) -> None:
    """Fill a directory that is empty; what cannot be opened is not there yet, which the start will tell.

    Args:
        mount: of the volume.
        tree: the container's root.
        open_target: gives a descriptor of the directory.
    """
    with _source(tree, mount) as source:
        if source < 0:
            return
        try:
            target = open_target()
        except OSError:
            return
        try:
            if os.listdir(target):
                return
            with _told(_doing(mount), f"the volume {mount.source}"):
                try:
                    copying.copy_tree(source, target)
                    if os.listdir(target):  # after a power cut, too, it is to be whole: nobody fills it once more
                        files.sync_file_system_of(target)
                except BaseException:
                    for name in os.listdir(target):
                        directories.remove_below(target, name)
                    raise
        finally:
            os.close(target)


@contextmanager
def _source(tree: int, mount: Mount) -> Iterator[int]:
    """A descriptor of the image's directory at a mount's place; -1 where it has none."""
    try:
        source = paths.open_in_root(tree, mount.target, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield -1
        return
    try:
        yield source
    finally:
        os.close(source)


def _doing(mount: Mount) -> str:
    return f"fill the volume {mount.source} with what the image has at {mount.target}"


@contextmanager
def _told(doing: str, where: str = "") -> Iterator[None]:
    """Turn an ``OSError`` into an error that says what was being done, and on which file system."""
    try:
        yield
    except OSError as error:
        told = OSError(error.errno, error.strerror, error.filename or where or None)
        raise from_os_error(told, doing + ":" * bool(told.filename)) from error
