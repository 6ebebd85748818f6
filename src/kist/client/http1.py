"""HTTP/1.1 messages as text and bytes, without I/O (RFC 9112): request heads out, response heads and bodies in."""

from kist.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_HEAD = 64 * 1024
_MAX_SIZE_LINE = 4096
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:")


class Head:
    """The status line and the headers of a response; header names in lower case, repeated ones joined by ``, ``."""

    __slots__ = ("headers", "reason", "status")

    def __init__(self, status: int, reason: str, headers: "dict[str, str]") -> None:
        self.status = status
        self.reason = reason
        self.headers = headers


def quote(text: str) -> str:
    """``text`` for a path or a query: UTF-8, everything but unreserved characters, ``/`` and ``:`` percent-encoded."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in data)


def target(path: str, query: "Iterable[tuple[str, str | int | None]]" = ()) -> str:
    """A request target: ``path`` (already quoted) and the query's pairs; those whose value is None are left out."""
    pairs = [f"{name}={quote(str(value))}" for name, value in query if value is not None]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def request_head(method: str, path: str, headers: "Iterable[tuple[str, str]]") -> bytes:
    """The bytes of a request up to and including the empty line.

    Raises:
        ValueError: a header or the path holds a line end (which would smuggle in another header).
    """
    lines = [f"{method} {path} HTTP/1.1", "Host: kist", *(f"{name}: {value}" for name, value in headers)]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("a request line or header contains a line end")
    return (text + "\r\n\r\n").encode("latin-1")


def parse_head(data: bytes) -> Head:
    """Read a response head, without the empty line after it.

    Raises:
        Unavailable: it is not HTTP/1.x.
    """
    lines = data.decode("latin-1").split("\r\n" if b"\r\n" in data else "\n")
    version, _, rest = lines[0].partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or len(code) != 3 or not code.isdigit():
        raise not_http(lines[0])
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise not_http(line)
        key = name.lower()
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
    return Head(int(code), reason.strip(), headers)


def not_http(line: str) -> Unavailable:
    """The error for a peer that talks something else."""
    return Unavailable(
        f"the engine's answer is not HTTP: {line[:80]!r}", hint="does the socket belong to an engine? Check DOCKER_HOST"
    )


def body_length(method: str, head: Head) -> "int | None":
    """Bytes of a response's body: -1 for chunked, None for "until the connection closes" (RFC 9112, section 6.3)."""
    if method == "HEAD" or head.status in {204, 304} or head.status < 200:
        return 0
    if head.headers.get("transfer-encoding", "").lower().endswith("chunked"):
        return -1
    length = head.headers.get("content-length")
    if length is None:
        return None
    if not length.isdigit():
        raise not_http(f"Content-Length: {length}")
    return int(length)


class Dechunker:
    """Undoes the chunked transfer coding (RFC 9112, section 7.1).

    ``done`` becomes true at the end of the last chunk and its trailer; ``rest`` then holds what came after it.
    """

    __slots__ = ("_in_trailer", "_left", "done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._left = -1  # payload bytes missing from the current chunk; -1 when a size line is next
        self._in_trailer = False

    def feed(self, data: bytes) -> bytes:
        """The payload in ``data``, which may end anywhere.

        Raises:
            Unavailable: the coding is broken.
        """
        data = self.rest + data
        out: list[bytes] = []
        position = 0
        while not self.done:
            if self._left > 0:
                piece = data[position : position + self._left]
                out.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
            end = data.find(b"\n", position)
            if end < 0:
                if len(data) - position > _MAX_SIZE_LINE:
                    raise not_http("endless chunk size")
                break
            self._line(data[position:end].rstrip(b"\r"))
            position = end + 1
        self.rest = data[position:]
        return out[0] if len(out) == 1 else b"".join(out)

    def _line(self, line: bytes) -> None:
        if self._in_trailer:
            self.done = not line
        elif self._left == 0:
            if line:
                raise not_http(f"chunk without end: {line!r}")
            self._left = -1
        else:
            self._left = _chunk_size(line)
            self._in_trailer = self._left == 0


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise not_http(f"chunk size {line!r}")
    return int(digits, 16)
