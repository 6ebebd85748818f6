"""SHA-256 beside the work: large data is hashed in a thread, while the caller writes it."""

import hashlib
import queue
import threading
from collections import deque

from kist.spec.digest import Digest

_WORTH_A_THREAD = 256 << 10  # bytes; hashing takes about 1 ms for each MiB, starting a thread about 0.1 ms
# What waits for it, in bytes, where hashing is slower than what the caller does: memory that is nobody's cache.
_MOST_WAITING = 4 << 20
_EACH = 1 << 10  # bytes that the smallest chunk counts for


class _Chunks(queue.Queue[bytes | memoryview | None]):
    """Chunks in order, of which there are as many as their bytes allow; it takes one more where it is not full.

    ``queue.Queue`` leaves these four to be replaced.
    """

    def _init(self, maxsize: int) -> None:
        del maxsize
        self._chunks: deque[bytes | memoryview | None] = deque()
        self._bytes = 0

    def _qsize(self) -> int:
        return self._bytes

    def _put(self, item: bytes | memoryview | None) -> None:
        self._chunks.append(item)
        self._bytes += _weight(item)

    def _get(self) -> bytes | memoryview | None:
        item = self._chunks.popleft()
        self._bytes -= _weight(item)
        return item


def _weight(chunk: bytes | memoryview | None) -> int:
    return max(_EACH, len(chunk or b""))


class Hasher:
    """A running SHA-256. One thread feeds it; ``digest`` or ``abandon`` ends it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0
        self._queue: _Chunks | None = None
        self._thread: threading.Thread | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Add ``data``, which nobody may change any more."""
        self._size += len(data)
        if self._queue is None:
            if self._size < _WORTH_A_THREAD:
                self._hash.update(data)
                return
            self._queue = _Chunks(_MOST_WAITING)
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

    def _work(self, chunks: _Chunks) -> None:
        while (chunk := chunks.get()) is not None:
            self._hash.update(chunk)
