"""Docker's multiplexed streams: eight bytes of head (stream number, three zeros, length), then that many bytes."""

import socket
import struct
from collections.abc import Iterator
from typing import Literal

_HEAD = struct.Struct(">BxxxL")
_NAMES: dict[int, Literal["stdout", "stderr"]] = {1: "stdout", 2: "stderr"}
_CHUNK = 1 << 16


def read_frames(connection: socket.socket) -> Iterator[tuple[Literal["stdout", "stderr"], bytes]]:
    """The frames of a stream until its end; a part of a frame at the end of a broken stream is left out."""
    buffer = bytearray()
    while data := connection.recv(_CHUNK):
        buffer += data
        start = 0
        while len(buffer) - start >= _HEAD.size:
            number, length = _HEAD.unpack_from(buffer, start)
            end = start + _HEAD.size + length
            if len(buffer) < end:
                break
            yield _NAMES.get(number, "stdout"), bytes(buffer[start + _HEAD.size : end])
            start = end
        del buffer[:start]


def frame(stream: str, data: bytes) -> bytes:
    """One frame."""
    return _HEAD.pack(2 if stream == "stderr" else 1, len(data)) + data
