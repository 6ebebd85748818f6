"""The lock files of a data root: flock(2), so that the kernel gives them back when a process dies.

Who writes blobs or snapshots that no record refers to yet holds it shared, from the first byte to the record. Who
collects holds it alone, and never waits for it: while somebody writes, nothing is collected. Each holder opens the
file anew, so threads of one process exclude each other as processes do.

The volumes' lock is waited for by both sides, which flock(2) alone does not do fairly: see ``FairLock``.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


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


class FairLock:
    """A lock that is shared by many and held alone by some who wait for it, and who get it.

    A flock(2) that is waited for holds back nobody. So there is a gate beside it (``….gate``): everybody comes in by
    it, and who wants the lock alone stays in it, so that the others come after them. Who has the lock must not ask for
    it once more: somebody may wait in the gate.
    """

    def __init__(self, path: str) -> None:
        self._lock = StoreLock(path)
        self._gate = StoreLock(f"{path}.gate")

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold it together with others; waits for who holds it alone or came before to do so."""
        with ExitStack() as stack:
            with self._gate.alone(wait=True):
                stack.enter_context(self._lock.shared())
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold it alone; waits for those who have it now, and not for who comes meanwhile."""
        with self._gate.alone(wait=True), self._lock.alone(wait=True):
            yield
