"""The bytes of a blob, checked while they are read (distribution-spec, "Pulling blobs")."""

import hashlib
import http.client
import io
from typing import Any

from kist.errors import Corrupt, Unavailable
from kist.registry.exchange import Exchange, Passing
from kist.registry.transport import Answer
from kist.spec.digest import Digest

_PIECE = 256 << 10
_MOST_BREAKS = 5


class Blob(io.RawIOBase):
    """The bytes of a blob, checked while they are read: no more than were told, and at the end their digest.

    Where the connection breaks, the rest is asked for.
    """

    def __init__(self, exchange: Exchange, url: str, digest: Digest, size: int, scopes: tuple[str, ...]) -> None:
        super().__init__()
        self._exchange = exchange
        self._url = url
        self._digest = digest
        self._size = size
        self._scopes = scopes
        self._doing = f"read the blob {digest}"
        self._hash = hashlib.new(digest.algorithm)
        self._count = 0
        self._breaks = 0
        self._answer = exchange.persist(self._opened)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what comes next.

        Raises:
            Corrupt: the content is another one.
            Unavailable: the connection broke again and again, or ``interrupt`` was called.
        """
        data = self._next(len(buffer))
        self._count += len(data)
        if self._count > self._size or (not data and self._count < self._size):
            raise self._another(f"it has {'more' if data else 'only'} {self._size if data else self._count} bytes")
        self._hash.update(data)
        if not data and self._hash.hexdigest() != self._digest.hex:
            raise self._another(f"its content has {self._digest.algorithm}:{self._hash.hexdigest()}")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """End it."""
        if not self.closed:
            self._answer.close()
        super().close()

    def _next(self, size: int) -> bytes:
        while True:
            try:
                return self._answer.read(size)
            except (OSError, http.client.HTTPException) as error:
                self._answer.close()
                broken = self._exchange.broken(self._doing, error)
                self._breaks += 1
                if not isinstance(broken, Passing):
                    raise broken from error
                if self._breaks == _MOST_BREAKS:
                    raise broken.error from error
            self._answer = self._exchange.persist(self._opened)

    def _opened(self) -> Answer:
        """The bytes from the first one on that is not read yet."""
        headers = {"Range": f"bytes={self._count}-"} if self._count else {}
        answer = self._exchange.ask(
            "GET", self._url, self._doing, scopes=self._scopes, headers=headers, wanted=(200, 206)
        )
        skipped = 0 if answer.status == http.HTTPStatus.PARTIAL_CONTENT else self._count
        begin = answer.headers.get("Content-Range", f"bytes {self._count}-").removeprefix("bytes ").partition("-")[0]
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT and begin != str(self._count):
            answer.close()
            raise Unavailable(f"{self._exchange.domain}: {self._doing}: another part came than was asked for")
        try:
            while skipped:
                data = answer.read(min(skipped, _PIECE))
                if not data:
                    raise http.client.IncompleteRead(b"", skipped)
                skipped -= len(data)
        except (OSError, http.client.HTTPException) as error:
            answer.close()
            raise self._exchange.broken(self._doing, error) from error
        return answer

    def _another(self, why: str) -> Corrupt:
        return Corrupt(
            f"{self._exchange.domain}: the blob {self._digest} does not match its digest: {why}",
            hint="the registry, or a proxy before it, gives another content than it says",
        )
