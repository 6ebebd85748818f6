"""Docker's multiplexed stream: frames of stdout and stderr (Engine API, "Attach to a container", stream format)."""

STDOUT = 1
STDERR = 2
END = 4
"""Kist's own: the exit code of what has ended, in decimal digits."""
_HEADER = 8
_SYSTEM_ERROR = 3


class Demultiplexer:
    """Takes the stream apart. Bytes go in as they arrive; payload comes out as early as it can."""

    __slots__ = ("_end", "_head", "_left", "_stream")

    def __init__(self) -> None:
        self._head = b""
        self._stream = STDOUT
        self._left = 0
        self._end = b""

    @property
    def exit_code(self) -> "int | None":
        """What the stream has told at its end; None where it has told none, or not yet."""
        return int(self._end) if self._end and not self._left else None

    def feed(self, data: bytes) -> "list[tuple[int, bytes]]":
        """The payload in ``data`` as ``(stream, bytes)``, in order, neighbours of one stream joined.

        The daemon's own errors (stream 3) count as stderr, standard input (stream 0) as stdout.
        """
        if self._head:
            data, self._head = self._head + data, b""
        position, end = 0, len(data)
        runs: list[tuple[int, list[bytes]]] = []
        while position < end:
            if not self._left:
                if end - position < _HEADER:
                    self._head = data[position:]
                    break
                kind = data[position]
                self._stream = END if kind == END else STDERR if kind in {STDERR, _SYSTEM_ERROR} else STDOUT
                self._left = int.from_bytes(data[position + 4 : position + 8], "big")
                position += _HEADER
            piece = data[position : position + self._left]
            if piece:
                position += len(piece)
                self._left -= len(piece)
                if self._stream == END:
                    self._end += piece
                elif runs and runs[-1][0] == self._stream:
                    runs[-1][1].append(piece)
                else:
                    runs.append((self._stream, [piece]))
        return [(stream, b"".join(pieces)) for stream, pieces in runs]


def frame(stream: int, data: bytes) -> bytes:
    """One frame, as the engine sends it."""
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data
