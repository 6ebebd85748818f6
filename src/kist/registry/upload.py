"""A blob on its way to a registry (distribution-spec, "Pushing blobs", "Mounting a blob from another repository")."""

import http.client
from collections.abc import Callable, Iterator
from typing import BinaryIO
from urllib.parse import urlencode

from kist.errors import Corrupt, Unavailable
from kist.registry.authorization import Scopes
from kist.registry.exchange import Exchange
from kist.registry.hosts import led_to
from kist.registry.transport import Answer, Body, number
from kist.spec.digest import Digest

_OCTETS = {"Content-Type": "application/octet-stream"}
_PIECE = 256 << 10
_CHUNK = 32 << 20


class _TooLargeError(Exception):
    """A request is too large for the registry, or what is before it."""


class Upload:
    """One blob on its way.

    Args:
        exchange: with the registry.
        path: of the repository.
        digest: of the blob.
        size: of the same, in bytes.
        source: opens it; called anew for each try.
        sent: hears how many bytes are sent; what it raises ends it.
    """

    def __init__(
        self,
        exchange: Exchange,
        path: str,
        digest: Digest,
        size: int,
        source: Callable[[], BinaryIO],
        sent: Callable[[int], None],
    ) -> None:
        self._exchange = exchange
        self._path = path
        self._scopes: Scopes = (f"repository:{path}:pull,push",)
        self._digest = digest
        self._size = size
        self._source = source
        self._sent = sent
        self._doing = f"write the blob {digest} to {path}"

    def send(self, mount_from: str, chunk: int) -> None:
        """Send it once, or have it mounted; in one request, unless a chunk's size is given or a proxy wants less.

        Raises:
            Passing: it fails for the moment.
            KistError: it fails.
        """
        location, least = self._begin(mount_from)
        if not location:
            return
        if not chunk:
            try:
                self._put(location, 0, self._size)
            except _TooLargeError:
                location, least = self._begin("")
                chunk = _CHUNK
            else:
                return
        chunk = max(chunk, least)
        done = 0
        while done < self._size:
            count = min(chunk, self._size - done)
            location = self._patch(location, done, count)
            done += count
        self._put(location, self._size, 0)

    def _begin(self, mount_from: str) -> tuple[str, int]:
        """Where to send it, and how many bytes at least at a time; nowhere where it was mounted."""
        url, scopes = self._exchange.url(f"/v2/{self._path}/blobs/uploads/"), self._scopes
        if mount_from:
            url += "?" + urlencode({"mount": self._digest, "from": mount_from})
            scopes += (f"repository:{mount_from}:pull",)
        with self._exchange.ask("POST", url, self._doing, scopes=scopes, wanted=(201, 202)) as answer:
            answer.beginning()
            if answer.status == http.HTTPStatus.CREATED:
                return "", 0
            return self._location(url, answer), number(answer.headers.get("OCI-Chunk-Min-Length", ""))

    def _patch(self, location: str, begin: int, count: int) -> str:
        headers = {**_OCTETS, "Content-Range": f"{begin}-{begin + count - 1}"}
        with self._ask("PATCH", location, headers, begin, count, (202, 204)) as answer:
            answer.beginning()
            return self._location(location, answer)

    def _put(self, location: str, begin: int, count: int) -> None:
        url = f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': self._digest})}"
        with self._ask("PUT", url, _OCTETS if count or not self._size else {}, begin, count, (201, 204)) as answer:
            answer.beginning()

    def _ask(
        self, method: str, url: str, headers: dict[str, str], begin: int, count: int, wanted: tuple[int, ...]
    ) -> Answer:
        too_large = http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        answer = self._exchange.ask(
            method,
            url,
            self._doing,
            scopes=self._scopes,
            headers=headers,
            body=lambda: Body(count, self._pieces(begin, count)),
            wanted=(*wanted, too_large) if method == "PUT" and count > _CHUNK else wanted,
        )
        if answer.status == too_large:
            answer.close()
            raise _TooLargeError
        return answer

    def _location(self, url: str, answer: Answer) -> str:
        location = answer.headers.get("Location", "")
        if not location:
            raise Unavailable(f"{self._exchange.domain}: {self._doing}: the registry does not say where")
        return led_to(url, location)

    def _pieces(self, begin: int, count: int) -> Iterator[bytes]:
        with self._source() as file:
            file.seek(begin)
            left = count
            while left:
                data = file.read(min(_PIECE, left))
                if not data:
                    raise Corrupt(f"the blob {self._digest} is shorter than its {self._size} bytes")
                yield data
                left -= len(data)
                self._sent(begin + count - left)
