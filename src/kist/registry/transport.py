"""Connections to registries, and single requests over them: HTTP/1.1, TLS, proxies. All of it ends on ``interrupt``."""

import base64
import glob
import http.client
import os
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from kist.errors import Unavailable
from kist.registry.failures import ProxyFailed
from kist.registry.hosts import Origin, is_loopback
from kist.registry.nested import NestedTls

_CONNECT_SECONDS = 30.0
_SECONDS = 120.0  # a registry may have to move what it was sent before it answers
_MOST_IDLE = 8
_LARGEST_ERROR = 64 << 10
_MOST_DIGITS = 20  # of 64 bits


class Body(NamedTuple):
    """What is sent: so many bytes, in pieces."""

    size: int
    pieces: Iterable[bytes]


NO_BODY = Body(0, ())


class _Response(http.client.HTTPResponse):
    """One whose chunks have sizes (RFC 9112, 7.1): Python takes ``-1`` for one, and reads all that comes then."""

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise ValueError("the size of a chunk is negative")  # as where it is no number
        return size


class _Connection(http.client.HTTPConnection):
    response_class = _Response
    auto_open = 0  # it would connect again without the proxy and without TLS


class _Line:
    """A connection. ``ear`` is a second descriptor of its socket, ours alone, by which another thread ends it."""

    def __init__(self, connection: http.client.HTTPConnection, ear: socket.socket, origin: Origin) -> None:
        self.connection = connection
        self.ear = ear
        self.origin = origin
        self.used = False


