"""Two trees held against each other: one that began as a copy of the other, or lies over it, and that one.

A file that looks the same (kind, owner, mode, size, time) is the same, unless it was touched after the copy was made:
its change time, which nobody can set, tells. Then its bytes and attributes are compared.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, NamedTuple

from kist.errors import Unsupported
from kist.image.filling import Filling
from kist.image.lowers import Found, Lowers, is_opaque, merge, topmost
from kist.image.nodes import kept
from kist.image.tar import shown
from kist.image.tree import DEEPEST, is_whiteout, status_at
from kist.kernel import files
from kist.spec import mountpoints

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 18

Time = Callable[[os.stat_result], int]
"""Nanoseconds since the epoch."""
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


def differences(filling: Filling, time: Time | None = None) -> Iterator[Difference]:
    """All differences between a snapshot and what it began as, in the order of a layer's members.

    A directory comes before what is in it. Of what is gone only the topmost is told. Mount points that every container
    needs are none, as long as they are empty. What vanishes meanwhile is left out. So it is all one, whether the
    snapshot is an overlay or a copy of the tree below, unless files of several names were written to: an overlay makes
    files of their own of these.

    Args:
        filling: of the snapshot.
        time: what becomes of a file's time in the layer. A file that is the same with that time is none, and gets it.

    Raises:
        Unsupported: directories are nested too deep.
        OSError: something could not be read.
    """
    if not filling.copy_of:
        with _opened(filling.directory) as now, Lowers(filling.lowers, filling.opaque) as below:
            yield from _Comparison(0, time).inside(now, _Layers(below.roots, filling.opaque), b"")
        return
    with _opened(filling.directory) as now, _opened(filling.copy_of) as before:
        yield from _Comparison(filling.copied_at, time).inside(now, _Tree(before), b"")


def between(now: int, before: int) -> Iterator[Difference]:
    """As ``differences``, of two open directories none of which began as the other's copy: files are compared."""
    return _Comparison(0, None).inside(now, _Tree(before), b"")


@contextmanager
def _opened(name: str | bytes, parent: int | None = None) -> Iterator[int]:
    directory = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        yield directory
    finally:
        os.close(directory)


class _Tree(NamedTuple):
    """A directory as it was: an open one of another tree."""

    directory: int

    def find(self, name: bytes) -> Found | None:
        status = status_at(self.directory, name)
        return None if status is None else Found(self.directory, name, status)

    def split(self, now: int) -> tuple[set[bytes], set[bytes]]:
        """The names in the directory as it is now, and those that are gone."""
        names = set(map(os.fsencode, os.listdir(now)))
        return names, {*map(os.fsencode, os.listdir(self.directory))} - names

    def nothing(self) -> None:
        """A directory that there was not."""
        return

    @contextmanager
    def below(self, name: bytes) -> "Iterator[_Tree]":
        with _opened(name, self.directory) as directory:
            yield _Tree(directory)


class _Layers(NamedTuple):
    """A directory as it was: those of an overlay's layers that its upper one lies over, topmost first."""

    directories: tuple[int, ...]
    opaque: str

    def find(self, name: bytes) -> Found | None:
        return topmost(self.directories, name)

    def split(self, now: int) -> tuple[set[bytes], set[bytes]]:
        names = set(map(os.fsencode, os.listdir(now)))
        whiteouts = {name for name in names if (status := status_at(now, name)) and is_whiteout(status)}
        gone = whiteouts
        if is_opaque(now, self.opaque):
            gone = {os.fsencode(name) for each in self.directories for name in os.listdir(each)} | whiteouts
        return names - whiteouts, {name for name in gone - (names - whiteouts) if self.find(name) is not None}

    def nothing(self) -> "_Layers":
        return _Layers((), self.opaque)

    @contextmanager
    def below(self, name: bytes) -> "Iterator[_Layers]":
        directories: list[int] = []
        try:
            directories.extend(merge(self.directories, name, self.opaque))
            yield _Layers(tuple(directories), self.opaque)
        finally:
            for directory in directories:
                os.close(directory)


