"""A proxy of HTTP's that connects (CONNECT; RFC 9110, 9.3.6), and that alone knows where names lead."""

import base64
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

_LONGEST_HEAD = 64 << 10
_CHUNK = 1 << 16


class Proxy(socketserver.ThreadingTCPServer):
    """One on a port of this machine.

    Args:
        hosts: the address that each name leads to; all others are refused.
        login: ``NAME:PASSWORD`` without which nobody is served.
        tls: where it encrypts.

    Attributes:
        domain: ``127.0.0.1:PORT``.
        asked: the authority of each request, with the status that it was answered with.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, hosts: Mapping[str, str], login: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.hosts = hosts
        self.tls = tls
        self.wanted = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""
        self.asked: list[tuple[str, int]] = []
        self.domain = f"127.0.0.1:{self.server_address[1]}"


class _Connection(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        with suppress(OSError):
            line = self.server.tls.wrap_socket(self.request, server_side=True) if self.server.tls else self.request
            with line:
                self._serve(line)

    def _serve(self, line: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = line.recv(_CHUNK)
            head += data
            if not data or len(head) > _LONGEST_HEAD:
                return
        first, *fields = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, authority, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        host, _, port = authority.rpartition(":")
        if method != "CONNECT":
            status = "405 Method Not Allowed"
        elif self.server.wanted not in {"", headers.get("proxy-authorization")}:
            status = "407 Proxy Authentication Required"
        elif host not in self.server.hosts:
            status = "403 Forbidden"
        else:
            status = "200 Connection established"
        self.server.asked.append((authority, int(status[:3])))
        if not status.startswith("200"):
            line.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n".encode())
            return
        with socket.create_connection((self.server.hosts[host], int(port))) as far:
            line.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
            _carry(line, far)


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until either has ended."""
    while True:
        waiting = isinstance(one, ssl.SSLSocket) and one.pending()
        for source in [one] if waiting else select.select([one, other], [], [])[0]:
            data = source.recv(_CHUNK)
            if not data:
                return
            (other if source is one else one).sendall(data)


@contextmanager
def a_proxy(hosts: Mapping[str, str], login: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """One, for the time of the block."""
    with Proxy(hosts, login, tls) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
