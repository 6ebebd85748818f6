"""One request on its way: its path's fields, its query, its body, and the engine."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from urllib.parse import parse_qs

from kist.api.http import BaseRequest, HttpVersion11, RequestPayloadError, Response, StreamResponse
from kist.api.patience import TooSlow
from kist.api.places import Place
from kist.api.shares import OWNER, Caller
from kist.engine.policy import peers
from kist.errors import InvalidInput
from kist.spec.docker.history.answers import ANSWERS
from kist.spec.docker.history.bodies import BODIES
from kist.spec.docker.history.requests import Behaviour, follows
from kist.spec.docker.versions import API_VERSION
from kist.spec.json import decode, encode_escaped, encode_replaced

if TYPE_CHECKING:
    from kist.api.app import Api
    from kist.api.audit import Noted
    from kist.api.protocol import Protocol
    from kist.engine import Engine

P = ParamSpec("P")
T = TypeVar("T")

VALUE_TYPE = "application/vnd.kist+json"
HEADERS: Mapping[str, str] = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": "Kist (linux)",
}
_JSON_HEADERS = {**HEADERS, "Content-Type": "application/json"}
_FALSE = frozenset({"", "0", "no", "false", "none"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUL = rb"\u0000"
_MAX_JSON = 4 << 20
_MAX_QUERY_FIELDS = 1000


class BodyTooLong(InvalidInput):
    """The body of the request is longer than any that can be right."""

    http_status = 413


class ExpectationFailed(InvalidInput):
    """The client wants something of the server before it sends its body that the server does not know."""

    http_status = 417


class HeadAnswered(Exception):
    """The handler's work is done once the headers are sent: the request was HEAD."""

    def __init__(self, response: StreamResponse) -> None:
        super().__init__()
        self.response = response


