"""The one lock file of a data root: flock(2), so that the kernel gives it back when a process dies.

Who writes blobs or snapshots that no record refers to yet holds it shared, from the first byte to the record. Who
collects holds it alone, and never waits for it: while somebody writes, nothing is collected. Each holder opens the
file anew, so threads of one process exclude each other as processes do.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


class StoreLock:
    """The lock file at ``path``."""

    def __init__(self, path: str) -> None:
        self._path = path

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it together with other writers; waits while a collection runs."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def alone(self, *, wait: bool = False) -> Iterator[bool]:
        """Hold it alone; gives False, holding nothing, when others hold it and ``wait`` is not set."""
        descriptor = self._open()
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
