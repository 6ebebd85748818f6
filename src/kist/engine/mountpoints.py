"""Mount points that every container needs and an image may lack, without leaving them in the image.

An overlay gets one more lower layer on top, with just the missing ones, so that neither ``diff`` nor a build step
ever shows them. It is made once for each topmost layer that has a say in it (``<data root>/mountpoints/<chain>``): most
layers of a build change nothing where something is mounted. In a copy of the image they are made, and a comparison with
the image leaves them out while they are empty. A build step's root that is a plain directory (``FROM scratch``, a
bootstrap, a copy) gets what is missing, and loses it again.
"""

import functools
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kist.kernel import paths, trees
from kist.spec.mount import Mount
from kist.spec.mountpoints import DIRECTORIES, FILES
from kist.store import directories
from kist.store.locks import StoreLock

_ASIDE = "tmp"


def with_mountpoints(cache: str, chains: Sequence[str], root: Sequence[Mount]) -> tuple[Mount, ...]:
    """The mounts of a container's root with the missing mount points below it.

    Args:
        cache: the directory of all made layers.
        chains: what the image's layers are called, the topmost first, each with those below it; equal chains lack the
            same.
        root: from the snapshotter.
    """
    mount = root[0]
    if mount.type != "overlay":
        if mount.option("copy-of"):
            _complete(mount.source)
        return tuple(root)
    lowers = _lowers(mount)
    deciding = _deciding(lowers)
    layer = os.path.join(cache, chains[deciding].replace(":", "-"))
    if not os.path.isdir(layer):
        _make_layer(cache, layer, mount, lowers[deciding:])
    if not os.listdir(layer):
        return tuple(root)
    options = tuple(
        option.replace("lowerdir=", f"lowerdir={layer}:", 1) if option.startswith("lowerdir=") else option
        for option in mount.options
    )
    return (Mount(mount.type, mount.source, mount.target, options),)


def forget_unused(cache: str, exists: Callable[[str], bool]) -> None:
    """Remove the made layers of images that are gone; ``exists`` tells whether a chain is still here.

    What has another name is being made, or was by somebody who was killed: that goes when nobody makes any.
    """
    if not os.path.isdir(cache):
        return
    with _making(cache).alone() as alone:
        gone = [name for name in os.listdir(cache) if alone or not name.startswith(_ASIDE)]
        for name in gone:
            if not exists(name.replace("-", ":", 1)):
                directories.remove_tree(os.path.join(cache, name))


@contextmanager
def borrowed(root: Sequence[Mount]) -> Iterator[None]:
    """While a plain directory serves as a root: take away at the end what was missing and is still empty.

    The times of the directories that it lies in are as before, unless the command made or removed something there.
    """
    if root[0].type == "overlay":
        yield
        return
    directory = root[0].source
    made = _complete(directory)
    try:
        yield
    finally:
        root_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for path in reversed(made):
                remove_if_empty(root_fd, path)
        finally:
            os.close(root_fd)


def take_away(directory: str, below: str) -> None:
    """Remove from a whole tree what ``with_mountpoints`` has made in it: what is empty, and not in the one below."""
    held = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in (directory, below)]
    try:
        for path in reversed((*DIRECTORIES, *FILES)):
            if _status(held[1], path) is None:
                remove_if_empty(held[0], path)
    finally:
        for each in held:
            os.close(each)


def _complete(directory: str) -> list[str]:
    """Make what is missing in a tree that nobody uses; what was made."""
    made = []
    tree = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in (*DIRECTORIES, *FILES):
            etc = _status(tree, "etc") if path in FILES else None
            # Behind a link init makes what it needs.
            if _status(tree, path) is None and (etc is None or stat.S_ISDIR(etc.st_mode)):
                make_in(tree, path, directory=path in DIRECTORIES)
                made.append(path)
    finally:
        os.close(tree)
    return made


def make_in(tree: int, path: str, *, directory: bool) -> None:
    """Make an empty directory or file, and leave the time of the directory that it lies in."""
    above, name = os.path.split(path)
    parent = paths.open_in_root(tree, above or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = os.fstat(parent)
        if directory:
            os.mkdir(name, dir_fd=parent)
            os.chmod(name, 0o755, dir_fd=parent)  # noqa: S103 - every user of the container enters it
        else:
            file = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=parent)
            os.fchmod(file, 0o644)
            os.close(file)
        os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(parent)


