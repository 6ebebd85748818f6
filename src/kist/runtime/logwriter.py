"""A container's log: what the monitor writes.

The format is the one of the Kubernetes Container Runtime Interface: ``TIME STREAM TAG TEXT``, a line each, where
TIME is RFC 3339 in UTC with nine digits after the point, STREAM is ``stdout`` or ``stderr`` and TAG is ``F`` for a
full line or ``P`` for a part of one (more follows, or the output ended there). It is safe for any bytes and costs one
replacement per read.

The log is bounded: a file that has reached its size is renamed to ``PATH.1``, older ones move on, the oldest is
removed. With ``compress``, a renamed file becomes ``PATH.1.gz`` (see ``logpack``).

It can be searched by time: after the first ``UNORDERED`` bytes of a file, times never go back. When the clock was set
back, a new file is begun; one that is shorter than that goes on, so a clock that jumps to and fro costs no old files.
No two files begin with the same time, by which readers know them again after a rotation.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.runtime.logforward import Forwarder
    from kist.runtime.logpack import Packer
    from kist.runtime.loop import Loop

# A line without an end is cut at this length (Docker cuts at 16 KiB too), so that no output can fill the memory.
MAX_LINE = 16 << 10
UNORDERED = 256 << 10
MODE = 0o640
_TIME = len("2026-01-01T00:00:00.000000000Z")
_HEAD = _TIME + len(" stdout F ")
# Longer than any record: what is left over of a line, and one read.
_LONGEST = 128 << 10


def open_log(
    loop: Loop, log: dict[str, Any] | None, directory: str, relieve: Callable[[], None]
) -> LogWriter | Forwarder | None:
    """Where a monitor writes the container's output.

    Args:
        loop: the monitor's.
        log: of the plan (``kist.runtime.plan.Log``); None where nothing is kept.
        directory: the container's own.
        relieve: called when output that was held back (``full``) may go on.
    """
    if log is None:
        return None
    path = f"{directory}/{log['name']}"
    kept = LogWriter(path, log["max_bytes"], log["max_files"], compress=log["compress"]) if log["max_bytes"] else None
    if log["forward"] is None:
        return kept
    from kist.runtime.logforward import Forwarder  # noqa: PLC0415 - for the few containers whose output leaves

    return Forwarder(loop, log["forward"], kept, relieve)


class LogWriter:
    """Turns output into log lines; one for both streams of a container.

    Args:
        path: the current file; it is appended to, and what an earlier writer left unfinished there is mended first.
        max_bytes: a file is rotated before it is larger than this.
        max_files: how many there may be, the current one included.
        compress: whether rotated files are packed.
    """

    # A file always takes what is written; other logs may want the container to wait.
    full = False

    def __init__(self, path: str, max_bytes: int, max_files: int, *, compress: bool = False) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._compress = compress and max_files > 1
        self._packer: Packer | None = None
        self._rests: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        # Made with the first line: many containers print nothing, and a file costs more than a process's start.
        self._file = -1
        self._size = 0
        self._last = ""
        self._first = ""
        self._missing = 0
        self._reason = ""
        self.dropped = 0

    def write(self, stream: str, data: bytes) -> None:
        """Add what the container printed on ``stream``."""
        rest = self._rests[stream]
        whole, newline, rest_now = data.rpartition(b"\n")
        if newline:
            self._append(stream, "F", rest + whole)
            rest = rest_now
        else:
            rest += data
        while len(rest) >= MAX_LINE:
            self._append(stream, "P", rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rests[stream] = rest

    def reached(self) -> tuple[int, int, dict[str, bytes]]:
        """How far the log has come: the current file's inode and size, and what waits for the end of its line.

        Both are 0 while there is no file.
        """
        if self._file >= 0:
            return os.fstat(self._file).st_ino, self._size, dict(self._rests)
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return 0, 0, dict(self._rests)
        return found.st_ino, found.st_size, dict(self._rests)

    def note(self, text: str) -> None:
        """Add a line of our own, on ``stderr``: what somebody who reads the log has to know."""
        self._append("stderr", "F", f"kist: {text}".encode())

    def close(self) -> None:
        """Write what has no line end yet, as parts, and close the file."""
        for stream, rest in self._rests.items():
            if rest:
                self._append(stream, "P", rest)
        if self._missing:
            self._put(b"", time.time_ns())
        if self._packer is not None:
            self._packer.give_up()
        if self._file >= 0:
            os.close(self._file)

    def _append(self, stream: str, tag: str, text: bytes) -> None:
        moment = time.time_ns()
        prefix = f"{_stamp(moment)} {stream} {tag} ".encode()
        self._put(prefix + text.replace(b"\n", b"\n" + prefix) + b"\n", moment)

    def _put(self, records: bytes, moment: int) -> None:
        """Append; a full disk costs log lines, never the container. How many is told as soon as there is room."""
        lines = records.count(b"\n")
        now = _stamp(moment)
        told = b""
        if self._missing:
            told = f"{now} stderr F kist: {self._missing} lines are not in this log: {self._reason}\n".encode()
        try:
            if self._file < 0:
                self._open_current()
            if now < self._last and self._size > UNORDERED:
                self._rotate()
            self._last = now
            while records or told:
                fitting = self._fitting(records, len(told))
                if not self._size:
                    if now == self._first:
                        moment, now = moment + 1, _stamp(moment + 1)
                        records, told = _restamped(records, now), _restamped(told, now)
                    self._first = self._last = now
                piece = records[:fitting]
                # Together, so that a disk with room for no more than the notice does not fill up with notices.
                self._write(told + piece)
                if told:
                    told, self._missing = b"", 0
                records = records[len(piece) :]
                lines -= piece.count(b"\n")
            if self._packer is not None:
                self._pack()
        except OSError as error:
            self.dropped += lines
            self._missing += lines
            self._reason = os.strerror(error.errno or 0)

    def _fitting(self, records: bytes, before: int) -> int:
        """How much of ``records`` goes into the current file after so many bytes: whole ones, and at least one."""
        room = self._max_bytes - self._size - before
        if len(records) <= room:
            return len(records)
        fitting = records.rfind(b"\n", 0, max(0, room)) + 1
        if not fitting and self._size:
            self._rotate()
            fitting = records.rfind(b"\n", 0, max(0, self._max_bytes - before)) + 1
        return fitting or records.find(b"\n") + 1

    def _write(self, records: bytes) -> None:
        try:
            rest = memoryview(records)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(records)

    def _open_current(self) -> None:
        """Open the file, and go on after what an earlier writer left, whose last line may be without its end."""
        file = _open(self._path)
        self._size = size = os.fstat(file).st_size
        if size:
            start = max(0, size - _LONGEST)
            end = os.pread(file, size - start, start)
            torn = len(end) - (end.rfind(b"\n") + 1)
            if torn > _HEAD:
                self._size += os.write(file, b"\n")
                end += b"\n"
            elif torn:
                self._size -= torn
                os.ftruncate(file, self._size)
                end = end[:-torn]
            self._first = os.pread(file, _TIME, 0).decode("ascii", "replace")
            last = end.rfind(b"\n", 0, -1) + 1
            self._last = end[last : last + _TIME].decode("ascii", "replace")
        self._file = file
        if self._compress and os.path.exists(f"{self._path}.1"):
            self._begin_packing()

    def _rotate(self) -> None:
        """Move the files on. The new one is made first: a disk that has no room for it keeps the old ones."""
        while self._packer is not None:
            self._pack()
        aside = f"{self._path}.new"
        new = _open(aside)
        suffixes = ("", ".gz") if self._compress else ("",)
        try:
            for number in range(self._max_files - 1, 0, -1):
                newer = f"{self._path}.{number - 1}" if number > 1 else self._path
                _move(newer, f"{self._path}.{number}", suffixes)
            os.rename(aside, self._path)
        except OSError:
            os.close(new)
            raise
        os.close(self._file)
        self._file, self._size = new, 0
        if self._compress:
            self._begin_packing()

    def _begin_packing(self) -> None:
        from kist.runtime.logpack import Packer  # noqa: PLC0415 - few containers want it, and each pays for it

        try:
            self._packer = Packer(f"{self._path}.1")
        except OSError:
            self._packer = None  # no room for it: the file stays as it is

    def _pack(self) -> None:
        assert self._packer is not None
        packer = self._packer
        try:
            if packer.step():
                self._packer = None
        except OSError:
            self._packer = None
            packer.give_up()


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)


def _move(path: str, to: str, suffixes: tuple[str, ...]) -> None:
    """Rename a file, packed or not; of what was in its new place, nothing is left. There may be no file to rename."""
    left = list(suffixes)
    for suffix in suffixes:
        try:
            os.rename(path + suffix, to + suffix)
        except FileNotFoundError:
            continue
        left.remove(suffix)
    if len(left) < len(suffixes):
        for suffix in left:
            _unlink(to + suffix)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _restamped(records: bytes, stamp: str) -> bytes:
    """These records, which begin alike, with another time."""
    head = records[:_HEAD]
    other = stamp.encode() + head[_TIME:]
    return other + records[_HEAD:].replace(b"\n" + head, b"\n" + other) if records else b""


def _stamp(moment: int) -> str:
    seconds, nanoseconds = divmod(moment, 1_000_000_000)
    t = time.gmtime(seconds)
    return f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}.{nanoseconds:09}Z"
