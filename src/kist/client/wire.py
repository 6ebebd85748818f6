"""Requests to the engine in its own words: paths, queries and plain JSON of the Docker Engine API."""

import os

from kist.client.http1 import target
from kist.client.start import connect
from kist.client.transport import NoAnswer
from kist.errors import InvalidInput, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from kist.client.endpoint import Endpoint
    from kist.client.pump import Stream
    from kist.client.transport import Connection, FileBody, Response
    from kist.errors import KistError

    Query = Iterable[tuple[str, str | int | None]]  # those whose value is None are left out
    Body = bytes | FileBody | Iterable[bytes] | None

_UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "tcp"))
_JSON = (("Content-Type", "application/json"),)
_MAX_IDLE = 4


class Wire:
    """The engine at an endpoint. Safe from many threads: each request has a connection of its own while it lasts."""

    def __init__(self, endpoint: "Endpoint", connecting: "Callable[[Endpoint], Connection]" = connect) -> None:
        self.endpoint = endpoint
        self._connect = connecting
        self._idle: list[Connection] = []
        self._pid = os.getpid()

    def close(self) -> None:
        """Close the connections that wait for the next request."""
        while self._idle:
            self._idle.pop().close()

    def call(self, method: str, path: str, query: "Query" = (), value: "Any" = None) -> "Any":
        """Send ``value`` as JSON; the JSON of the answer, None when it has no body.

        Raises:
            KistError: the engine's error, as the class that it was there.
        """
        body = None if value is None else encode(value)
        return _value_of(self.request(method, path, query, body=body, headers=_JSON if body is not None else ()))

    def begin_call(self, method: str, path: str, query: "Query" = (), value: "Any" = None) -> "Exchange":
        """The first half of ``call``; ``Exchange.value`` is the second."""
        body = None if value is None else encode(value)
        return self.begin(method, path, query, body=body, headers=_JSON if body is not None else ())

    def request(
        self,
        method: str,
        path: str,
        query: "Query" = (),
        *,
        body: "Body" = None,
        headers: "Iterable[tuple[str, str]]" = (),
    ) -> "Response":
        """Send a request; the successful answer, its body unread. A GET that a dying engine took is sent again.

        Raises:
            KistError: the engine's error, as the class that it was there.
        """
        try:
            return self.begin(method, path, query, body=body, headers=headers).answer()
        except NoAnswer:
            if method != "GET":
                raise
        return self.begin(method, path, query, headers=headers).answer()

    def begin(
        self,
        method: str,
        path: str,
        query: "Query" = (),
        *,
        body: "Body" = None,
        headers: "Iterable[tuple[str, str]]" = (),
    ) -> "Exchange":
        """Send a request and leave its answer for later, so that several are under way at once."""
        connection = self._connection()
        connection.send(method, target(path, query), headers, body)
        return Exchange(self, connection, method)

    def hijack(self, path: str, query: "Query" = (), value: "Any" = None) -> "tuple[Stream, dict[str, str]]":
        """Upgrade a POST to a raw stream; the stream and the answer's headers."""
        return self.begin_hijack(path, query, value).stream()

    def begin_hijack(self, path: str, query: "Query" = (), value: "Any" = None) -> "Exchange":
        """The first half of ``hijack``; ``Exchange.stream`` is the second."""
        body = None if value is None else encode(value)
        return self.begin("POST", path, query, body=body, headers=(*_UPGRADE, *(_JSON if body is not None else ())))

    def lines(self, response: "Response") -> "Iterator[Any]":
        """The values of an answer of JSON lines, as they arrive."""
        from kist.spec import jsontext  # noqa: PLC0415 - a shared object to load: not before the request, if it can be

        rest = b""
        for data in response:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.strip():
                    yield jsontext.loads(line)
        if rest.strip():
            yield jsontext.loads(rest)

    def _connection(self) -> "Connection":
        if self._pid != os.getpid():  # a fork's two sides must not talk on one connection
            self.close()
            self._pid = os.getpid()
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if not connection.is_stale():
                return connection
            connection.close()
        return self._connect(self.endpoint)

    def release(self, connection: "Connection") -> None:
        """Keep a connection for the next request, or close it when it cannot serve one."""
        if connection.reusable and len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()


class Exchange:
    """A request that was sent and whose answer was not read yet."""

    __slots__ = ("_connection", "_method", "_wire")

    def __init__(self, wire: Wire, connection: "Connection", method: str) -> None:
        self._wire = wire
        self._connection = connection
        self._method = method

    def answer(self) -> "Response":
        """The successful answer; raises the engine's error otherwise."""
        try:
            response = self._connection.receive(self._method)
            failure = _failure(response) if response.status >= 400 else None
        except BaseException:
            self._connection.close()
            raise
        response.when_done(self._wire.release)
        if failure:
            raise failure
        return response

    def stream(self) -> "tuple[Stream, dict[str, str]]":
        """The connection as a raw stream; raises the engine's error when it would not upgrade."""
        response = self.answer()
        return response.hijack(), response.headers

    def value(self) -> "Any":
        """The JSON of the answer, None when it has no body; raises the engine's error."""
        return _value_of(self.answer())

    def abandon(self) -> None:
        """Close the connection without waiting for the answer."""
        self._connection.close()


def _failure(response: "Response") -> "KistError":
    from kist.client.failure import from_response  # noqa: PLC0415 - for errors only

    return from_response(response.status, response.read())


def _value_of(response: "Response") -> "Any":
    data = response.read()
    if not data:
        return None
    from kist.spec import jsontext  # noqa: PLC0415 - as in ``lines``

    try:
        return jsontext.loads(data)
    except ValueError as error:
        raise Unavailable(f"the engine's answer is not JSON: {error}") from None


def encode(value: "Any") -> bytes:
    """The body of a request.

    Raises:
        InvalidInput: a string in it is no Unicode.
    """
    from kist.spec import jsontext  # noqa: PLC0415 - as in ``Wire.lines``

    try:
        return jsontext.dumps(value).encode()
    except UnicodeEncodeError as error:
        text = str(error.object)[max(0, error.start - 20) : error.end + 20]
        raise InvalidInput(f"not valid UTF-8: {text!r}", hint="arguments and names must be UTF-8") from None
