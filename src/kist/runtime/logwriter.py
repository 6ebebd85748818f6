"""A container's log: what the monitor writes.

The format is the one of the Kubernetes Container Runtime Interface: ``TIME STREAM TAG TEXT``, a line each, where
TIME is RFC 3339 in UTC with nine digits after the point, STREAM is ``stdout`` or ``stderr`` and TAG is ``F`` for a
full line or ``P`` for a part of one (more follows, or the output ended there). It is safe for any bytes and costs one
replacement per read.

The log is bounded: a file that has reached its size is renamed to ``PATH.1``, older ones move on, the oldest is
removed.
"""

from __future__ import annotations

import os
import time

# A line without an end is cut at this length (Docker cuts at 16 KiB too), so that no output can fill the memory.
MAX_LINE = 16 << 10


class LogWriter:
    """Turns output into log lines; one for both streams of a container.

    Args:
        path: the current file; it is appended to.
        max_bytes: a file is rotated when it has reached this size.
        max_files: how many there may be, the current one included.
    """

    def __init__(self, path: str, max_bytes: int, max_files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._rests: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        # Made with the first line: many containers print nothing, and a file costs more than a process's start.
        self._file = -1
        self._size = 0
        self.dropped = 0

    def write(self, stream: str, data: bytes) -> None:
        """Add what the container printed on ``stream``."""
        rest = self._rests[stream]
        whole, newline, rest_now = data.rpartition(b"\n")
        if newline:
            self._append(stream, rest + whole + b"\n")
            rest = rest_now
        else:
            rest += data
        while len(rest) >= MAX_LINE:
            self._append_part(stream, rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rests[stream] = rest

    def close(self) -> None:
        """Write what has no line end yet, as parts, and close the file."""
        for stream, rest in self._rests.items():
            if rest:
                self._append_part(stream, rest)
        if self._file >= 0:
            os.close(self._file)

    def _append(self, stream: str, lines: bytes) -> None:
        prefix = f"{_now()} {stream} F ".encode()
        self._put(prefix + lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n")

    def _append_part(self, stream: str, text: bytes) -> None:
        self._put(f"{_now()} {stream} P ".encode() + text + b"\n")

    def _put(self, record: bytes) -> None:
        """Append; a full disk costs log lines, never the container (they are counted in ``dropped``)."""
        try:
            if self._file < 0:
                self._file = self._open(self._path)
                self._size = os.fstat(self._file).st_size
            if self._size and self._size + len(record) > self._max_bytes:
                self._rotate()
        except OSError:
            self.dropped += record.count(b"\n")
            return
        try:
            rest = memoryview(record)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            self.dropped += record.count(b"\n")
            return
        self._size += len(record)

    def _open(self, path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _rotate(self) -> None:
        """Move the files on. The new one is made first: a disk that has no room for it keeps the old ones."""
        aside = f"{self._path}.new"
        new = self._open(aside)
        try:
            for number in range(self._max_files - 1, 0, -1):
                newer = f"{self._path}.{number - 1}" if number > 1 else self._path
                if os.path.exists(newer):
                    os.rename(newer, f"{self._path}.{number}")
            os.rename(aside, self._path)
        except OSError:
            os.close(new)
            raise
        os.close(self._file)
        self._file, self._size = new, 0


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    t = time.gmtime(seconds)
    return f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}.{nanoseconds:09}Z"
