"""aiohttp's connection with some changes.

Errors are JSON, a stream's first bytes are kept for the stream, a client that has sent all that it will is still
answered, and one that does not come to the end of a request's head is not waited for.
"""

import asyncio
import functools
import logging
import re
import resource
import socket
from collections.abc import Awaitable, Callable, Mapping

from kist.api.audit import AuditLog, Noted
from kist.api.call import HEADERS
from kist.api.hangups import Hangups
from kist.api.http import (
    EMPTY_PAYLOAD,
    BaseRequest,
    LineTooLong,
    RequestHandler,
    RequestPayloadError,
    Response,
    Server,
    StreamReader,
    StreamResponse,
    _ErrInfo,
)
from kist.api.patience import Patience
from kist.api.places import FromAfar, Place
from kist.api.shares import OWNER, Caller
from kist.api.visitors import caller_of, is_owners, look
from kist.errors import InvalidInput, KistError
from kist.spec.docker.errors import write_error
from kist.spec.docker.versions import VersionTooOld
from kist.spec.json import encode

_log = logging.getLogger(__name__)

# A request that may turn its connection into a raw stream (ContainerAttach, ExecStart, our own of both in one).
_HIJACKING = re.compile(
    rb"POST (?:https?://[^/ ]*)?(?:/v[0-9.]+)?/"
    rb"(?:containers/[^/ ]+/attach|exec/[^/ ]+/start|kist/containers/[^/ ]+/exec)[? ]"
)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_MAX_EARLY = 64 << 10
_IDLE_SECONDS = 600.0
_MAX_LINE = 64 << 10
_MAX_HEAD = 1 << 20
_CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
    b'{"message":"too many connections of others than the engine\'s own user"}\n'
)


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

    Args:
        handler: answers requests.
        audit: where calls are recorded, if anywhere.
        patience: with slow clients.
        hangups: tells of clients that vanish.
    """

    def __init__(
        self,
        handler: Callable[[BaseRequest], Awaitable[StreamResponse]],
        audit: AuditLog | None,
        patience: Patience,
        hangups: Hangups,
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.audit = audit
        self.patience = patience
        self.hangups = hangups
        self._others = 0

    def let_in(self) -> bool:
        """Count one more connection of somebody who is not the engine's own user; False where there are too many."""
        self._others += 1
        return self._others <= (self.patience.others or resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)

    def let_out(self) -> None:
        """One of these has ended."""
        self._others -= 1

    def at(self, place: Place, caller: FromAfar | None = None) -> Callable[[], "Protocol"]:
        """What makes a protocol for each new connection at a place; see ``Protocol``."""
        return functools.partial(Protocol, self, place, caller)


