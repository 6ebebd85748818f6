"""Blobs that are whole and on their way to the disk: a thread syncs one after the other, and their makers go on.

Until then they are read from where they were written, by this process alone. A crash leaves nothing of them, and with
them goes whatever is believed only as long as its blob is there; who writes a record that is to outlive a crash waits
first (``Blobs.sync``).
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from kist.spec.digest import Digest

_MOST_FAILURES = 100


class Unsynced:
    """Those of one data root. Safe from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: dict[Digest, str] = {}
        self._failures: dict[Digest, Exception] = {}
        self._pool: ThreadPoolExecutor | None = None

    def take(self, digest: Digest, path: str, sync: Callable[[], None]) -> None:
        """Have a blob, which is at this path, synced and brought to its place by calling ``sync``."""
        with self._changed:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "kist-blobs")
            self._paths[digest] = path
            self._failures.pop(digest, None)
        self._pool.submit(self._sync, digest, sync)

    def path(self, digest: Digest) -> str | None:
        """Where a blob is that is not in its place yet."""
        with self._changed:
            return self._paths.get(digest)

    def list(self) -> tuple[Digest, ...]:
        """All of them."""
        with self._changed:
            return tuple(self._paths)

    def wait(self, digests: Iterable[Digest]) -> None:
        """Wait until these are in their places, as far as they are any of ours; raises what one of them failed with."""
        wanted = frozenset(digests)
        with self._changed:
            self._changed.wait_for(lambda: wanted.isdisjoint(self._paths))
            for digest in wanted.intersection(self._failures):
                raise self._failures[digest]

    def settle(self) -> None:
        """Wait until nothing is being synced any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._paths)

    def close(self) -> None:
        """Wait for all of them."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _sync(self, digest: Digest, sync: Callable[[], None]) -> None:
        failure = None
        try:
            sync()
        except Exception as error:  # noqa: BLE001 - it is raised to whoever needs the blob
            failure = error
        with self._changed:
            del self._paths[digest]
            if failure is not None:
                while len(self._failures) >= _MOST_FAILURES:  # of builds that have failed, and ask no more
                    del self._failures[next(iter(self._failures))]
                self._failures[digest] = failure
            self._changed.notify_all()
