"""One lock for each container: in this process, and ``flock`` on its directory against other engines."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator

from kist.engine.roster import Roster
from kist.errors import NotFound
from kist.spec.container import Container


class Locks:
    """The locks of the containers of one engine; start and remove hold one."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        # Protects the dictionary.
        self._lock = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}

    @contextlib.contextmanager
    def alone(self, container: Container) -> Iterator[None]:
        """Nobody starts or removes the container meanwhile, in this process or another.

        Raises:
            NotFound: it is gone.
        """
        with self._lock:
            lock = self._locks.setdefault(container.id, threading.RLock())
        with lock:
            try:
                descriptor = os.open(self._roster.places(container).data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NotFound(f"No such container: {container.name}") from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def forget(self, container: Container) -> None:
        """Its container is gone."""
        with self._lock:
            self._locks.pop(container.id, None)