class Protocol(RequestHandler):
    """One client's connection.

    Old clients, and those that write before they read, send the stream's first bytes together with the request.
    aiohttp would take them for the next request, so they are held back (at most 64 KiB, then the client waits) until
    the handler has taken the connection over, or has answered with an error.

    Attributes:
        place: where it came in.
        caller: who calls from another machine; None where the kernel tells who it is.
        is_owners: whether the engine's own user calls, as the kernel noted it when the connection was made.
    """

    __slots__ = (
        "_audit",
        "_due",
        "_early",
        "_head_size",
        "_head_timer",
        "_payload",
        "_server",
        "_sharer",
        "_visitor",
        "_watch",
        "caller",
        "is_owners",
        "place",
    )

    def __init__(self, server: HttpServer, place: Place, caller: FromAfar | None = None) -> None:
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
        self.caller = caller
        self._early = b""
        # Bytes that the parser is still to get of a request that may hijack; None while there is no such request.
        self._due: int | None = None
        self._server = server
        self._audit = server.audit
        # How much of a request's head has come that is not whole yet, and until when the rest has to.
        self._head_size = 0
        self._head_timer: asyncio.TimerHandle | None = None
        # The body of the newest request.
        self._payload: StreamReader | None = None
        # Looks whether a client that sends no more still listens; None while it may send.
        self._watch: asyncio.Task[None] | None = None
        self._visitor: Mapping[str, object] | None = None
        # Whose share of the audit log its records take.
        self._sharer: Caller = OWNER
        self.is_owners = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open. Others than the engine's own user may not take all of its descriptors: it is always answered."""
        super().connection_made(transport)
        self.is_owners = is_owners(transport.get_extra_info("socket"), self.place)
        if not self.is_owners and not self._server.let_in() and self.transport is not None:
            self.transport.write(_CROWDED)
            self.transport.close()

    def note(self, request: BaseRequest) -> Noted:
        """Begin the record of a call; who is at the other end is looked up once for all calls of the connection."""
        if self._audit is not None and self._visitor is None and self.transport is not None:
            self._visitor = look(self.transport, self.place, self.caller)
            if not self.is_owners:
                self._sharer = caller_of(self.transport.get_extra_info("socket"), self.place)
        path, _, query = request.raw_path.partition("?")
        return Noted(self._audit, (request.method, path, query), self._visitor or {}, self._sharer)

    def data_received(self, data: bytes) -> None:
        """Give requests to the parser and hold back what belongs to a stream."""
        if self._due is None and data and not self._expects_body():
            self._due = split_hijack(data)
        if self._due is None or not data:
            super().data_received(data)
            self._mind_head(len(data))
            return
        part, rest = data[: self._due], data[self._due :]
        self._due -= len(part)
        if part:
            super().data_received(part)
            self._mind_head(len(part))
        self._early += rest
        if len(self._early) >= _MAX_EARLY and self.transport is not None:
            self.transport.pause_reading()

    def _expects_body(self) -> bool:
        """Whether what comes is of a request that is here already, whatever it looks like."""
        return self._payload is not None and not self._payload.is_eof()

    def _mind_head(self, size: int) -> None:
        """Bound the time and the length of a head that is not whole yet: the last bytes completed no request."""
        if self._messages:
            self._payload = self._messages[-1][1]
        if not self._is_idle() or not size:
            self._head_size = 0
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
            return
        self._head_size += size
        if self._head_timer is None:
            self._head_timer = self._loop.call_later(self._server.patience.head, self._refuse_head, 408, "too slow")
        if self._head_size > _MAX_HEAD:
            self._refuse_head(431, f"longer than {_MAX_HEAD >> 10} KiB")

    def _refuse_head(self, status: int, why: str) -> None:
        if self._waiter is not None and self._is_idle():
            error = KistError(f"the request's head is {why}")
            self._messages.append((_ErrInfo(status, error, str(error)), EMPTY_PAYLOAD))
            self._waiter.set_result(None)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's; aiohttp's never keeps a connection
        """The client sends no more. What it has asked for it still gets, if it can be seen to listen.

        Of a Unix socket the kernel tells when the other end is closed altogether; of others only that it is half
        closed, and there this is taken for its end, but for a body that is cut short: the answer is soon made.
        """
        if self._watch is not None:
            return True
        if self.transport is None or self._is_idle() or self._payload is None:
            return False
        if not self._payload.is_eof():
            self._payload.set_exception(RequestPayloadError("the client ended it before its end"))
            self._payload.feed_eof()  # nobody waits for the rest
            if self.transport.get_extra_info("sslcontext") is not None:
                return False  # TLS has no half-close: nobody would hear of it
        elif self.transport.get_extra_info("socket").family != socket.AF_UNIX:
            return False
        if not self._messages and self._due is None:
            self._close = True  # the last one is being answered
        self._watch = self._loop.create_task(self._until_hangup(self.transport))
        return True

    def _is_idle(self) -> bool:
        """Whether no request is here, or only the beginning of one."""
        return self._waiter is not None and not self._waiter.done()

    async def _until_hangup(self, transport: asyncio.Transport) -> None:
        await self._server.hangups.wait_beside(transport)
        transport.abort()

    def end_with(self, response: StreamResponse) -> None:
        """This answer is made; it is the connection's last one where the client sends no more."""
        if self._watch is not None and not self._messages and not self._early:
            response.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is closed."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if not self.is_owners:
            self._server.let_out()
        super().connection_lost(exc)

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
        if isinstance(exc, LineTooLong) or message == "Too many headers received":
            status = 431
        kind = InvalidInput if status < 500 else KistError
        first_line = (message or "internal error").strip().splitlines()[0]
        response = error_response(kind(f"bad request: {first_line}" if status < 500 else first_line), status=status)
        response.force_close()
        if status < 500:  # no call has come of it, and it is recorded nowhere else
            self.note(request).finish(status)
        return response
