"""The files of one log, open: the current one, and the older ones, packed or not.

A file that is open stays readable whatever rotation does to its name. All are read by ``read(offset, size)`` of what
they contain, so search and reading are the same for both kinds.
"""

import os
from typing import Protocol

from kist.runtime import logpack
from kist.runtime.logformat import HEAD, TIME
from kist.runtime.logwriter import MODE, UNORDERED

_PROBE = 64 << 10
# So many numbers without a file mean that there are no older ones.
_NO_MORE = 2


class Segment(Protocol):
    """One file of a log.

    Attributes:
        first: how it begins; two files that begin alike are the same one (records have nanoseconds).
    """

    @property
    def first(self) -> bytes:
        """How it begins."""
        ...

    def size(self) -> int:
        """How many bytes it contains now."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes of its content; fewer at its end."""
        ...

    def close(self) -> None:
        """Close the file."""


class Plain:
    """A file as it was written."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._first = b""

    @property
    def first(self) -> bytes:
        """How it begins; less than a record's head when nothing was written yet."""
        if len(self._first) < HEAD:
            self._first = os.pread(self._descriptor, HEAD, 0)
        return self._first

    def size(self) -> int:
        """How many bytes it contains now."""
        return os.fstat(self._descriptor).st_size

    @property
    def inode(self) -> int:
        """The number of the file, whatever its name."""
        return os.fstat(self._descriptor).st_ino

    def is_at(self, path: str) -> bool:
        """Whether it is the file that has this name now."""
        try:
            return os.path.samestat(os.stat(path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes of its content; fewer at its end."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Packed:
    """A file that was packed (``logpack``): members are found by their headers and unpacked one at a time."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._members: list[tuple[int, int, int]] = []  # where the content begins; where the member is; its size
        self._size = 0
        self._last = (-1, b"")
        place = 0
        # A damaged file is one up to the damage.
        while header := os.pread(self._descriptor, logpack.HEADER_SIZE, place):
            try:
                packed, plain = logpack.sizes(header)
            except ValueError:
                break
            self._members.append((self._size, place, packed))
            place += packed
            self._size += plain
        self.first = self.read(0, HEAD)

    def size(self) -> int:
        """How many bytes it contains."""
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes of its content; fewer at its end, or at the end of a member."""
        for number in range(min(offset // logpack.MEMBER, len(self._members) - 1), len(self._members)):
            start, place, packed = self._members[number]
            content = self._unpacked(number, place, packed)
            if offset < start + len(content):
                return content[offset - start : offset - start + size]
        return b""

    def _unpacked(self, number: int, place: int, packed: int) -> bytes:
        if self._last[0] != number:
            try:
                content = logpack.unpack(os.pread(self._descriptor, packed, place))
            except ValueError:
                content = b""
            self._last = (number, content)
        return self._last[1]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def open_current(path: str) -> Plain | None:
    """The current file of a log, made where nothing was written yet; None where its directory has gone."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, MODE))
        return Plain(path)
    except FileNotFoundError:
        return None


def open_all(path: str, after: bytes = b"") -> tuple[list[Segment], bool]:
    """The files of a log, the oldest first, without empty ones.

    The log may be rotated meanwhile. Files then move to higher numbers, as this search does, so it meets none too late,
    perhaps one twice, and perhaps a number that is empty for a moment.

    Args:
        path: of the current one.
        after: only files that are newer than the one that begins so.

    Returns:
        The files, and whether the one that they come after was met.
    """
    found: dict[bytes, Segment] = {}
    number = missing = 0
    highest = _highest_number(path)
    while number <= highest or missing < _NO_MORE:
        segment = _open_either(f"{path}.{number}" if number else path)
        number += 1
        if segment is None:
            missing += 1
            continue
        missing = 0
        if after and segment.first == after:
            segment.close()
            return list(reversed(found.values())), True
        if len(segment.first) < HEAD or segment.first in found:
            segment.close()
        else:
            found[segment.first] = segment
    return list(reversed(found.values())), False


def _highest_number(path: str) -> int:
    directory, _, name = path.rpartition("/")
    try:
        names = os.listdir(directory or ".")
    except FileNotFoundError:
        return 0
    numbers = (other.removeprefix(f"{name}.").removesuffix(logpack.SUFFIX) for other in names if name in other)
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def _open_either(path: str) -> Segment | None:
    for kind, name in ((Plain, path), (Packed, path + logpack.SUFFIX)):
        try:
            return kind(name)
        except FileNotFoundError:
            continue
    return None


def next_record(segment: Segment, offset: int, end: int) -> int:
    """Where the first record after ``offset`` begins, ``end`` if none does before it."""
    while offset < end:
        block = segment.read(offset, min(_PROBE // 16, end - offset))
        found = block.find(b"\n")
        if found >= 0:
            return min(offset + found + 1, end)
        if not block:
            break
        offset += len(block)
    return end


def ordered_from(segment: Segment, end: int) -> int:
    """From which record on the times of a file never go back (see ``logwriter``)."""
    return end if end <= UNORDERED else next_record(segment, UNORDERED, end)


def search(segment: Segment, start: int, end: int, stamp: bytes) -> int:
    """Where to begin in an ordered part for the records from ``stamp`` on: there, or at most a little before.

    Args:
        segment: the file.
        start: a record begins there.
        end: so far.
        stamp: a time as records have it.
    """
    while end - start > _PROBE:
        middle = (start + end) // 2
        record = next_record(segment, middle, end)
        if record < end and segment.read(record, TIME) < stamp:
            start = record
        else:
            end = middle
    return start


def tail(segment: Segment, end: int, count: int) -> tuple[int, int]:
    """Where the last ``count`` records before ``end`` begin, and how many are lacking."""
    if count == 0:
        return end, 0
    left = count + 1  # the end of the line before them
    while end > 0:
        start = max(0, end - _PROBE)
        block = _exactly(segment, start, end)
        found = block.count(b"\n")
        if found >= left:
            place = len(block)
            for _ in range(left):
                place = block.rindex(b"\n", 0, place)
            return start + place + 1, 0
        left -= found
        end = start
    return 0, max(0, left - 1)


def _exactly(segment: Segment, start: int, end: int) -> bytes:
    parts = []
    while start < end and (part := segment.read(start, end - start)):
        parts.append(part)
        start += len(part)
    return b"".join(parts)
