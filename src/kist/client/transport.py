"""A lean HTTP/1.1 client on one Unix socket: what ``http.client`` does here, without its 28 ms of imports."""

import _socket
import os

from kist.client.dial import dial, is_own, peer
from kist.client.http1 import MAX_HEAD, Dechunker, Head, body_length, not_http, parse_head, request_head
from kist.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kist.client.pump import Stream
    from kist.errors import KistError

_READ = 64 * 1024
_SEND_FILE = 8 << 20


class NoAnswer(Unavailable):
    """The connection ended before an answer began: a dying engine still takes connections for a moment."""


class FileBody:
    """A request body that the kernel copies from an open regular file (sendfile), from ``offset`` to its end."""

    __slots__ = ("fd", "offset", "size")

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self.fd = fd
        self.offset = offset
        self.size = size


class Connection:
    """One connection to the engine, for one request at a time.

    ``reusable`` tells whether the last response left it ready for the next request.
    """

    __slots__ = ("_buffer", "_socket", "_why", "reusable")

    def __init__(
        self,
        path: str = "",
        timeout: "float | None" = None,
        *,
        connected: int = -1,
        why: "Callable[[], KistError | None] | None" = None,
    ) -> None:
        """Connect to the socket at ``path``; raises OSError (ENOENT, ECONNREFUSED, EACCES, …).

        With ``timeout``, in seconds, whatever takes longer raises ``TimeoutError``. ``connected`` is the descriptor of
        a socket that is connected already, and is this object's from then on; ``why`` is asked for the error when it
        ends without an answer.
        """
        self._why = why
        self._buffer = b""
        self.reusable = True
        self._socket = _socket.socket(fileno=connected) if connected >= 0 else dial(path, timeout)

    def close(self) -> None:
        """Close the socket; a second call does nothing."""
        self.reusable = False
        self._socket.close()

    def peer_pid(self) -> int:
        """The process that listens; 0 when our pid namespace does not have it."""
        return peer(self._socket)[0]

    def is_own(self) -> bool:
        """Whether our own engine listens, which is ours, or root's."""
        return is_own(self._socket)

    def is_stale(self) -> bool:
        """Whether an idle connection was closed by the engine (or has bytes that nobody asked for)."""
        try:
            self._socket.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def send(
        self,
        method: str,
        path: str,
        headers: "Iterable[tuple[str, str]]" = (),
        body: "bytes | FileBody | Iterable[bytes] | None" = None,
    ) -> None:
        """Send a request; an iterable body goes out in chunks as it is produced.

        An engine that answers and closes before it has read the whole body is no error here: ``receive`` gives its
        answer.
        """
        self.reusable = False
        lines = list(headers)
        if isinstance(body, bytes):
            lines.append(("Content-Length", str(len(body))))
        elif isinstance(body, FileBody):
            lines.append(("Content-Length", str(body.size)))
        elif body is not None:
            lines.append(("Transfer-Encoding", "chunked"))
        elif method in {"POST", "PUT"}:
            lines.append(("Content-Length", "0"))
        head = request_head(method, path, lines)
        try:
            if body is None or isinstance(body, bytes):
                self._socket.sendall(head + (body or b""))
                return
            self._socket.sendall(head)
            if isinstance(body, FileBody):
                self._send_file(body)
            else:
                self._send_chunks(body)
        except (BrokenPipeError, ConnectionResetError):
            return

    def _send_file(self, body: FileBody) -> None:
        position, end = body.offset, body.offset + body.size
        while position < end:
            sent = os.sendfile(self._socket.fileno(), body.fd, position, min(end - position, _SEND_FILE))
            if not sent:
                raise Unavailable("the file became shorter while it was sent")
            position += sent

    def _send_chunks(self, chunks: "Iterable[bytes]") -> None:
        for chunk in chunks:
            if chunk:
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        self._socket.sendall(b"0\r\n\r\n")

    def receive(self, method: str) -> "Response":
        """The response to the request that was sent.

        Raises:
            Unavailable: the engine closed the connection, or does not talk HTTP.
        """
        while True:
            head = self._read_head()
            if head.status >= 200 or head.status == 101:
                return Response(self, head, body_length(method, head))

    def _read_head(self) -> Head:
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
                return parse_head(head)
            if len(self._buffer) > MAX_HEAD:
                raise not_http("endless header")
            data = self._receive()
            if not data:
                raise (self._why and self._why()) or NoAnswer(
                    "the engine closed the connection without an answer", hint="see engine.log in the run directory"
                )
            self._buffer += data

    def read_some(self) -> bytes:
        """The bytes that come next, at least one; empty at the end of the stream."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        return self._receive()

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_READ)
        except ConnectionResetError:
            return b""

    def unread(self, data: bytes) -> None:
        """Give back bytes that belong to the next response."""
        self._buffer = data + self._buffer

    def hijack(self) -> "Stream":
        """Take the socket over as a raw stream, after a 101 (or, from old daemons, a 200 without length)."""
        from kist.client.pump import Stream  # noqa: PLC0415 - only attached verbs need it

        self.reusable = False
        return Stream(self._socket, self._buffer)


class Response:
    """A response whose body is still to be read."""

    __slots__ = ("_connection", "_done", "_length", "headers", "reason", "status")

    def __init__(self, connection: Connection, head: Head, length: "int | None") -> None:
        self._connection = connection
        self._length = length
        self.status = head.status
        self.reason = head.reason
        self.headers = head.headers
        self._done: Callable[[Connection], None] | None = None
        if length == 0:
            self._finish()

    def when_done(self, done: "Callable[[Connection], None]") -> None:
        """Have ``done`` called with the connection as soon as the body is read; not after an upgrade (101)."""
        self._done = done
        if self._length == 0:
            self._finish()

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self)

    def __iter__(self) -> "Iterator[bytes]":
        """The body, in pieces as they arrive.

        Raises:
            Unavailable: the connection ended in the middle of it.
        """
        try:
            if self._length == -1:
                yield from self._chunked()
            elif self._length is None:
                yield from self._until_close()
            else:
                yield from self._counted(self._length)
        finally:
            self.close()

    def _finish(self) -> None:
        self._length = 0
        if self.status == 101:
            return
        self._connection.reusable = self.headers.get("connection", "").lower() != "close"
        if self._done:
            self._done(self._connection)

    def _counted(self, left: int) -> "Iterator[bytes]":
        while left:
            data = self._connection.read_some()
            if not data:
                raise _cut_short()
            if len(data) > left:
                self._connection.unread(data[left:])
                data = data[:left]
            left -= len(data)
            if not left:
                self._finish()
            yield data

    def _chunked(self) -> "Iterator[bytes]":
        dechunker = Dechunker()
        while data := self._connection.read_some():
            payload = dechunker.feed(data)
            if payload:
                yield payload
            if dechunker.done:
                self._connection.unread(dechunker.rest)
                self._finish()
                return
        raise _cut_short()

    def _until_close(self) -> "Iterator[bytes]":
        while data := self._connection.read_some():
            yield data
        self._length = 0
        self._connection.close()

    def close(self) -> None:
        """Close the connection when the body was not read to its end."""
        if self._length != 0:
            self._connection.close()

    def hijack(self) -> "Stream":
        """The connection as a raw stream."""
        return self._connection.hijack()


def _cut_short() -> Unavailable:
    hint = "run it again, which starts an engine; engine.log in the run directory may say why this one ended"
    return Unavailable("the engine's answer was cut short", hint=hint)
