"""The streams that a monitor sends, taken apart, and fed (``kist.spec.docker.frames`` describes the format)."""

import socket
import threading
from collections.abc import Iterator

from kist.spec.docker.frames import FrameReader

_CHUNK = 1 << 16


def read_frames(connection: socket.socket, *, quiet_after: float | None = None) -> Iterator[tuple[str, bytes]]:
    """The frames of a stream until its end; a part of a frame at the end of a broken stream is left out.

    With ``quiet_after``, an empty frame whenever so many seconds have passed without one.
    """
    reader = FrameReader()
    connection.settimeout(quiet_after)
    while True:
        try:
            data = connection.recv(_CHUNK)
        except TimeoutError:
            yield "stdout", b""
            continue
        if not data:
            return
        yield from reader.feed(data)


def communicate(connection: socket.socket, stdin: bytes, *, raw: bool = False) -> tuple[bytes, bytes]:
    """Feed standard input from a thread of its own, and collect the output until its end."""

    def feed() -> None:
        try:
            connection.sendall(stdin)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the command has ended without reading all of it

    feeder = threading.Thread(target=feed, name="kist-stdin")
    feeder.start()
    printed = {"stdout": bytearray(), "stderr": bytearray()}
    if raw:
        while data := connection.recv(1 << 16):
            printed["stdout"] += data
    else:
        for stream, data in read_frames(connection):
            printed[stream] += data
    feeder.join()
    return bytes(printed["stdout"]), bytes(printed["stderr"])
