"""TLS to a server inside of the TLS to a proxy: ``ssl`` wraps a descriptor, so it wraps no socket that it has made."""

import io
import ssl
from contextlib import suppress
from typing import Any, Literal

from kist.spec.tls import CutOff, TlsEnd

_MOST = 1 << 16


class NestedTls:
    """The part of a socket that ``http.client`` uses.

    Args:
        line: to the proxy, which has connected it to the server.
        context: how the server is known.
        name: the server's.

    Raises:
        OSError: the handshake failed; ``ssl.SSLError`` where the server, or its certificate, is not what it has to be.
    """

    def __init__(self, line: ssl.SSLSocket, context: ssl.SSLContext, name: str) -> None:
        self._line = line
        self._end = TlsEnd(context, server=False, name=name)
        self._readers = 0
        self._closed = False
        try:
            while not self._end.shake():
                line.sendall(self._end.leaving())
                self._end.arrived(line.recv(_MOST))
        except CutOff as error:
            # What it is of a server without a proxy.
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the server ends the connection") from error
        except ssl.SSLError:
            with suppress(OSError):  # it may be gone; the first error is the one to tell
                line.sendall(self._end.leaving())  # why it failed
            raise
        line.sendall(self._end.leaving())  # the last word of the handshake

    def sendall(self, data: Any) -> None:
        """Send all of these bytes."""
        self._end.write(bytes(data))
        self._line.sendall(self._end.leaving())

    def receive(self) -> bytes:
        """What comes next, empty at the end.

        Raises:
            OSError: it was cut off.
        """
        while (data := self._end.read()) is None:
            if answer := self._end.leaving():  # the protocol's own
                self._line.sendall(answer)
            self._end.arrived(self._line.recv(_MOST))
        return data

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        """A stream of what comes, which keeps the connection open until it is closed."""
        del mode
        self._readers += 1
        return io.BufferedReader(_Reader(self), _MOST)

    def settimeout(self, seconds: float | None) -> None:
        """How long to wait for the proxy."""
        self._line.settimeout(seconds)

    def close(self) -> None:
        """Close it, once nothing reads from it any more. Harmless when done twice."""
        self._closed = True
        if not self._readers:
            self._line.close()

    def forget_reader(self) -> None:
        """A stream was closed."""
        self._readers -= 1
        if self._closed:
            self.close()


class _Reader(io.RawIOBase):
    def __init__(self, connection: NestedTls) -> None:
        super().__init__()
        self._connection = connection
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what comes next, as far as there is room for it."""
        data = self._rest or self._connection.receive()
        count = min(len(data), len(buffer))
        buffer[:count], self._rest = data[:count], data[count:]
        return count

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            super().close()
            self._connection.forget_reader()