class Call:
    """What a handler gets.

    Attributes:
        api: the server's shared parts (workers, sessions, log).
        engine: the engine.
        request: aiohttp's view of the request.
        fields: the path's fields, percent-decoded.
        version: of the API, from the path's prefix; the newest where there is none.
        noted: the call in the audit log.
        caller: whose places its threads and bodies take.
    """

    __slots__ = (
        "_query", "_query_text", "_unread", "api", "caller", "engine", "fields", "noted", "request", "version",
    )  # fmt: skip

    def __init__(
        self,
        api: "Api",
        request: BaseRequest,
        query: str,
        fields: dict[str, str],
        version: tuple[int, int],
        noted: "Noted",
        unread: frozenset[str] = frozenset(),
    ) -> None:
        self.api = api
        self.engine: Engine = api.engine
        self.request = request
        self.fields = fields
        self.version = version
        self.noted = noted
        self.caller: Caller = OWNER
        self._unread = unread
        self._query_text = query
        self._query: dict[str, list[str]] | None = None

    # the caller

    @property
    def connection(self) -> "peers.Connection | None":
        """The caller's socket; None when it has gone."""
        transport = self.request.transport
        return transport.get_extra_info("socket") if transport is not None else None

    @property
    def place(self) -> Place:
        """Where the caller came in."""
        return cast("Protocol", self.request.protocol).place

    @property
    def is_owners(self) -> bool:
        """Whether the engine's own user calls."""
        return cast("Protocol", self.request.protocol).is_owners

    def follows(self, what: Behaviour) -> bool:
        """Whether the request's version has a behaviour."""
        return follows(what, self.version)

    @property
    def uid(self) -> int:
        """The user that calls; -1 where that cannot be known."""
        scope = self.place.scope
        return scope.owner.uid if scope is not None and not self.is_owners else peers.uid_of(self.connection)

    # the query

    def values(self, name: str) -> list[str]:
        """All values of a repeated query parameter; none where the request's version has no such parameter."""
        if self._query is None:
            try:
                self._query = parse_qs(self._query_text, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
            except ValueError as error:
                raise InvalidInput(f"invalid query: {error}") from None
        found = [] if name in self._unread else self._query.get(name, [])
        if any("\0" in value for value in found):
            raise InvalidInput(f"invalid value for {name!r}: it has a NUL character")
        return found

    def text(self, name: str) -> str:
        """A query parameter; empty where there is none."""
        found = self.values(name)
        return found[0] if found else ""

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean query parameter, as Docker reads them: everything but 0, no, false and none is true."""
        found = self.values(name)
        return found[0].strip().lower() not in _FALSE if found else default

    def integer(self, name: str) -> int | None:
        """An integer query parameter; None where it is absent or empty.

        Raises:
            InvalidInput: it is no integer.
        """
        text = self.text(name)
        if not text:
            return None
        if not _INTEGER.fullmatch(text):
            raise InvalidInput(f"invalid value for {name!r}: {text[:40]!r} is not an integer")
        return int(text)

    # the body

    async def json(self, *, required: bool = True, operation: str = "") -> dict[str, Any]:
        """The body as a JSON object; empty where there is none and none is required.

        Args:
            required: whether there must be one.
            operation: its name in the definition, where fields of the body have come and gone: they are as in the
                newest version.

        Raises:
            InvalidInput: it is no JSON object, or the request's version refuses a field of it.
        """
        data = await self.body()
        if not data.strip() or data.strip() == b"null":
            if required:
                raise InvalidInput("the request body is empty", hint="send a JSON object")
            return {}
        found = decode(data, dict[str, Any], what="JSON")
        if _NUL in data and _has_nul(found):
            raise InvalidInput("invalid JSON: a text has a NUL character", hint="nothing that is named can have one")
        return BODIES.at(self.version, operation, found) if operation else found

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            BodyTooLong: it is longer than the longest that can be right.
            TooSlow: it has not come in time.
        """
        if not self.request.body_exists:
            return b""
        await self.expect()
        seconds = self.api.patience.body
        try:
            async with asyncio.timeout(seconds):
                return await self._whole_body()
        except TimeoutError:
            raise TooSlow(f"the request body has not come within {seconds:g} seconds") from None
        except RequestPayloadError as error:
            raise InvalidInput(f"the request body cannot be read: {error}") from None

    async def _whole_body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := await self.request.content.readany():
            parts.append(part)
            size += len(part)
            if size > _MAX_JSON:
                raise BodyTooLong(f"the request body is longer than {_MAX_JSON >> 20} MiB")
        return b"".join(parts)

    async def expect(self) -> None:
        """Tell a client that asked first (``Expect: 100-continue``, RFC 9110, section 10.1.1) to send its body.

        Raises:
            ExpectationFailed: it asked for something else.
        """
        expected = self.request.headers.get("Expect", "").lower()
        if not expected or self.request.version < HttpVersion11 or self.request.transport is None:
            return
        if expected != "100-continue":
            raise ExpectationFailed(f"unknown expectation: {expected[:40]}")
        if not self.request.content.total_bytes:  # what has come already was not waited with
            self.request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # threads

    async def run(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a short blocking call."""
        if self.caller is not OWNER:
            return await self.run_long(function, *arguments, **options)
        return await self.api.workers.run(function, *arguments, **options)

    async def run_long(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """The result of a blocking call that may take long, or wait for somebody."""
        return await self.api.workers.run_for(self.caller, function, *arguments, **options)

    @property
    def from_docker(self) -> bool:
        """Whether a client of Docker's asks, which names itself; Kist's own clients send no User-Agent."""
        return "User-Agent" in self.request.headers

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the server."""
        return asyncio.get_running_loop()

    # answers

    @property
    def wants_values(self) -> bool:
        """Whether the client takes Kist's own values rather than Docker's JSON."""
        return VALUE_TYPE in self.request.headers.get("Accept", "")

    def reply(self, value: object, status: int = 200, *, operation: str = "") -> Response:
        """An answer of JSON; as it is at the request's version where its fields have come and gone (``operation``)."""
        told = self.told(operation, value) if operation else value
        return Response(body=encode_escaped(told), status=status, headers=_JSON_HEADERS)

    def reply_text(self, text: bytes) -> Response:
        """An answer whose JSON is written already."""
        return Response(body=text, headers=_JSON_HEADERS)

    def told(self, operation: str, value: object) -> object:
        """An answer of the newest version, as it is at the request's; ``operation`` is its name in the definition."""
        return ANSWERS.at(self.version, operation, value)

    def reply_value(self, value: object) -> Response:
        """A value, or a tuple of them, in Kist's own JSON (``kist.spec.json``)."""
        return Response(body=encode_replaced(value), headers={**HEADERS, "Content-Type": VALUE_TYPE})

    def answer(self, value: T, write: Callable[[T], object], status: int = 200, *, operation: str = "") -> Response:
        """A value as the client takes it: in Kist's own JSON, or as Docker's, which ``write`` makes of it."""
        return self.reply_value(value) if self.wants_values else self.reply(write(value), status, operation=operation)

    def reply_lines(self, values: Iterable[object]) -> Response:
        """An answer of JSON objects, one a line, as the streams of Docker's long verbs are.

        In chunks, as those are: docker-py takes what has a length for one object.
        """
        body = b"".join(encode_escaped(value) + b"\r\n" for value in values)
        answer = Response(body=body, headers=_JSON_HEADERS)
        answer.enable_chunked_encoding()
        return answer

    def done(self, status: int = 204) -> Response:
        """An answer without a body."""
        return Response(status=status, headers=HEADERS)

    async def stream(
        self, content_type: str, headers: Mapping[str, str] | None = None, *, whole: bool = False
    ) -> StreamResponse:
        """An answer whose headers are sent now and whose body follows bit by bit, for as long as it takes.

        Args:
            content_type: of the body.
            headers: further ones.
            whole: the first bit of the body is at hand, and goes with the headers.

        Raises:
            HeadAnswered: nobody wants that body.
        """
        self.api.track(asyncio.current_task())
        kind = _WithBody if whole else StreamResponse
        response = kind(headers={**HEADERS, "Content-Type": content_type, **(headers or {})})
        await response.prepare(self.request)
        self.noted.answered(response.status)
        if self.request.method == "HEAD":
            raise HeadAnswered(response)
        return response


class _WithBody(StreamResponse):
    """One whose headers wait for the first bit of the body: two pieces would wake the client twice."""

    _send_headers_immediately = False


def _has_nul(value: object) -> bool:
    """Whether a text of a JSON value, however deep, has the character that no path, name or variable can have."""
    left: list[object] = [value]
    while left:
        each = left.pop()
        if isinstance(each, str) and "\0" in each:
            return True
        if isinstance(each, dict):
            left += (*each, *each.values())
        elif isinstance(each, list):
            left += each
    return False
