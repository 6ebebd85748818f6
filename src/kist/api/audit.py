"""The audit log: a line of JSON for every call of every socket, in bounded space.

A line is written when the answer begins, by one write to a file that is opened for appending: nothing waits in memory,
so nothing is lost when the engine ends, however it ends. A stream has a second line at its end. A log that cannot be
written (the disk is full) stops nobody: the engine's own log says so, once, and once when it can be written again.
"""

import contextlib
import errno
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import msgspec

from kist.spec.audit import AuditQuery, AuditRecord, container_in, shown_path, shown_query, write_moment
from kist.spec.json import encode

_log = logging.getLogger(__name__)
NAME = "audit.log"
# One file, and how many older ones are kept beside it (``audit.log.1`` is the youngest of these).
_MOST_BYTES = 4 << 20
_KEPT = 4
_LONGEST_LINE = 64 << 10


class AuditLog:
    """Writes the log in a directory; from one thread at a time.

    Args:
        directory: of the files, which have mode 0600.
        most: bytes of one file, of which there are five at most.
    """

    def __init__(self, directory: str, most: int = _MOST_BYTES) -> None:
        self._path = os.path.join(directory, NAME)
        self._most = most
        self._descriptor = -1
        self._size = 0
        self._fails = False
        self._calls = 0

    def number(self) -> int:
        """That of the next call."""
        self._calls += 1
        return self._calls

    def write(self, record: AuditRecord) -> None:
        """Write a record down; never fails."""
        line = encode(record) + b"\n"
        try:
            self._append(line)
        except OSError as error:
            if not self._fails:
                _log.error("the audit log cannot be written (%s): calls are answered and not recorded", error)
            self._fails = True
        else:
            if self._fails:
                _log.warning("the audit log can be written again: calls before this were not recorded")
            self._fails = False

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _append(self, line: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        elif self._size + len(line) > self._most:
            self._rotate()
        written = os.write(self._descriptor, line)
        if written < len(line):  # there was no room for all of it, and half a line is none
            os.ftruncate(self._descriptor, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._size += written

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        """Begin a new file; the oldest goes."""
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, _KEPT + 1))]
        for older, newer in zip(reversed(names), list(reversed(names))[1:], strict=False):
            with contextlib.suppress(FileNotFoundError):
                os.rename(newer, older)
        self.close()
        self._open()


def read(directory: str, target: BinaryIO, query: AuditQuery) -> None:
    """Write the lines of a log that a query wants to ``target``, whole and as they are kept, the oldest first."""
    last: deque[bytes] | None = None if query.tail is None else deque(maxlen=query.tail)
    keep: Callable[[bytes], object] = target.write if last is None else last.append
    with contextlib.ExitStack() as stack:
        for file in reversed(_files(directory, stack)):
            for line in _wanted(file, query):
                keep(line)
    for line in last or ():
        target.write(line)


def _files(directory: str, stack: contextlib.ExitStack) -> list[BinaryIO]:
    """The files, the youngest first: a rotation meanwhile may show one twice, but hides none."""
    found: dict[tuple[int, int], BinaryIO] = {}
    for suffix in ("", *(f".{number}" for number in range(1, _KEPT + 1))):
        try:
            file = open(os.path.join(directory, NAME + suffix), "rb")  # noqa: SIM115 - the stack closes it
        except FileNotFoundError:
            continue
        stack.enter_context(file)
        status = os.fstat(file.fileno())
        found.setdefault((status.st_dev, status.st_ino), file)
    return list(found.values())


def _wanted(file: BinaryIO, query: AuditQuery) -> Iterator[bytes]:
    while line := file.readline(_LONGEST_LINE):
        try:
            record = msgspec.json.decode(line, type=AuditRecord)
        except msgspec.DecodeError:
            continue  # cut off by a crash of the machine
        if query.wants(record):
            yield line


class Noted:
    """One call on its way into the log.

    Args:
        log: None where nothing is recorded.
        request: method, path and query, as they were written.
        visitor: of the record, what tells who calls.
    """

    __slots__ = ("_begun", "_held", "_log", "_number", "_request", "_status", "_visitor")

    def __init__(self, log: AuditLog | None, request: tuple[str, str, str], visitor: Mapping[str, object]) -> None:
        self._log = log
        self._request = request
        self._visitor = visitor
        self._begun = time.monotonic_ns()
        self._number = 0
        self._status = 0
        self._held = False

    def answered(self, status: int) -> None:
        """The answer begins; it will end later."""
        self._status = status
        self._write(end=False)

    def hold(self) -> None:
        """The stream outlives the request: whoever carries it calls ``finish``."""
        self._held = True

    def let_go(self) -> None:
        """The stream that outlived the request has ended."""
        self._held = False
        self.finish(self._status)

    def finish(self, status: int) -> None:
        """The answer is there as a whole; ``status`` is its own, or 0 where nobody was left to get one."""
        if self._held:
            return
        begun = bool(self._number)
        self._status = self._status or status
        self._write(end=begun)

    def _write(self, *, end: bool) -> None:
        if self._log is None:
            return
        self._number = self._number or self._log.number()
        method, path, query = self._request
        self._log.write(
            AuditRecord(
                time=write_moment(time.time_ns()),
                call=self._number,
                method=method,
                path=shown_path(path),
                status=self._status,
                ms=round((time.monotonic_ns() - self._begun) / 1e6, 3),
                query=shown_query(query),
                container=container_in(path, query),
                end=end,
                **self._visitor,  # type: ignore[arg-type] # the fields of who calls
            )
        )
