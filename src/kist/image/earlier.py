"""Files of an earlier unpacking: those that an archive has again, as they are, are moved and not written anew."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import NamedTuple, Self

from kist.image.tar import Entry, TarReader
from kist.kernel import paths

_CHUNK = 1 << 20
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Same(NamedTuple):
    """A file that is as the archive has it, but for its time: its name in an open directory; its digest, if known."""

    directory: int
    name: bytes
    digest: bytes | None
    mtime: int


class Content(NamedTuple):
    """What a file is to have in it, with its digest where that was at hand."""

    chunks: Iterable[memoryview]
    digest: bytes | None = None


class Earlier:
    """A tree that was unpacked before, and that only this has; a context manager. What is taken of it is missing there.

    A file is the same by its content: a small one by its digest, which is kept, a large one by itself. Nothing else
    of the tree counts: where its links lead, what is missing, or what its files are, changes nothing of what becomes
    of the archive.

    Args:
        root: its directory; None where there is none.
        known: the SHA-256 of one of its files by its status (files with attributes have none).
        note: is told the same of each file that is as the archive has it, where the digest is known.
    """

    def __init__(
        self,
        root: str | None,
        known: Callable[[os.stat_result], bytes | None],
        note: Callable[[os.stat_result, bytes], None],
    ) -> None:
        self._root = -1 if root is None else os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._known = known
        self.note = note
        self._head: bytes | None = None  # the last member's directory as it was written,
        self._directory: int | None = None  # and its descriptor here

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        if self._root >= 0:
            os.close(self._root)

    def look(self, entry: Entry, reader: TarReader) -> Same | Content:
        """What is here of a regular member without attributes; its content is read from ``reader``."""
        found = self._candidate(entry)
        view = reader.content()
        if view is not None:
            digest = hashlib.sha256(view).digest()
            if found is not None and self._known(found[2]) == digest:
                return Same(found[0], found[1], digest, found[2].st_mtime_ns)
            return Content((view,), digest)
        if found is None:
            return Content(reader.chunks())
        directory, name, status = found
        other = _other(directory, name, reader.chunks())
        if other is not None:
            return Content(other)
        return Same(directory, name, self._known(status), status.st_mtime_ns)

    def _candidate(self, entry: Entry) -> tuple[int, bytes, os.stat_result] | None:
        """The file at the same path, if it could be the same."""
        if self._root < 0:
            return None
        head, _, name = entry.name.rpartition(b"/")
        if head != self._head:
            self._leave()
            self._head = head
            try:
                path = os.fsdecode(head).lstrip("/") or "."
                self._directory = paths.open_in_root(self._root, path, os.O_PATH | os.O_DIRECTORY)
            except OSError:  # there is no such directory; whatever else it is, the member is written
                self._directory = None
        if self._directory is None:
            return None
        try:
            status = os.lstat(name, dir_fd=self._directory)
        except OSError:
            return None
        looks = (stat.S_IFREG | entry.mode, 1, entry.uid, entry.gid, entry.size)
        if (status.st_mode, status.st_nlink, status.st_uid, status.st_gid, status.st_size) != looks:
            return None
        return self._directory, name, status

    def _leave(self) -> None:
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None


def _other(directory: int, name: bytes, chunks: Iterator[memoryview]) -> Iterable[memoryview] | None:
    """All of the content where it is not the file's; None where it is."""
    file = os.open(name, _FILE, dir_fd=directory)
    same = 0
    try:
        for chunk in chunks:
            if os.pread(file, len(chunk), same) != bytes(chunk):
                return chain(_beginning(os.dup(file), same), (chunk,), chunks)
            same += len(chunk)
    finally:
        os.close(file)
    return None


def _beginning(file: int, size: int) -> Iterator[memoryview]:
    """So many bytes of a file, whose descriptor is closed then."""
    try:
        at = 0
        while at < size:
            data = os.pread(file, min(_CHUNK, size - at), at)
            yield memoryview(data)
            at += len(data)
    finally:
        os.close(file)
