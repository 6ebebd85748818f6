"""One lock for each container: in this process, and ``flock`` on its directory against other engines."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator

from kist.engine.roster import Roster
from kist.errors import Conflict, NotFound
from kist.spec.container import Container


class Locks:
    """The locks of the containers of one engine; start and remove hold one."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        # Protects the dictionary.
        self._lock = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}

    @contextlib.contextmanager
    def alone(self, container: Container, *, wait: bool = True) -> Iterator[None]:
        """Nobody starts or removes the container meanwhile, in this process or another.

        Raises:
            NotFound: it is gone.
            Conflict: somebody else is at work on it, and this call is not to wait.
        """
        with self._lock:
            lock = self._locks.setdefault(container.id, threading.RLock())
        if not lock.acquire(blocking=wait):
            raise _busy(container)
        try:
            descriptor = self._open(container)
            try:
                _flock(descriptor, container, wait=wait)
                yield
            finally:
                os.close(descriptor)
        finally:
            lock.release()

    def _open(self, container: Container) -> int:
        try:
            return os.open(self._roster.places(container).data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"No such container: {container.name}") from None

    def forget(self, container: Container) -> None:
        """Its container is gone."""
        with self._lock:
            self._locks.pop(container.id, None)


def _flock(descriptor: int, container: Container, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _busy(container) from None


def _busy(container: Container) -> Conflict:
    return Conflict(f"somebody is at work on container {container.name}", hint="try again")
