"""A container's log, read back; ``logwriter`` describes the format."""

import calendar
import functools
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from kist.spec.container import LogRecord

_TIME = len("2026-01-01T00:00:00.000000000Z")
_SECOND = len("2026-01-01T00:00:00")
_BLOCK = 1 << 20


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
        for file_path, inode, start in self._files(position):
            offset = start
            with open(file_path, "rb") as file:
                file.seek(start)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # a record that is being written
                    offset += len(line)
                    yield Position(inode, offset), line

    def tail(self, count: int) -> Position:
        """The position before the last ``count`` records."""
        left = count
        for file_path, inode, _ in reversed(self._files(None)):
            offset, left = _start_of_tail(file_path, left)
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

    def _files(self, position: Position | None) -> list[tuple[str, int, int]]:
        """Path, inode and offset to start at, the oldest first."""
        found: list[tuple[str, int, int]] = []
        number = 0
        while True:
            path = f"{self._path}.{number}" if number else self._path
            try:
                inode = os.stat(path).st_ino
            except FileNotFoundError:
                break
            if position is not None and inode == position.inode:
                found.append((path, inode, position.offset))
                break
            found.append((path, inode, 0))
            number += 1
        found.reverse()
        return found


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


def _start_of_tail(path: str, count: int) -> tuple[int, int]:
    """Where the last ``count`` lines of a file begin, and how many it lacks."""
    with open(path, "rb") as file:
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
