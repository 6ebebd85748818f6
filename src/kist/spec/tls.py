"""One end of a TLS connection, without I/O: bytes of the network in and out, bytes of the stream in and out.

Sockets that speak TLS by themselves cannot end one direction and go on with the other, which attached streams need; the
protocol can (RFC 8446, section 6.1: ``close_notify`` ends the sender's direction alone).
"""

import ssl
from typing import Any

_MOST = 1 << 16
_CUT_IS_END = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # OpenSSL before 3 has none


class CutOff(ConnectionError):
    """The network's bytes ended before the stream did."""


class TlsEnd:
    """One end.

    Args:
        context: certificates, and what is asked of the other end's. It is changed: Python's own take the network's end
            for the stream's.
        server: whether this end is the server.
        name: what the server is to be called; the client's end only.
    """

    def __init__(self, context: ssl.SSLContext, *, server: bool, name: str = "") -> None:
        context.options &= ~_CUT_IS_END
        self._arriving, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._end = context.wrap_bio(self._arriving, self._leaving, server_side=server, server_hostname=name or None)
        self._said_end = False
        self._read_before: list[bytes] = []

    def arrived(self, data: bytes) -> None:
        """Bytes of the network; empty at their end."""
        if data:
            self._arriving.write(data)
        else:
            self._arriving.write_eof()

    def leaving(self) -> bytes:
        """Bytes for the network, all there are; empty where there are none."""
        return self._leaving.read()

    def shake(self) -> bool:
        """Go on with the handshake; whether it is done.

        Raises:
            ssl.SSLError: the other end, or its certificate, is not what it has to be; ``leaving`` tells it so.
            CutOff: it went away.
        """
        try:
            self._end.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            if _is_cut(error) or isinstance(error, ssl.SSLZeroReturnError):
                raise CutOff("the other end went away during the handshake") from error
            raise
        return True

    def read(self) -> bytes | None:
        """What the other end has sent: empty at the end of its direction, None when there is nothing yet.

        Raises:
            CutOff: the network's bytes have ended without that end.
            ssl.SSLError: the other end has refused this one (a certificate, say), or what it sends is no TLS.
        """
        return self._read_before.pop(0) if self._read_before else self._read()

    def _read(self) -> bytes | None:
        try:
            return self._end.read(_MOST)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            if _is_cut(error):
                raise CutOff("the other end went away") from error
            raise

    def write(self, data: bytes) -> None:
        """Send; what that is on the network is ``leaving``."""
        view = memoryview(data)
        while view:
            view = view[self._end.write(view) :]

    def say_end(self) -> None:
        """End this end's direction; the other one goes on."""
        if self._said_end:
            return
        self._said_end = True
        # OpenSSL takes unread data for a fault when a direction ends (SSL_shutdown(3)), so there is to be none.
        while self._read_before[-1:] != [b""] and (data := self._read()) is not None:
            self._read_before.append(data)
        try:
            self._end.unwrap()
        except ssl.SSLError:
            return  # the other end's direction goes on, which is what unwrap() complains about

    def subject(self) -> str:
        """Whom the other end's certificate is for: ``commonName=ada, organizationName=lab``; empty without one."""
        found: dict[str, Any] = self._end.getpeercert() or {}
        return ", ".join(f"{name}={value}" for part in found.get("subject", ()) for name, value in part)


def _is_cut(error: ssl.SSLError) -> bool:
    return isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING"  # before Python 3.11.4
