"""Directories of the data root: made with plain permissions, synced, measured, emptied."""

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from kist.kernel import files

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 200
_FEW_FILES = 16
_ASIDE = "removed-"
_PATH_MAX = 4096
_BLOCK = 512  # bytes of what st_blocks counts, whatever the file system's own are


def make(path: str, mode: int = 0o700) -> None:
    """Make ``path`` and its parents, without the set-group-id bit and the default ACL that a parent may hand down."""
    if os.path.isdir(path):
        return
    os.makedirs(path, mode, exist_ok=True)
    if "system.posix_acl_default" in _xattrs(path):
        os.removexattr(path, "system.posix_acl_default")
    os.chmod(path, mode)


def takes_file_of(path: str, size: int) -> bool:
    """Whether the file system of the directory ``path`` has files of so many bytes, be they holes."""
    with tempfile.TemporaryFile(dir=path) as file:
        try:
            os.ftruncate(file.fileno(), size)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            return False
    return True


def sync(path: str) -> None:
    """Make the names in the directory ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(path: str) -> None:
    """Make all durable that is in and below the directory ``path``, which nobody changes meanwhile.

    Of few files each one for itself, for else one waits for what others have written to the file system.
    """
    found = [path]
    for where, name, status in below(path):
        if stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
            found.append(os.path.join(path, *where, name))
        if len(found) > _FEW_FILES or len(os.fsencode(found[-1])) >= _PATH_MAX:
            files.sync_file_system(path)
            return
    for each in reversed(found):
        descriptor = os.open(each, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
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


def remove_below(directory: int, name: str) -> None:
    """Remove what is called so in an open directory, with all that is below it."""
    try:
        root = os.open(name, _DIRECTORY, dir_fd=directory)
    except NotADirectoryError:
        os.unlink(name, dir_fd=directory)
        return
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        os.unlink(name, dir_fd=directory)
        return
    try:
        _empty(root)
    finally:
        os.close(root)
    os.rmdir(name, dir_fd=directory)


def set_aside(directory: str, names: Iterable[str]) -> tuple[str, ...]:
    """Give things in a directory names that nobody else gives, so that they can be removed when nobody waits for it.

    Returns:
        The paths where they are now, but for what is gone already. To be set aside again does nothing to them.
    """
    found = []
    for name in names:
        aside = name if name.startswith(_ASIDE) else f"{_ASIDE}{os.urandom(8).hex()}"
        try:
            os.rename(f"{directory}/{name}", f"{directory}/{aside}")
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.EBUSY:  # something is mounted there, which `kist system check` tells
                raise
            continue
        found.append(f"{directory}/{aside}")
    return tuple(found)


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
            up = f".deep-{moved}-{os.urandom(4).hex()}"  # others, who remove it too, move things up under their own
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


class Extent(NamedTuple):
    """The space of a file tree, in bytes.

    Attributes:
        apparent: of what is in its regular files.
        disk: of the blocks that all of it has on the disk, directories too, as ``du`` counts them. What a file system
            shares between files (reflinks) is told of each of them: nobody can know.
    """

    apparent: int
    disk: int


def size(path: str) -> int:
    """Bytes of all regular files below ``path``, hard links once."""
    return measure(path).apparent


def measure(path: str, *, one_device: bool = False) -> Extent:
    """The space of ``path`` and all below it, hard links once; nothing for what is not there, or goes meanwhile.

    Args:
        path: a directory, or any other file.
        one_device: leave out what is mounted below.
    """
    try:
        top = os.lstat(path)
    except FileNotFoundError:
        return Extent(0, 0)
    if not stat.S_ISDIR(top.st_mode):
        return Extent(top.st_size if stat.S_ISREG(top.st_mode) else 0, top.st_blocks * _BLOCK)
    apparent, counted = 0, top.st_blocks
    seen: set[tuple[int, int]] = set()
    for _, _, status in below(path, top.st_dev if one_device else None):
        if one_device and status.st_dev != top.st_dev:
            continue
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                continue
            seen.add(identity)
        counted += status.st_blocks
        if stat.S_ISREG(status.st_mode):
            apparent += status.st_size
    return Extent(apparent, counted * _BLOCK)


def blocks(path: str) -> list[tuple[str, int]]:
    """The name of each thing in a directory, without those below, and its bytes on the disk."""
    try:
        descriptor = os.open(path, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        return [(name, status.st_blocks * _BLOCK) for name, status in _statuses(descriptor)]
    finally:
        os.close(descriptor)


def own_blocks(path: str) -> int:
    """Bytes on the disk of a directory itself, without what is in it; 0 where there is none."""
    try:
        return os.lstat(path).st_blocks * _BLOCK
    except FileNotFoundError:
        return 0


def below(path: str, device: int | None = None) -> Iterator[tuple[Sequence[str], str, os.stat_result]]:
    """All that is below a directory: where it is (the names of the directories on the way), its name, its status.

    Others may change the tree meanwhile, and mean harm: it is gone through by descriptors, so that no link is followed,
    whatever takes the place of what when. Nothing is told of what is gone, or goes.

    Args:
        path: of the directory.
        device: where it is given, directories on other ones are told of and not entered.

    Yields:
        The names are those of one list, which changes as it goes on: a path for each would be a tree's depth squared.
    """
    try:
        way = _Way(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    todo: list[list[str]] = []  # the directories that are still to be entered, in each on the way
    try:
        found = way.top()
        while True:
            todo.append([name for name, status in found if _is_entered(status, device)])
            for name, status in found:
                yield way.names, name, status
            while not (found := _next(way, todo[-1])):
                todo.pop()
                if not todo:
                    return
                way.leave()
    finally:
        way.close()


def _is_entered(status: os.stat_result, device: int | None) -> bool:
    return stat.S_ISDIR(status.st_mode) and device in {None, status.st_dev}


def _next(way: "_Way", todo: list[str]) -> list[tuple[str, os.stat_result]]:
    """Enter the next directory that there is something in; empty where there is none left."""
    while todo:
        if found := way.enter(todo.pop()):
            return found
    return []


class _Way:
    """From a directory down to one below it, by descriptors: of the top and the last ones, for not all can be open.

    Raises:
        FileNotFoundError, NotADirectoryError: the top is gone.
    """

    def __init__(self, path: str) -> None:
        self.names: list[str] = []  # without the top
        self._held = [os.open(path, _DIRECTORY)]  # -1 for one that is closed
        self._known = [_identity(self._held[0])]

    def close(self) -> None:
        """Give the descriptors back."""
        for each in self._held:
            if each >= 0:
                os.close(each)

    def top(self) -> list[tuple[str, os.stat_result]]:
        """What is in the directory that it begins at."""
        return _statuses(self._held[0])

    def enter(self, name: str) -> list[tuple[str, os.stat_result]]:
        """Go down, and tell what is there; one that is gone or empty is not entered."""
        if self._held[-1] < 0:
            return []  # nobody gets there any more
        try:
            descriptor = os.open(name, _DIRECTORY, dir_fd=self._held[-1])
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            found = _statuses(descriptor)
            known = _identity(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if not found:
            os.close(descriptor)
            return []
        self.names.append(name)
        self._held.append(descriptor)
        self._known.append(known)
        far = len(self._held) - 1 - _DEEPEST
        if far > 0 and self._held[far] >= 0:
            os.close(self._held[far])
            self._held[far] = -1
        return found

    def leave(self) -> None:
        """Go up."""
        left = self._held.pop()
        self._known.pop()
        self.names.pop()
        try:
            if self._held[-1] < 0:
                self._held[-1] = self._above(left)
        finally:
            if left >= 0:
                os.close(left)

    def _above(self, left: int) -> int:
        """The directory above, which was closed: the parent where that is the same one still, else by the names.

        Nothing is opened by all its names without need: that takes as long as the square of the depth.
        """
        if left >= 0:
            with suppress(FileNotFoundError):
                found = os.open("..", _DIRECTORY, dir_fd=left)
                if _identity(found) == self._known[-1]:
                    return found
                os.close(found)
        try:
            return _down(self._held[0], self.names)
        except (FileNotFoundError, NotADirectoryError):
            return -1


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _down(directory: int, names: Sequence[str]) -> int:
    """Open what lies so many names below an open directory, each a directory and no link."""
    descriptor = os.open(".", _DIRECTORY, dir_fd=directory)
    for name in names:
        try:
            deeper = os.open(name, _DIRECTORY, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = deeper
    return descriptor


def _statuses(directory: int) -> list[tuple[str, os.stat_result]]:
    """Of all that is in an open directory."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                found.append((entry.name, entry.stat(follow_symlinks=False)))
    return found
