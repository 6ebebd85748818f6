"""Two trees held against each other: one that began as a copy of the other, and that one.

A file that looks the same (kind, owner, mode, size, time) is the same, unless it was touched after the copy was made:
its change time, which nobody can set, tells. Then its bytes and attributes are compared.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, NamedTuple

from kist.errors import Unsupported
from kist.image.filling import Filling
from kist.image.nodes import kept
from kist.image.tar import shown
from kist.image.tree import DEEPEST, status_at
from kist.kernel import files
from kist.spec import mountpoints

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 18
_EMPTY_DIRECTORIES = frozenset(map(str.encode, mountpoints.DIRECTORIES))
_EMPTY_FILES = frozenset(map(str.encode, mountpoints.FILES))


class Difference(NamedTuple):
    """An entry that is not as it was.

    Attributes:
        path: from the root, without a slash at either end.
        kind: of a directory ``changed`` may only mean that something in it is not as it was.
        parent: a descriptor of its directory; it is valid until the next difference is asked for.
        name: in that directory.
        status: what it is now; of what is gone, what it was.
        before: what it was; None for what is new.
    """

    path: bytes
    kind: Literal["added", "changed", "gone"]
    parent: int
    name: bytes
    status: os.stat_result
    before: os.stat_result | None = None


def differences(filling: Filling) -> Iterator[Difference]:
    """All differences between a snapshot and the tree that it is a copy of, in the order of a layer's members.

    A directory comes before what is in it. Of what is gone only the topmost is told. Mount points that every container
    needs are none, as long as they are empty. What vanishes meanwhile is left out.

    Raises:
        Unsupported: directories are nested too deep.
        OSError: something could not be read.
    """
    with _opened(filling.directory) as now, _opened(filling.copy_of) as before:
        yield from _Comparison(filling.copied_at).inside(now, before, b"")


def between(now: int, before: int) -> Iterator[Difference]:
    """As ``differences``, of two open directories none of which began as the other's copy: files are compared."""
    return _Comparison(0).inside(now, before, b"")


@contextmanager
def _opened(name: str | bytes, parent: int | None = None) -> Iterator[int]:
    directory = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        yield directory
    finally:
        os.close(directory)


class _Comparison:
    def __init__(self, copied_at: int) -> None:
        self._copied_at = copied_at

    def inside(self, now: int, before: int | None, prefix: bytes) -> Iterator[Difference]:
        """The differences in an open directory; ``before`` is None for a directory that is new."""
        names = set(map(os.fsencode, os.listdir(now)))
        gone = set() if before is None else {*map(os.fsencode, os.listdir(before))} - names
        for name in sorted((*names, *gone), key=lambda name: b".wh." + name if name in gone else name):
            with suppress(FileNotFoundError, NotADirectoryError):  # gone since
                was = None if before is None else status_at(before, name)
                if was is not None and stat.S_ISSOCK(was.st_mode):
                    was = None  # it means nothing without its process, and is not copied
                if name in gone:
                    if was is not None:
                        yield Difference(prefix + name, "gone", now, name, was, was)
                    continue
                yield from self._entry(now, before, name, prefix + name, was)

    def _entry(
        self, now: int, before: int | None, name: bytes, path: bytes, was: os.stat_result | None
    ) -> Iterator[Difference]:
        status = os.lstat(name, dir_fd=now)
        found = Difference(path, "added" if was is None else "changed", now, name, status, was)
        if stat.S_ISDIR(status.st_mode):
            if path.count(b"/") >= DEEPEST:
                raise Unsupported(f"{shown(path[:60])}… is nested deeper than {DEEPEST} directories")
            was_directory = before is not None and was is not None and stat.S_ISDIR(was.st_mode)
            yield from self._directory(found, before if was_directory else None)
        elif was is None or before is None:
            if path not in _EMPTY_FILES or status.st_size or not stat.S_ISREG(status.st_mode):
                yield found
        elif not self._is_same(now, before, name, status, was):
            yield found

    def _directory(self, found: Difference, before: int | None) -> Iterator[Difference]:
        is_told = before is None and found.path not in _EMPTY_DIRECTORIES
        if before is not None and found.before is not None:
            is_told = not self._is_same(found.parent, before, found.name, found.status, found.before)
        if is_told:
            yield found
        with _opened(found.name, found.parent) as inner:
            if before is None:
                below = self.inside(inner, None, found.path + b"/")
                yield from below if is_told else _after(found, below)
                return
            with _opened(found.name, before) as was:
                below = self.inside(inner, was, found.path + b"/")
                yield from below if is_told else _after(found, below)

    def _is_same(self, now: int, before: int, name: bytes, status: os.stat_result, was: os.stat_result) -> bool:
        if _looks(status) != _looks(was):
            return False
        if status.st_ctime_ns < self._copied_at:
            return True
        if stat.S_ISLNK(status.st_mode) and os.readlink(name, dir_fd=now) != os.readlink(name, dir_fd=before):
            return False
        if dict(kept(files.xattrs_at(now, name))) != dict(kept(files.xattrs_at(before, name))):
            return False
        if not stat.S_ISREG(status.st_mode):
            return True
        # A further name for a file of the image is a link in the layer too, if the file is.
        return status.st_nlink <= was.st_nlink and _same_bytes(now, before, name)


def _after(found: Difference, below: Iterator[Difference]) -> Iterator[Difference]:
    """A directory ahead of the first difference in it, if there is any."""
    for first in below:
        yield found
        yield first
        yield from below


def _looks(status: os.stat_result) -> tuple[int, ...]:
    common = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev, status.st_mtime_ns)
    return common if stat.S_ISDIR(status.st_mode) else (*common, status.st_size)


def _same_bytes(now: int, before: int, name: bytes) -> bool:
    mine, theirs = os.open(name, _FILE, dir_fd=now), os.open(name, _FILE, dir_fd=before)
    try:
        while (data := os.read(mine, _CHUNK)) == os.read(theirs, _CHUNK):
            if not data:
                return True
        return False
    finally:
        os.close(mine)
        os.close(theirs)
