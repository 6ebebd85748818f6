"""The streams that a monitor sends, taken apart (``kist.spec.docker.frames`` describes the format)."""

import socket
from collections.abc import Iterator

from kist.spec.docker.frames import FrameReader

_CHUNK = 1 << 16


def read_frames(connection: socket.socket) -> Iterator[tuple[str, bytes]]:
    """The frames of a stream until its end; a part of a frame at the end of a broken stream is left out."""
    reader = FrameReader()
    while data := connection.recv(_CHUNK):
        yield from reader.feed(data)
