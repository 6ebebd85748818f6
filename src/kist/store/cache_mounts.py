"""Cache mounts: directories that commands of builds find again (``RUN --mount=type=cache``).

Each has a record among those of the build cache, which keeps it: without one it goes with the next collection, which
never happens while a build goes on. It may have several copies, for commands that share it with nobody (``private``). A
copy is held by a flock(2) on a file beside it, shared or alone, so the kernel gives it back when its holders have died;
its directory is made aside and put in place whole.

On the disk: ``<name>/<number>``, its lock ``<name>/<number>.lock``, and ``<name>/used``, whose time is that of the last
use.
"""

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, NamedTuple

from kist.errors import KistError
from kist.kernel import faults
from kist.store import directories
from kist.store.failures import reported
from kist.store.locks import StoreLock
from kist.store.records import Records

Sharing = Literal["shared", "private", "locked"]
_MARK = "cache-mount:"
_NAMED = re.compile(rb"cache-mount:[0-9a-f]{40}")
_NEW = "new-"


class Taken(NamedTuple):
    """A copy that is held: its directory, and the descriptor that holds it."""

    path: str
    lock: int


class CacheMounts:
    """The cache mounts below ``directory``; their records are in ``records``."""

    def __init__(self, directory: str, records: Records) -> None:
        self._directory = directory
        self._records = records
        # Protects what was measured, by name: when it was last used then, and its bytes.
        self._lock = threading.Lock()
        self._measured: dict[str, tuple[int, int]] = {}

    @contextmanager
    def taken(
        self,
        key: str,
        sharing: Sharing,
        make: Callable[[str], None],
        wait: Callable[[threading.Event], None],
    ) -> Iterator[Taken]:
        """Hold a copy for the time of the block; to be called while the store is being written to.

        Args:
            key: of the record, which is made, or is as new as it now is.
            sharing: ``shared`` with all who say so; ``private``, another copy where the first are in use; ``locked``,
                after all who have the first.
            make: fills a new directory that there is.
            wait: waits for an event, and may raise, which ends the waiting.
        """
        name = name_of(key)
        above = f"{self._directory}/{name}"
        with reported("open a cache mount"):
            directories.make(above)
        lock, number = self._held(above, sharing, wait)
        try:
            path = f"{above}/{number}"
            with reported("make a cache mount"), StoreLock(f"{above}/make.lock").alone(wait=True):
                if not os.path.isdir(path):
                    self._make(above, path, make)
            self._note(key, above)
            faults.point("build part: holds a cache mount")
            yield Taken(path, lock)
        except BaseException:
            self._let_go(lock)
            with suppress(KistError):  # what has failed counts: it may have filled the disk, too
                self._note(key, above)
            raise
        self._let_go(lock)
        self._note(key, above)

    @staticmethod
    def _let_go(lock: int) -> None:
        # Of all who have it: a monitor, too, which may live a moment longer.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)

    def _note(self, key: str, above: str) -> None:
        """Note that it is used."""
        self._records.cache_put(key, f"{_MARK}{os.path.basename(above)}".encode())
        with reported("note the use of a cache mount"), open(f"{above}/used", "wb"):
            os.utime(f"{above}/used")

    def _held(self, above: str, sharing: Sharing, wait: Callable[[threading.Event], None]) -> tuple[int, int]:
        """The descriptor that holds a copy, and the copy's number."""
        how = fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX
        number = 0
        while True:
            lock = os.open(f"{above}/{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, how | fcntl.LOCK_NB)
            except BlockingIOError:
                if sharing == "locked":
                    return _Waiting(lock, how).held(wait), number
                os.close(lock)
                number += 1
            else:
                return lock, number

    def _make(self, above: str, path: str, make: Callable[[str], None]) -> None:
        for left in os.listdir(above):  # by who was killed
            if left.startswith(_NEW):
                directories.remove_tree(f"{above}/{left}")
        new = f"{above}/{_NEW}{os.urandom(4).hex()}"
        os.mkdir(new, 0o755)
        os.chmod(new, 0o755)  # noqa: S103 - every user of the image sees what is in it
        try:
            make(new)
            faults.point("build part: made a cache mount aside")
            os.rename(new, path)
        except BaseException:
            directories.remove_tree(new)
            raise

    def names(self) -> list[str]:
        """What is here, with records or without."""
        return sorted(os.listdir(self._directory)) if os.path.isdir(self._directory) else []

    def sizes(self) -> dict[str, int]:
        """Bytes on the disk of each, by what its record has (``kept_by``); measured once for each use."""
        return {_MARK + name: self._size(name) for name in self.names()}

    def _size(self, name: str) -> int:
        above = f"{self._directory}/{name}"
        try:
            used = os.stat(f"{above}/used").st_mtime_ns
        except FileNotFoundError:
            return directories.measure(above).disk
        with self._lock:
            known = self._measured.get(name)
        if known is not None and known[0] == used:
            return known[1]
        size = directories.measure(above).disk
        with self._lock:
            self._measured[name] = (used, size)
        return size

    def set_unused_aside(self, needed: Iterable[str]) -> tuple[str, ...]:
        """Give those that no record keeps other names; their paths, to be removed. With the store's lock held alone."""
        kept = set(needed)
        gone = [name for name in self.names() if _MARK + name not in kept]
        with self._lock:
            for name in gone:
                self._measured.pop(name, None)
        return directories.set_aside(self._directory, gone)


class _Waiting:
    """A lock that is waited for in a thread, so that who waits can give up."""

    def __init__(self, lock: int, how: int) -> None:
        self._descriptor = lock
        self._how = how
        self._event = threading.Event()
        self._decided = threading.Lock()
        self._given_up = self._got = False
        threading.Thread(target=self._wait, name="cache-mount", daemon=True).start()

    def _wait(self) -> None:
        with suppress(OSError):
            fcntl.flock(self._descriptor, self._how)
        with self._decided:
            self._got = True
            if self._given_up:
                os.close(self._descriptor)
        self._event.set()

    def held(self, wait: Callable[[threading.Event], None]) -> int:
        """The descriptor, when it holds the lock; what ``wait`` raises gives it up."""
        try:
            while not self._event.is_set():
                wait(self._event)
        except BaseException:
            with self._decided:
                self._given_up = True
                if self._got:
                    os.close(self._descriptor)
            raise
        return self._descriptor


def name_of(key: str) -> str:
    """The directory of a record's key."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


def kept_by(value: bytes) -> tuple[str, ...]:
    """The cache mounts that are spelled in a record of the build cache."""
    return tuple(found.decode() for found in _NAMED.findall(value))
