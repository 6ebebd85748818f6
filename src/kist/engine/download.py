"""A file from the web: what ``import URL`` reads."""

import http.client
import io
import shutil
import urllib.error
import urllib.request
from typing import Any, cast

from kist.engine.stop import Stop
from kist.errors import InvalidInput, NotFound, Unavailable, see_doctor

_TIMEOUT = 30.0
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
        self.size = int(told) if told.isdecimal() else None
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


class Download(io.BufferedReader):
    """The same, to be read; ``content_type`` is what the server says that it is, empty where it says nothing."""

    def __init__(self, body: _Body, content_type: str) -> None:
        super().__init__(body, 1 << 20)
        self.content_type = content_type


def open_url(url: str, directory: str, stop: Stop | None = None) -> Download:
    """The content at an ``http`` or ``https`` URL.

    Args:
        url: redirects are followed, to such URLs only.
        directory: where it will be kept: there must be room for it, as far as its size is told.
        stop: ends it before its time.

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
    try:
        response = opener.open(url, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        kind = NotFound if error.code in {404, 410} else Unavailable
        raise kind(f"Get {url!r}: Got HTTP status code >= 400: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        cause = getattr(reason, "strerror", None) or str(reason)
        raise Unavailable(
            f"Get {url!r}: {cause.lower()}", hint=see_doctor("dns", "check the address and the network")
        ) from error
    answer = cast("http.client.HTTPResponse", response)
    body = _Body(url, answer, stop or Stop())
    free = shutil.disk_usage(directory).free
    if body.size is not None and body.size > free:
        body.close()
        raise Unavailable(
            f"{url} has {body.size} bytes, and {directory} has room for {free}",
            hint=see_doctor("space", "free some space there: kist system prune --dry-run tells what would go"),
        )
    return Download(body, answer.headers.get("Content-Type", ""))
