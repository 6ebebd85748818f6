"""aiohttp's connection with two changes: errors are JSON, and a stream's first bytes are kept for the stream."""

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from kist.api.audit import AuditLog, Noted
from kist.api.call import HEADERS
from kist.api.http import BaseRequest, RequestHandler, Response, Server, StreamResponse
from kist.api.places import Place
from kist.api.visitors import look
from kist.errors import InvalidInput, KistError
from kist.spec.docker.errors import write_error
from kist.spec.docker.versions import VersionTooOld
from kist.spec.json import encode

_log = logging.getLogger(__name__)

# A request that may turn its connection into a raw stream (ContainerAttach, ExecStart).
_HIJACKING = re.compile(rb"POST (?:/v[0-9.]+)?/(?:containers/[^/ ]+/attach|exec/[^/ ]+/start)[? ]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_MAX_EARLY = 64 << 10
_IDLE_SECONDS = 600.0
_MAX_LINE = 64 << 10


def split_hijack(data: bytes) -> int | None:
    """Where the bytes of the stream begin, when ``data`` begins with a whole request that may hijack its connection.

    None for every other data, and for a request whose end cannot be told from its head.
    """
    if not data.startswith(b"POST ") or not _HIJACKING.match(data):
        return None
    end = data.find(b"\r\n\r\n")
    if end < 0 or _CHUNKED.search(data, 0, end + 2):
        return None
    length = _LENGTH.search(data, 0, end + 2)
    return end + 4 + (int(length[1]) if length else 0)


def error_response(error: KistError, *, status: int = 0) -> Response:
    """The answer for an error."""
    if isinstance(error, VersionTooOld):  # the clients of that time show the body as it is
        return Response(text=f"{error}\n", status=error.http_status, headers=HEADERS)
    headers = {**HEADERS, "Content-Type": "application/json"}
    return Response(body=encode(write_error(error)), status=status or error.http_status, headers=headers)


class HttpServer(Server):
    """Makes the protocols of connections; a handler whose client vanishes is cancelled.

    Attributes:
        audit: where calls are recorded, if anywhere.
    """

    def __init__(
        self, handler: Callable[[BaseRequest], Awaitable[StreamResponse]], audit: AuditLog | None = None
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.audit = audit

    def at(self, place: Place) -> Callable[[], "Protocol"]:
        """What makes a protocol for each new connection at a place."""
        return functools.partial(Protocol, self, place)


class Protocol(RequestHandler):
    """One client's connection.

    Old clients, and those that write before they read, send the stream's first bytes together with the request.
    aiohttp would take them for the next request, so they are held back (at most 64 KiB, then the client waits) until
    the handler has taken the connection over, or has answered with an error.

    Attributes:
        place: where it came in.
    """

    __slots__ = ("_audit", "_due", "_early", "_visitor", "place")

    def __init__(self, server: HttpServer, place: Place) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_IDLE_SECONDS,
            tcp_keepalive=False,
            logger=_log,
            access_log=None,  # type: ignore[arg-type]  # aiohttp tests it for truth and documents None
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            auto_decompress=False,
        )
        self.place = place
        self._early = b""
        # Bytes that the parser is still to get of a request that may hijack; None while there is no such request.
        self._due: int | None = None
        self._audit = server.audit
        self._visitor: Mapping[str, object] | None = None

    def note(self, request: BaseRequest) -> Noted:
        """Begin the record of a call; who is at the other end is looked up once for all calls of the connection."""
        if self._audit is not None and self._visitor is None and self.transport is not None:
            self._visitor = look(self.transport, self.place)
        path, _, query = request.raw_path.partition("?")
        return Noted(self._audit, (request.method, path, query), self._visitor or {})

    def data_received(self, data: bytes) -> None:
        """Give requests to the parser and hold back what belongs to a stream."""
        if self._due is None and data:
            self._due = split_hijack(data)
        if self._due is None or not data:
            super().data_received(data)
            return
        part, rest = data[: self._due], data[self._due :]
        self._due -= len(part)
        if part:
            super().data_received(part)
        self._early += rest
        if len(self._early) >= _MAX_EARLY and self.transport is not None:
            self.transport.pause_reading()

    def take_early(self) -> bytes:
        """The stream's bytes that came with the request; from now on nobody reads the connection here."""
        if self.transport is not None:
            self.transport.pause_reading()
        early, self._early = self._early, b""
        return early

    def finish_hijack(self) -> None:
        """The request is answered: what was held back, if the connection is still HTTP's, is the next request."""
        if self._due is None:
            return
        self._due = None
        early, self._early = self._early, b""
        if early and self.transport is not None:
            self.transport.resume_reading()
            self.data_received(early)

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> StreamResponse:
        """The answer to what is no HTTP, or to a failure below our own handler; the connection ends with it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer was begun already")
        if status >= 500:
            _log.error("%s %s", request.method, request.raw_path, exc_info=exc)
        kind = InvalidInput if status < 500 else KistError
        first_line = (message or "internal error").strip().splitlines()[0]
        response = error_response(kind(f"bad request: {first_line}" if status < 500 else first_line), status=status)
        response.force_close()
        if status < 500:  # no call has come of it, and it is recorded nowhere else
            self.note(request).finish(status)
        return response