_Before = _Tree | _Layers


class _Comparison:
    def __init__(self, copied_at: int, time: Time | None) -> None:
        self._copied_at = copied_at
        self._time = time

    def inside(self, now: int, before: _Before | None, prefix: bytes) -> Iterator[Difference]:
        """The differences in an open directory; ``before`` is None for a directory that is new."""
        names, gone = (set(map(os.fsencode, os.listdir(now))), set()) if before is None else before.split(now)
        for name in sorted((*names, *gone), key=lambda name: b".wh." + name if name in gone else name):
            with suppress(FileNotFoundError, NotADirectoryError):  # gone since
                was = None if before is None else before.find(name)
                if was is not None and stat.S_ISSOCK(was.status.st_mode):
                    was = None  # it means nothing without its process, and is not copied
                if name in gone:
                    if was is not None:
                        yield Difference(prefix + name, "gone", now, name, was.status, was.status)
                    continue
                yield from self._entry(now, before, name, prefix + name, was)

    def _entry(
        self, now: int, before: _Before | None, name: bytes, path: bytes, was: Found | None
    ) -> Iterator[Difference]:
        status = os.lstat(name, dir_fd=now)
        found = Difference(path, "added" if was is None else "changed", now, name, status, was and was.status)
        if stat.S_ISDIR(status.st_mode):
            if path.count(b"/") >= DEEPEST:
                raise Unsupported(f"{shown(path[:60])}… is nested deeper than {DEEPEST} directories")
            yield from self._directory(found, before, was if was and stat.S_ISDIR(was.status.st_mode) else None)
        elif was is None:
            if path not in _EMPTY_FILES or status.st_size or not stat.S_ISREG(status.st_mode):
                yield found
        elif not self._is_same(now, name, status, was):
            yield found

    def _directory(self, found: Difference, above: _Before | None, was: Found | None) -> Iterator[Difference]:
        is_told = was is None and found.path not in _EMPTY_DIRECTORIES
        if was is not None:
            is_told = not self._is_same(found.parent, found.name, found.status, was)
        if is_told:
            yield found
        with _opened(found.name, found.parent) as inner:
            if was is None or above is None:
                below = self.inside(inner, above and above.nothing(), found.path + b"/")
                yield from below if is_told else _after(found, below)
                return
            with above.below(found.name) as before:
                below = self.inside(inner, before, found.path + b"/")
                yield from below if is_told else _after(found, below)

    def _is_same(self, now: int, name: bytes, status: os.stat_result, was: Found) -> bool:
        if _looks(status) != _looks(was.status):
            return False
        time = was.status.st_mtime_ns
        is_timely = status.st_mtime_ns == time
        if is_timely and status.st_ctime_ns < self._copied_at:
            return True
        if not is_timely and (self._time is None or self._time(status) != time):
            return False
        if stat.S_ISLNK(status.st_mode) and os.readlink(name, dir_fd=now) != os.readlink(name, dir_fd=was.parent):
            return False
        if dict(kept(files.xattrs_at(now, name))) != dict(kept(files.xattrs_at(was.parent, name))):
            return False
        # A further name for a file of the image is a link in the layer too, if the file is.
        if stat.S_ISREG(status.st_mode) and not (
            status.st_nlink <= was.status.st_nlink and _same_bytes(now, was.parent, name)
        ):
            return False
        if not is_timely:
            os.utime(name, ns=(status.st_atime_ns, time), dir_fd=now, follow_symlinks=False)
        return True


def _after(found: Difference, below: Iterator[Difference]) -> Iterator[Difference]:
    """A directory ahead of the first difference in it, if there is any."""
    for first in below:
        yield found
        yield first
        yield from below


def _looks(status: os.stat_result) -> tuple[int, ...]:
    common = (status.st_mode, status.st_uid, status.st_gid, status.st_rdev)
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
