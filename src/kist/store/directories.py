"""Directories of the data root: made with plain permissions, synced, emptied."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 200


def make(path: str, mode: int = 0o700) -> None:
    """Make ``path`` and its parents, without the set-group-id bit and the default ACL that a parent may hand down."""
    if os.path.isdir(path):
        return
    os.makedirs(path, mode, exist_ok=True)
    if "system.posix_acl_default" in _xattrs(path):
        os.removexattr(path, "system.posix_acl_default")
    os.chmod(path, mode)


def sync(path: str) -> None:
    """Make the names in the directory ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(path: str) -> None:
    """Remove ``path`` and what is below; no complaint when it, or a part of it, is gone already.

    Containers may nest directories deeper than a path can name or a process can hold descriptors: what is deep is
    moved up first. Nobody else may change the tree meanwhile, but others may be removing it too.
    """
    try:
        root = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        _unless_gone(os.unlink, path)
        return
    try:
        _empty(root)
    finally:
        os.close(root)
    _unless_gone(os.rmdir, path)


def _empty(root: int) -> None:
    """Go down one directory at a time; a level is its descriptor, its name, and the names still to do in it."""
    moved = 0
    top = _unlink_files(root)
    levels = [(root, "", top)]
    while levels:
        directory, name, todo = levels[-1]
        if not todo:
            levels.pop()
            if levels:
                os.close(directory)
                _unless_gone(os.rmdir, name, dir_fd=levels[-1][0])
        elif len(levels) > _DEEPEST:
            up = f".deep-{moved}"
            moved += 1
            _unless_gone(os.rename, todo.pop(), up, src_dir_fd=directory, dst_dir_fd=root)
            top.append(up)
        else:
            _descend(levels, directory, todo.pop())


def _descend(levels: list[tuple[int, str, list[str]]], parent: int, name: str) -> None:
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return
    levels.append((directory, name, _unlink_files(directory)))


def _unlink_files(directory: int) -> list[str]:
    """Remove all that is no directory; the names of the directories."""
    below = []
    with os.scandir(directory) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            below.append(entry.name)
        else:
            _unless_gone(os.unlink, entry.name, dir_fd=directory)
    return below


def _unless_gone(remove: Callable[..., None], *arguments: str, **where: int) -> None:
    with suppress(FileNotFoundError):
        remove(*arguments, **where)


def _xattrs(path: str) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:  # a file system without extended attributes has no default ACLs either
        return []


def size(path: str) -> int:
    """Bytes of all regular files below ``path``, hard links once; not what is deeper than a path can name."""
    total = 0
    seen: set[int] = set()
    waiting = [path]
    while waiting:
        try:
            total += _files_size(waiting.pop(), waiting, seen)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
    return total


def _files_size(path: str, below: list[str], seen: set[int]) -> int:
    """Bytes of the files in one directory; its directories go to ``below``."""
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink == 1 or status.st_ino not in seen:
                    total += status.st_size
                    seen.add(status.st_ino)
    return total
