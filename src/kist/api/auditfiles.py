"""The files of the audit log: families of one that is written and some older ones, and what is read of them all."""

import contextlib
import errno
import heapq
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec

from kist.spec.audit import AuditQuery, AuditRecord
from kist.spec.audit_trail import Trail

_LOG = re.compile(r"(audit(?:-[A-Za-z0-9._-]+)?\.log)(?:\.[0-9]+)?")
_LONGEST_LINE = 64 << 10


def name_of(caller: str) -> str:
    """Of the newest file of a caller; the engine's own user is called nothing."""
    return f"audit-{caller}.log" if caller else "audit.log"


def logs_in(directory: str) -> set[str]:
    """The names of the newest files of all callers there."""
    return {found[1] for found in map(_LOG.fullmatch, os.listdir(directory)) if found}


def silent_for(directory: str, name: str) -> float:
    """How many seconds ago a log was written to last."""
    times = [0.0]
    for path in _paths(directory, name):
        with contextlib.suppress(FileNotFoundError):
            times.append(os.lstat(path).st_mtime)
    return time.time() - max(times)


def _paths(directory: str, name: str) -> list[str]:
    """All files of a log that there are, the newest first."""
    found = [each for each in os.listdir(directory) if (match := _LOG.fullmatch(each)) and match[1] == name]
    numbered = sorted(found, key=lambda each: int(each[len(name) + 1 :] or 0))
    return [os.path.join(directory, each) for each in numbered]


class Family:
    """One caller's files; they are opened when something is written.

    Args:
        directory: where they are.
        name: of the newest; the others have numbers behind it, the oldest the greatest.
        most: bytes of one.
        kept: how many older ones there are at most.
    """

    def __init__(self, directory: str, name: str, most: int, kept: int) -> None:
        self._directory = directory
        self._name = name
        self._path = os.path.join(directory, name)
        self._most = most
        self._kept = kept
        self._descriptor = -1
        self._size = 0

    def append(self, line: bytes) -> None:
        """Write a line, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        if self._descriptor < 0:
            self._open()
        if self._size and self._size + len(line) > self._most:
            self._rotate()
        written = os.write(self._descriptor, line)
        if written < len(line):  # there was no room for all of it, and half a line is none
            os.ftruncate(self._descriptor, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._size += written

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def remove(self) -> None:
        """Take all of the files away."""
        self.close()
        for path in _paths(self._directory, self._name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        """Begin a new file; the oldest goes."""
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._kept + 1))]
        for older, newer in zip(reversed(names), list(reversed(names))[1:], strict=False):
            with contextlib.suppress(FileNotFoundError):
                os.rename(newer, older)
        self.close()
        self._open()


def read(directory: str, target: BinaryIO, query: AuditQuery, trail: Trail) -> None:
    """Write the lines of all logs that a query wants to ``target``, whole and as they are kept, the oldest first.

    Args:
        directory: where the files are.
        target: gets them.
        query: which.
        trail: knows by which names containers go.
    """
    last: deque[bytes] | None = None if query.tail is None else deque(maxlen=query.tail)
    keep: Callable[[bytes], object] = target.write if last is None else last.append
    with contextlib.ExitStack() as stack:
        each = [_records(_files(directory, name, stack)) for name in sorted(logs_in(directory))]
        for record, line in heapq.merge(*each, key=lambda found: found[0].time):
            if trail.follow(record) and query.wants(record):
                keep(line)
    for line in last or ():
        target.write(line)


def _files(directory: str, name: str, stack: contextlib.ExitStack) -> list[BinaryIO]:
    """One log's files, the oldest first: a rotation meanwhile may show one twice, but hides none."""
    found: dict[tuple[int, int], BinaryIO] = {}
    for path in _paths(directory, name):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP}:
                continue
            raise
        file = stack.enter_context(os.fdopen(descriptor, "rb"))
        status = os.fstat(descriptor)
        found.setdefault((status.st_dev, status.st_ino), file)
    return list(reversed(found.values()))


def _records(files: list[BinaryIO]) -> Iterator[tuple[AuditRecord, bytes]]:
    for file in files:
        while line := file.readline(_LONGEST_LINE):
            try:
                yield msgspec.json.decode(line, type=AuditRecord), line
            except msgspec.DecodeError:
                continue  # cut off by a crash of the machine
