"""SHA-256 beside the work: large data is hashed in a thread, while the caller writes it."""

import hashlib
import queue
import threading

from kist.spec.digest import Digest

_WORTH_A_THREAD = 256 << 10  # bytes; hashing takes about 1 ms for each MiB, starting a thread about 0.1 ms
_WAITING_CHUNKS = 32


class Hasher:
    """A running SHA-256. One thread feeds it; ``digest`` or ``abandon`` ends it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._queue: queue.Queue[bytes | memoryview | None] | None = None
        self._thread: threading.Thread | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Add ``data``, which nobody may change any more."""
        self._size += len(data)
        if self._queue is None:
            if self._size < _WORTH_A_THREAD:
                self._hash.update(data)
                return
            self._queue = queue.Queue(_WAITING_CHUNKS)
            self._thread = threading.Thread(target=self._work, args=(self._queue,), name="kist-hash", daemon=True)
            self._thread.start()
        self._queue.put(data)

    def digest(self) -> Digest:
        """The digest of all that was added."""
        self.abandon()
        return Digest("sha256:" + self._hash.hexdigest())

    def abandon(self) -> None:
        """End the thread, if there is one."""
        if self._queue is not None and self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._queue = self._thread = None

    def _work(self, chunks: queue.Queue[bytes | memoryview | None]) -> None:
        while (chunk := chunks.get()) is not None:
            self._hash.update(chunk)
