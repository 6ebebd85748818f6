"""The multiplexed stream of attach, exec and logs (Engine API, ContainerAttach, "Stream format")."""

import struct
from collections.abc import Iterator

from kist.errors import Corrupt

RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"

STREAM_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
STREAM_NAMES = ("stdin", "stdout", "stderr")
_HEADER = struct.Struct(">BxxxL")


def frame(stream: str, data: bytes) -> bytes:
    """One frame: eight bytes of header and the data."""
    return _HEADER.pack(STREAM_NUMBERS[stream], len(data)) + data


class FrameReader:
    """Takes the stream apart again, fed with whatever pieces arrive."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The whole frames that ``data`` completes, as (stream name, payload).

        Raises:
            Corrupt: the header names no stream.
        """
        buffer, start = self._pending + data, 0
        while len(buffer) - start >= _HEADER.size:
            number, size = _HEADER.unpack_from(buffer, start)
            if number >= len(STREAM_NAMES):
                raise Corrupt(f"a multiplexed stream has no stream number {number}")
            end = start + _HEADER.size + size
            if end > len(buffer):
                break
            yield STREAM_NAMES[number], buffer[start + _HEADER.size : end]
            start = end
        self._pending = buffer[start:]