def _lowers(mount: Mount) -> list[str]:
    return (mount.option("lowerdir") or "").split(":")


def _deciding(lowers: Sequence[str]) -> int:
    """The topmost layer that has a say in what is missing, and in how the root looks; what is above it has none."""
    mine = os.stat(lowers[0])
    for number, below in enumerate(lowers[1:]):
        its = os.stat(below)
        looks = (mine.st_mode, mine.st_uid, mine.st_gid) != (its.st_mode, its.st_uid, its.st_gid)
        if looks or _has_any(lowers[number], mine.st_ino, mine.st_ctime_ns):
            return number
        mine = its
    return len(lowers) - 1


@functools.lru_cache(maxsize=1024)
def _has_any(layer: str, inode: int, changed: int) -> bool:
    """Whether a layer, as which this directory is known, has something of these names: a whiteout, too."""
    del inode, changed  # another directory may come to bear the path
    return any(os.path.lexists(f"{layer}/{name}") for name in DIRECTORIES)


def _making(cache: str) -> StoreLock:
    """Held shared while layers are made."""
    return StoreLock(f"{cache}.lock")


def _make_layer(cache: str, layer: str, root: Mount, lowers: Sequence[str]) -> None:
    """Compare with the merged view of these layers, aside, then put the result in place."""
    directories.make(cache)
    with _making(cache).shared():
        _make_aside(tempfile.mkdtemp(prefix=_ASIDE, dir=cache), layer, root, lowers)


def _make_aside(aside: str, layer: str, root: Mount, lowers: Sequence[str]) -> None:
    os.chmod(aside, 0o755)  # noqa: S103 - it becomes the "/" of containers
    ours = ("lowerdir=", "upperdir=", "workdir=", "disk=")
    kept = tuple(option for option in root.options if not option.startswith(ours))
    # A read-only overlay wants two layers; one alone is shown as it is.
    view = (
        ("overlay", "overlay", (f"lowerdir={':'.join(lowers)}", *kept, "ro"))
        if len(lowers) > 1
        else ("bind", lowers[0], ("ro",))
    )
    tree = trees.open_tree_of([view])
    try:
        for path in DIRECTORIES:
            if _status(tree, path) is None:
                _make_directory(os.path.join(aside, path))
        _make_files(tree, aside)
    except BaseException:
        directories.remove_tree(aside)
        raise
    finally:
        os.close(tree)
    # The top directory is the container's "/": it looks as the image's does.
    _copy_attributes(os.stat(lowers[0]), aside)
    try:
        os.rename(aside, layer)
    except OSError:
        if not os.path.isdir(layer):
            raise
        directories.remove_tree(aside)  # another thread was first


def _make_files(tree: int, aside: str) -> None:
    etc = _status(tree, "etc")
    if etc is not None and not stat.S_ISDIR(etc.st_mode):
        return  # a link or worse: init makes what it needs behind it
    missing = [path for path in FILES if _status(tree, path) is None]
    target = os.path.join(aside, "etc")
    if missing and not os.path.isdir(target):
        _make_directory(target)
    for path in missing:
        file = os.open(os.path.join(aside, path), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        os.fchmod(file, 0o644)
        os.close(file)
    if etc is not None and missing:
        _copy_attributes(etc, target)


def _make_directory(path: str) -> None:
    """Make a directory that every user of the container may enter, whatever the engine's umask is."""
    os.mkdir(path)
    os.chmod(path, 0o755)  # noqa: S103 - it is a part of an image


def _status(tree: int, path: str) -> os.stat_result | None:
    try:
        parent = paths.open_in_root(tree, os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        return os.stat(os.path.basename(path), dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    finally:
        os.close(parent)


def _copy_attributes(status: os.stat_result, path: str) -> None:
    os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def remove_if_empty(root_fd: int, path: str) -> None:
    """Remove a directory or file below the root; the command may have put links on the way there."""
    try:
        parent = paths.open_in_root(root_fd, os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return  # replaced by the command: then it is the command's
    name = os.path.basename(path)
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        before = os.fstat(parent)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            os.unlink(name, dir_fd=parent)
        os.utime(parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    except OSError:
        return  # filled or replaced by the command
    finally:
        os.close(parent)