class Answer:
    """A response; a context manager. Its connection serves the next request where its body was read to the end."""

    def __init__(self, transport: "Transport", line: _Line, response: http.client.HTTPResponse) -> None:
        self._transport = transport
        self._line = line
        self._response = response
        self.status = response.status
        self.headers = response.headers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes, empty at the end.

        Raises:
            OSError, http.client.HTTPException: the connection broke; ``IncompleteRead`` where it ended too early.
        """
        data = self._response.read(size)
        if not data and size and self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)
        return data

    def beginning(self) -> bytes:
        """The body of an error, as far as anybody wants to know it; empty where it cannot be read."""
        try:
            return self._response.read(_LARGEST_ERROR)
        except (OSError, http.client.HTTPException):
            return b""

    def close(self) -> None:
        """Give the connection back. Harmless when done twice."""
        whole = self._response.isclosed() or self._response.length == 0  # of HEAD, say
        self._response.close()
        self._transport.done(self._line, reusable=whole and not self._response.will_close)


class Transport:
    """Makes requests; a context manager. Safe from many threads.

    Args:
        verify: whether a server's certificate has to be one that can be trusted.
        certificates: directories that may have ``HOST[:PORT]/*.crt`` (authorities), ``*.cert`` and ``*.key`` (ours), as
            Docker's ``/etc/docker/certs.d``.
    """

    def __init__(self, *, verify: bool = True, certificates: Sequence[str] = ()) -> None:
        self._verify = verify
        self._certificates = certificates
        self._lock = threading.Lock()
        self._ears: set[socket.socket] = set()
        self._idle: list[_Line] = []
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.interrupted = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def interrupt(self) -> None:
        """End all requests, from any thread; those that wait fail, and later ones do not begin."""
        with self._lock:
            self.interrupted.set()
            for ear in self._ears:
                with suppress(OSError):
                    ear.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Go on, or raise ``Unavailable`` where it was interrupted."""
        if self.interrupted.is_set():
            raise Unavailable("cancelled")

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            self._drop(line)

    def request(self, method: str, url: str, headers: Mapping[str, str], body: Body = NO_BODY) -> Answer:
        """One request, and its answer whatever its status is. Redirects are the caller's to follow.

        Raises:
            Unavailable: it was interrupted.
            OSError, http.client.HTTPException: there is no answer.
        """
        origin = Origin.of(url)
        self.check()
        line = self._taken(origin) or self._opened(origin)
        if line.used and body is NO_BODY:
            # The server may have closed it meanwhile, which shows now: that says nothing about the request.
            try:
                return self._sent(line, method, url, headers, body)
            except (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError):
                self.check()
                line = self._opened(origin)
        return self._sent(line, method, url, headers, body)

    def done(self, line: _Line, *, reusable: bool) -> None:
        """Take a connection back from an answer."""
        with self._lock:
            if line.ear not in self._ears or line in self._idle:
                return
            if reusable and len(self._idle) < _MOST_IDLE and not self.interrupted.is_set():
                line.used = True
                self._idle.append(line)
                return
        self._drop(line)

    def _taken(self, origin: Origin) -> _Line | None:
        with self._lock:
            line = next((line for line in reversed(self._idle) if line.origin == origin), None)
            if line is not None:
                self._idle.remove(line)
            return line

    def _drop(self, line: _Line) -> None:
        line.connection.close()
        self._deafen(line.ear)

    def _deafen(self, ear: socket.socket) -> None:
        with self._lock:
            self._ears.discard(ear)
            ear.close()

    def _sent(self, line: _Line, method: str, url: str, headers: Mapping[str, str], body: Body) -> Answer:
        connection = line.connection
        try:
            self._write_head(line, method, url, headers, body)
            try:
                for piece in body.pieces:
                    self.check()
                    connection.send(piece)
            except (ConnectionError, ssl.SSLError) as error:
                # A server that wants no more says so, and closes: its word is the better reason.
                try:
                    response = connection.getresponse()
                except (OSError, http.client.HTTPException):
                    raise error from None
                return Answer(self, line, response)
            return Answer(self, line, connection.getresponse())
        except BaseException:
            self._drop(line)
            self.check()
            raise

    def _write_head(self, line: _Line, method: str, url: str, headers: Mapping[str, str], body: Body) -> None:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection, proxy = line.connection, _proxy_of(line.origin)
        plain_proxy = proxy if line.origin.scheme == "http" else ""
        # By a proxy, what is not encrypted is asked for by its whole address (RFC 9112, 3.2.2).
        connection.putrequest(method, f"{line.origin}{target}" if plain_proxy else target, skip_host=True,
                              skip_accept_encoding=True)  # fmt: skip
        connection.putheader("Host", line.origin.authority)
        for name, value in {**headers, **(_proxy_login(plain_proxy) if plain_proxy else {})}.items():
            connection.putheader(name, value)
        if body.size or method in {"POST", "PUT", "PATCH"}:
            connection.putheader("Content-Length", str(body.size))
        connection.endheaders()

    def _opened(self, origin: Origin) -> _Line:
        proxy = _proxy_of(origin)
        at = Origin.of(proxy) if proxy else origin
        context = self._context(origin.authority) if origin.scheme == "https" else None
        with _named(at) if proxy else nullcontext():
            reached, ear = self._connected(at.host, at.port)
        connection = _Connection(at.host, at.port, timeout=_SECONDS)
        connection.sock = reached
        line = _Line(connection, ear, origin)
        try:
            self.check()
            if proxy:
                with _named(at):
                    if at.scheme == "https":
                        reached = ssl.create_default_context().wrap_socket(reached, server_hostname=at.host)
                        connection.sock = reached
                    if context:
                        _tunnel(reached, origin, proxy)
            if context:
                connection.sock = _encrypted(reached, context, origin.host)
            connection.sock.settimeout(_SECONDS)
        except BaseException:
            self._drop(line)
            self.check()
            raise
        return line

    def _connected(self, host: str, port: int) -> tuple[socket.socket, socket.socket]:
        """A connection to a host's first address that answers, and its ear."""
        failure = OSError(f"no address of {host}")
        for family, kind, protocol, _, address in _addresses(host, port):
            self.check()
            made = socket.socket(family, kind, protocol)
            ear = made.dup()
            with self._lock:
                self._ears.add(ear)
            try:
                made.settimeout(_CONNECT_SECONDS)
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                failure = error
                made.close()
                self._deafen(ear)
                continue
            return made, ear
        self.check()
        raise failure

    def _context(self, authority: str) -> ssl.SSLContext:
        with self._lock:
            if authority not in self._contexts:
                self._contexts[authority] = self._new_context(authority)
            return self._contexts[authority]

    def _new_context(self, authority: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self._verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for directory in self._certificates:
            place = glob.escape(os.path.join(directory, authority))
            for path in sorted(glob.glob(f"{place}/*.crt")):
                with _usable(path, "a file of certificates, PEM, of authorities"):
                    context.load_verify_locations(path)
            for path in sorted(glob.glob(f"{place}/*.cert")):
                key = f"{path.removesuffix('.cert')}.key"
                with _usable(path, f"a client's certificate, PEM, and its key, which {key} has to be"):
                    context.load_cert_chain(path, key)
        return context


def number(text: str) -> int:
    """A count of bytes that a header tells; 0 where it is none, or larger than anything is."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else 0


@contextmanager
def _usable(path: str, wanted: str) -> Iterator[None]:
    """What is wrong with a file that is read in the block is told with its name."""
    try:
        yield
    except OSError as error:
        why = error.reason.replace("_", " ") if isinstance(error, ssl.SSLError) and error.reason else error.strerror
        raise Unavailable(f"{path} cannot be used: {(why or str(error)).lower()}", hint=f"it is {wanted}") from error


@contextmanager
def _named(proxy: Origin) -> Iterator[None]:
    """What goes wrong in the block is the proxy's fault, and not the registry's."""
    try:
        yield
    except ProxyFailed:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise ProxyFailed(proxy, error) from error


def _encrypted(line: socket.socket, context: ssl.SSLContext, name: str) -> Any:
    """A connection to a server, by TLS on a socket or inside of a proxy's."""
    if isinstance(line, ssl.SSLSocket):
        return NestedTls(line, context, name)
    return context.wrap_socket(line, server_hostname=name)


def _addresses(host: str, port: int) -> "list[tuple[Any, ...]]":
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError:  # a label that is longer than DNS has it
        raise socket.gaierror(socket.EAI_NONAME, "a part of it is too long") from None


def _proxy_of(origin: Origin) -> str:
    """The proxy that is to be used (``https_proxy``, ``no_proxy``), never for this machine itself; empty for none."""
    if is_loopback(origin.authority) or urllib.request.proxy_bypass(origin.host):
        return ""
    proxy = urllib.request.getproxies().get(origin.scheme, "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _proxy_login(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _tunnel(connection: socket.socket, origin: Origin, proxy: str) -> None:
    """Have a proxy connect us (RFC 9110, 9.3.6)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"Host: {host}:{origin.port}"]
    lines += [f"{name}: {value}" for name, value in _proxy_login(proxy).items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    with http.client.HTTPResponse(connection, method="CONNECT") as response:
        response.begin()
    if not 200 <= response.status < 300:
        raise ProxyFailed(Origin.of(proxy), f"{response.status} {response.reason}")
