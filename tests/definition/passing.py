"""HTTP/1.1 as it passes by (RFC 9112): the bytes of a connection's two directions, and the exchanges that they are.

Only as much as is needed to tell one message from the next; what is no HTTP, or no longer HTTP, is not looked at.
"""

from collections.abc import Iterator

from definition.exchange import Exchange

_END = b"\r\n\r\n"
_LONGEST = 4 << 20
"""Bytes of a body that are kept; a longer one is judged without it."""
_UNTIL_CLOSE = -1


class _Message:
    """A head, and its body as it comes."""

    def __init__(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.words = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.is_noted = False
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def is_chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int:
        """Of the body, where it is told."""
        return int(self.headers.get("content-length", _UNTIL_CLOSE))

    def keep(self, data: bytes) -> None:
        """Note a part of the body."""
        self._size += len(data)
        if self._size <= _LONGEST:
            self._parts.append(data)

    @property
    def body(self) -> bytes | None:
        return b"".join(self._parts) if self._size <= _LONGEST else None


class _Direction:
    """The bytes that went one way and have not been understood yet."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._message: _Message | None = None
        self._due = 0
        self.is_http = True

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        if self.is_http:
            self._held += data

    def head(self) -> _Message | None:
        """The next message's head, when it is there."""
        if self._message is None and (end := self._held.find(_END)) >= 0:
            self._message = _Message(bytes(self._held[:end]))
            del self._held[: end + len(_END)]
            self._due = 0 if self._message.is_chunked else self._message.length
        return self._message

    def finish(self, *, bodyless: bool) -> bool:
        """Take the body of the message whose head has come; whether it has ended."""
        message = self._message
        assert message is not None
        if not bodyless and message.is_chunked:
            if not self._take_chunks(message):
                return False
        elif not bodyless and message.length != _UNTIL_CLOSE:
            self._due -= self._take(message, self._due)
            if self._due:
                return False
        self._message = None
        return True

    def _take(self, message: _Message, size: int) -> int:
        part = bytes(self._held[:size])
        del self._held[: len(part)]
        message.keep(part)
        return len(part)

    def _take_chunks(self, message: _Message) -> bool:
        while True:
            line = self._held.find(b"\r\n")
            if line < 0:
                return False
            size = int(self._held[:line].partition(b";")[0], 16)
            if len(self._held) < line + 2 + size + 2:
                return False
            del self._held[: line + 2]
            self._take(message, size)
            del self._held[:2]
            if not size:
                return True

    def stop(self) -> None:
        """From now on it is no HTTP."""
        self.is_http = False
        self._held.clear()


class Passing:
    """One connection."""

    def __init__(self) -> None:
        self._asked, self._told = _Direction(), _Direction()
        self._requests: list[_Message] = []

    def ask(self, data: bytes) -> None:
        """Bytes of the client's."""
        self._asked.feed(data)
        try:
            while self._asked.is_http and (request := self._asked.head()):
                if not request.is_noted:
                    request.is_noted = True
                    self._requests.append(request)
                bodyless = not request.is_chunked and request.length == _UNTIL_CLOSE
                if not self._asked.finish(bodyless=bodyless):
                    return
        except ValueError:  # it is for the engine to say what is wrong with it
            self._asked.stop()

    def tell(self, data: bytes) -> Iterator[Exchange]:
        """Bytes of the engine's; the exchanges that are whole with them."""
        self._told.feed(data)
        while self._told.is_http and self._requests and (answer := self._told.head()):
            request, status = self._requests[0], int(answer.words[1])
            bodyless = request.words[0] == "HEAD" or status in {100, 204, 304}
            endless = answer.length == _UNTIL_CLOSE and not answer.is_chunked and not bodyless
            if status == 101 or endless:
                self._asked.stop()
                self._told.stop()
                yield _exchange(request, answer, None)
                return
            if not self._told.finish(bodyless=bodyless):
                return
            if status != 100:
                yield _exchange(self._requests.pop(0), answer, answer.body)


def _exchange(request: _Message, answer: _Message, body: bytes | None) -> Exchange:
    method, target = request.words[:2]
    return Exchange(method, target, request.headers.get("accept", ""), int(answer.words[1]), answer.headers, body)
