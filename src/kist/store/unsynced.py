"""Blobs that are whole and on their way to the disk: two threads sync them, and their makers go on.

Until it is synced a blob lies aside, in a directory named by the boot (``<data root>/unsynced/<boot>``). Every process
finds it there, also when the one that has made it was killed; a crash of the machine leaves another boot's directory,
with files that nobody believes, and with them goes whatever is believed only as long as its blob is there. Who writes a
record that is to outlive a crash waits first (``Blobs.sync``).
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from kist.kernel import process
from kist.spec.digest import Digest
from kist.store import directories

SIDE_BY_SIDE = 2  # one may be large
_MOST_FAILURES = 100


class Unsynced:
    """Those of one data root, below ``directory``. Safe from many threads.

    Attributes:
        directory: where they are.
        afterwards: called when one is in its place, before who waits for it hears of that.
    """

    def __init__(self, directory: str) -> None:
        self._above = directory
        self.directory = f"{directory}/{process.boot_id()}"
        self._changed = threading.Condition()
        self._under_way: set[Digest] = set()
        self._failures: dict[Digest, Exception] = {}
        self._pool: ThreadPoolExecutor | None = None
        self.afterwards: Callable[[], None] = lambda: None

    def path(self, digest: Digest) -> str:
        """Where a blob is until it is in its place."""
        return f"{self.directory}/{digest.hex}"

    def put(self, path: str, digest: Digest) -> None:
        """Put a blob's file there."""
        try:
            os.rename(path, self.path(digest))
        except FileNotFoundError:  # the first of this boot
            directories.make(self.directory)
            os.rename(path, self.path(digest))

    def list(self) -> tuple[Digest, ...]:
        """All of them."""
        try:
            return tuple(Digest(f"sha256:{name}") for name in os.listdir(self.directory))
        except FileNotFoundError:
            return ()

    def remove_lost(self) -> None:
        """Remove those of other boots."""
        try:
            found = os.listdir(self._above)
        except FileNotFoundError:
            return
        for name in found:
            if f"{self._above}/{name}" != self.directory:
                directories.remove_tree(f"{self._above}/{name}")

    def take(self, digest: Digest, sync: Callable[[], None]) -> None:
        """Have a blob synced and brought to its place, by calling ``sync`` in a while."""
        with self._changed:
            self._under_way.add(digest)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, "kist-blobs")
            try:
                self._pool.submit(self._sync, digest, sync)
                has_thread = True
            except RuntimeError:
                has_thread = False
        if not has_thread:
            self._sync(digest, sync)

    def wait(self, digests: Iterable[Digest]) -> None:
        """Wait until this process is done with these."""
        wanted = frozenset(digests)
        with self._changed:
            self._changed.wait_for(lambda: wanted.isdisjoint(self._under_way))

    def failure(self, digest: Digest) -> Exception | None:
        """What the last try to bring one to its place failed with."""
        with self._changed:
            return self._failures.get(digest)

    def settle(self) -> None:
        """Wait until nothing is being synced any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way)

    def close(self) -> None:
        """Wait for all of them."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _sync(self, digest: Digest, sync: Callable[[], None]) -> None:
        failure = None
        try:
            sync()
            self.afterwards()
        except Exception as error:  # noqa: BLE001 - it is raised to whoever needs the blob
            failure = error
        with self._changed:
            self._under_way.discard(digest)
            self._failures.pop(digest, None)
            if failure is not None:
                while len(self._failures) >= _MOST_FAILURES:  # of builds that have failed, and ask no more
                    del self._failures[next(iter(self._failures))]
                self._failures[digest] = failure
            self._changed.notify_all()
