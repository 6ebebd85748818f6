"""A file from the web: what ``import URL``, ``build URL`` and ``ADD URL`` read."""

import http.client
import io
import os
import shutil
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any, NamedTuple, cast

from kist.engine.stop import Stop
from kist.errors import InvalidInput, NotFound, Unavailable, see_doctor

_TIMEOUT = 30.0
_MOST_DIGITS = 20  # of 64 bits
# Not all that urllib knows: a redirect must not lead to a file of this machine, or to FTP.
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
)


class _Body(io.RawIOBase):
    """The bytes at a URL, which fails where they end before the size that the server told."""

    def __init__(self, url: str, response: http.client.HTTPResponse, stop: Stop) -> None:
        super().__init__()
        self._url = url
        self._stop = stop
        self._response = response
        told = response.headers.get("Content-Length", "")
        self.size = int(told) if told.isdecimal() and len(told) <= _MOST_DIGITS else None
        self._read = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what comes next.

        Raises:
            Unavailable: the connection broke, or ended too early, or nobody wants it any more.
        """
        self._stop.check()
        try:
            count = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"Get {self._url!r}: {error} after {self._read} bytes", hint="try again") from error
        self._read += count
        if not count and self.size is not None and self._read < self.size:
            raise Unavailable(f"Get {self._url!r}: it ended after {self._read} of {self.size} bytes", hint="try again")
        return count

    def close(self) -> None:
        """End the connection."""
        self._response.close()
        super().close()


class Version(NamedTuple):
    """By what a server knows a content again; empty where it tells nothing (RFC 9110, 8.8)."""

    etag: str = ""
    last_modified: str = ""


class Download(io.BufferedReader):
    """The same, to be read, and what the server says of it.

    Attributes:
        content_type: empty where it says nothing.
        version: which content this is.
        disposition: the header of this name, which may have the file's name.
    """

    def __init__(self, body: _Body, response: http.client.HTTPResponse) -> None:
        super().__init__(body, 1 << 20)
        headers = response.headers
        self._response = response
        self.content_type = headers.get("Content-Type", "")
        self.version = Version(headers.get("ETag", ""), headers.get("Last-Modified", ""))
        self.disposition = headers.get("Content-Disposition", "")

    def interrupt(self) -> None:
        """Have a read that waits in another thread fail."""
        with suppress(OSError, ValueError), socket.socket(fileno=os.dup(self._response.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)


def open_url(url: str, directory: str, stop: Stop | None = None) -> Download:
    """The content at an ``http`` or ``https`` URL.

    Args:
        url: redirects are followed, to such URLs only.
        directory: where it will be kept: there must be room for it, as far as its size is told.
        stop: ends it before its time.

    Raises:
        InvalidInput, NotFound, Unavailable: as ``open_changed``.
    """
    content = open_changed(url, directory, Version(), stop or Stop())
    assert content is not None, "a server that was asked for no change has none"
    return content


def open_changed(url: str, directory: str, known: Version, stop: Stop) -> Download | None:
    """The same, where it is no longer the version that is known; None where it is.

    Raises:
        InvalidInput: it is no such URL.
        NotFound: the server says that there is nothing (404, 410).
        Unavailable: the server cannot be reached or answers with another error, or there is no room.
    """
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(
            f"invalid source {url!r}", hint="a source is - or a URL that begins with http:// or https://"
        )
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    asked = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    try:
        request = urllib.request.Request(url, headers={name: value for name, value in asked.items() if value})  # noqa: S310 - see above
        response = opener.open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.NOT_MODIFIED and any(known):
            return None
        kind = NotFound if error.code in {404, 410} else Unavailable
        raise kind(f"Get {url!r}: Got HTTP status code >= 400: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        cause = getattr(reason, "strerror", None) or str(reason)
        raise Unavailable(
            f"Get {url!r}: {cause.lower()}", hint=see_doctor("dns", "check the address and the network")
        ) from error
    answer = cast("http.client.HTTPResponse", response)
    body = _Body(url, answer, stop)
    free = shutil.disk_usage(directory).free
    if body.size is not None and body.size > free:
        body.close()
        raise Unavailable(
            f"{url} has {body.size} bytes, and {directory} has room for {free}",
            hint=see_doctor("space", "free some space there: kist system prune --dry-run tells what would go"),
        )
    return Download(body, answer)
