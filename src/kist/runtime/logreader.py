"""A container's log, read back; ``logwriter`` describes the format."""

import calendar
import contextlib
import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from kist.spec.container import LogRecord

_TIME = len("2026-01-01T00:00:00.000000000Z")
_SECOND = len("2026-01-01T00:00:00")
_BLOCK = 1 << 20
# So many numbers without a file mean that there are no older ones.
_NO_MORE = 2


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading stopped: a file (by its inode, as rotation renames it) and an offset in it."""

    inode: int = 0
    offset: int = 0


class LogReader:
    """Reads the files of one log, the oldest first.

    Args:
        path: the current file; ``path.1`` is the one before it, and so on.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def lines(self, position: Position | None = None) -> Iterator[tuple[Position, bytes]]:
        """Whole records as they stand in the files from ``position`` on (None: all), and where each one ends."""
        with self._files(position) as files:
            for file, inode, start in files:
                offset = start
                file.seek(start)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # a record that is being written
                    offset += len(line)
                    yield Position(inode, offset), line

    def tail(self, count: int) -> Position:
        """The position before the last ``count`` records."""
        left = count
        with self._files(None) as files:
            for file, inode, _ in reversed(files):
                offset, left = _start_of_tail(file, left)
                if left == 0:
                    return Position(inode, offset)
        return Position()

    def end(self) -> Position:
        """The position after the last record."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return Position()
        return Position(status.st_ino, status.st_size)

    @contextlib.contextmanager
    def _files(self, position: Position | None) -> Iterator[list[tuple[BinaryIO, int, int]]]:
        """The files from ``position`` on, open, with inode and offset to start at, the oldest first.

        The log may be rotated meanwhile. Files then move to higher numbers, as this search does, so it meets none too
        late, perhaps one twice, and perhaps a number that is empty for a moment.
        """
        with contextlib.ExitStack() as stack:
            found: dict[int, tuple[BinaryIO, int, int]] = {}
            number = missing = 0
            while missing < _NO_MORE:
                path = f"{self._path}.{number}" if number else self._path
                number += 1
                try:
                    file = stack.enter_context(open(path, "rb"))
                except FileNotFoundError:
                    missing += 1
                    continue
                missing = 0
                inode = os.fstat(file.fileno()).st_ino
                if inode in found:
                    continue
                if position is not None and inode == position.inode and _begins_record(file, position.offset):
                    found[inode] = file, inode, position.offset
                    break
                found[inode] = file, inode, 0
            yield list(reversed(found.values()))


def parse(line: bytes) -> LogRecord:
    """The record of one line."""
    stream_end = line.index(b" ", _TIME + 1)
    text = line[stream_end + 3 :]
    full = line[stream_end + 1 : stream_end + 2] == b"F"
    name = "stderr" if line[_TIME + 1 : stream_end] == b"stderr" else "stdout"
    return LogRecord(name, timestamp(line), text if full else text[:-1])  # type: ignore[arg-type]


def timestamp(line: bytes) -> int:
    """The time of a record in nanoseconds since the epoch."""
    return _seconds(line[:_SECOND]) * 1_000_000_000 + int(line[_SECOND + 1 : _TIME - 1])


@functools.lru_cache(maxsize=4)
def _seconds(text: bytes) -> int:
    # Lines come many to a second, and strptime takes ten microseconds.
    return calendar.timegm(time.strptime(text.decode(), "%Y-%m-%dT%H:%M:%S"))


def _begins_record(file: BinaryIO, offset: int) -> bool:
    """Whether a record can begin there; where not, the position was in a file that is gone and had the same inode."""
    if offset == 0:
        return True
    file.seek(offset - 1)
    return file.read(1) == b"\n"


def _start_of_tail(file: BinaryIO, count: int) -> tuple[int, int]:
    """Where the last ``count`` lines of a file begin, and how many it lacks."""
    end = file.seek(0, os.SEEK_END)
    if count == 0:
        return end, 0
    left = count + 1  # the end of the line before them
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        block = file.read(end - start)
        found = block.count(b"\n")
        if found >= left:
            place = len(block)
            for _ in range(left):
                place = block.rindex(b"\n", 0, place)
            return start + place + 1, 0
        left -= found
        end = start
    return 0, max(0, left - 1)
