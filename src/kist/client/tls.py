"""Connections to an engine on TCP: plain, or with TLS, which a thread puts between the network and a pair of sockets.

The rest of the client has the pair's other end, and so half-close, ``poll`` and ``sendfile``
(docs/decisions/0031-tls-between-two-sockets.md).
"""

import _thread
import contextlib
import select
import socket
import ssl

from kist.client.endpoint import Endpoint, Tls
from kist.client.transport import Connection
from kist.errors import Forbidden, InvalidInput, Unavailable
from kist.spec.hosts import PLAIN_PORT, TLS_PORT, parse_tcp
from kist.spec.tls import TlsEnd

_SECONDS = 30
_CHUNK = 1 << 16
_IN, _OUT = select.POLLIN, select.POLLOUT
_GONE = select.POLLHUP | select.POLLERR


def connect(endpoint: Endpoint) -> Connection:
    """A connection to ``tcp://ADDRESS[:PORT]``.

    Raises:
        Unavailable: nobody answers there.
        Forbidden: the engine's certificate is not what it has to be, or it wants another one of this client.
        InvalidInput: the address is none, or a certificate cannot be read.
    """
    tls = endpoint.tls
    address, port = parse_tcp(endpoint.host, TLS_PORT if tls else PLAIN_PORT)
    context = context_of(tls) if tls else None
    try:
        network = socket.create_connection((address, port), _SECONDS)
    except OSError as error:
        raise Unavailable(
            f"cannot connect to the engine at {endpoint.host}: {error.strerror or error}",
            hint="is it running, and does it listen there?",
        ) from None
    network.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    network.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if context is None:
        network.settimeout(None)
        return Connection(connected=network.detach(), why=lambda: _silent(endpoint.host))
    try:
        end = TlsEnd(context, server=False, name=address)
        _shake(network, end)
    except (ssl.SSLError, OSError) as error:
        network.close()
        raise refused(endpoint.host, error) from None
    ours, theirs = socket.socketpair()
    relay = Relay(network, theirs, end, endpoint.host)
    _thread.start_new_thread(relay.run, ())
    return Connection(connected=ours.detach(), why=relay.why)


def _silent(host: str) -> Unavailable:
    hint = "does it want TLS there? --tlsverify, or DOCKER_TLS_VERIFY=1, and `kist context create` for good"
    return Unavailable(f"{host} closed the connection without an answer", hint=hint)


def refused(host: str, error: Exception) -> "Forbidden | Unavailable":
    """The error for what went wrong with TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Forbidden(
            f"the certificate of the engine at {host} is not to be trusted: {error.verify_message or error.reason}",
            hint="--tlscacert names who has signed it; its names must have the address that you call it by",
        )
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return Forbidden(
            f"the engine at {host} wants another certificate: {_said(error)}",
            hint="--tlscert and --tlskey, or cert.pem and key.pem in $DOCKER_CERT_PATH, name yours",
        )
    hint = "does it speak TLS there? --tls=false, and no DOCKER_TLS_VERIFY, for one that does not"
    return Unavailable(f"no TLS with the engine at {host}: {_said(error)}", hint=hint)


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return (isinstance(error, OSError) and error.strerror) or str(error)


def context_of(tls: Tls) -> ssl.SSLContext:
    """What a client shows and asks for.

    Raises:
        InvalidInput: a file cannot be read, or is not what it has to be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if tls.verify:
            context.load_verify_locations(tls.ca) if tls.ca else context.load_default_certs()
        if tls.cert or tls.key:
            context.load_cert_chain(tls.cert, tls.key or None)
    except OSError as error:
        files = ", ".join(path for path in (tls.ca, tls.cert, tls.key) if path)
        raise InvalidInput(f"TLS cannot be set up with {files}: {_said(error)}") from None
    return context


def _shake(network: socket.socket, end: TlsEnd) -> None:
    while not end.shake():
        network.sendall(end.leaving())
        end.arrived(network.recv(_CHUNK))
    network.sendall(end.leaving())
    network.settimeout(None)


class Relay:
    """Moves the bytes of one connection, in a thread of its own, until it has ended.

    Args:
        network: after the handshake; this closes it.
        inner: one end of a pair, likewise.
        end: the TLS.
        host: whose it is, for errors.
    """

    def __init__(self, network: socket.socket, inner: socket.socket, end: TlsEnd, host: str) -> None:
        self._network = network
        self._inner = inner
        self._end = end
        self._host = host
        self._outgoing = memoryview(b"")
        self._incoming = memoryview(b"")
        self._more_out = self._more_in = True
        self._poll = select.poll()
        self._fault: Exception | None = None

    def why(self) -> "Forbidden | Unavailable | None":
        """Why there was no answer, if that is known."""
        return refused(self._host, self._fault) if self._fault else None

    def run(self) -> None:
        """Carry both directions."""
        try:
            for each in (self._network, self._inner):
                each.setblocking(False)
            self._decrypt()
            while self._more_in or self._incoming:
                self._step()
        except OSError as error:  # ssl.SSLError is one
            self._fault = error if isinstance(error, ssl.SSLError) else None
        finally:
            self._network.close()
            self._inner.close()

    def _step(self) -> None:
        """Wait for what can be done, and do it."""
        self._want(self._network, (0 if self._incoming else _IN) | (_OUT if self._outgoing else 0))
        delivering = _OUT if self._incoming else 0
        if self._more_out:
            self._want(self._inner, (0 if self._outgoing else _IN) | delivering)
        else:
            self._poll.register(self._inner, delivering)  # also that nobody is there any more, which poll tells unasked
        for descriptor, mask in self._poll.poll():
            if descriptor == self._network.fileno():
                self._on_network(mask)
            else:
                self._on_inner(mask)

    def _want(self, end: socket.socket, mask: int) -> None:
        """Poll for this; one that is wanted for nothing is left out: poll would tell again and again of its end."""
        if mask:
            self._poll.register(end, mask)
        else:
            with contextlib.suppress(KeyError):
                self._poll.unregister(end)

    def _on_network(self, mask: int) -> None:
        if mask & _OUT and self._outgoing:
            self._outgoing = self._outgoing[_send(self._network, self._outgoing) :]
            self._encrypted()
        if mask & (_IN | _GONE) and not self._incoming and (data := _receive(self._network)) is not None:
            self._end.arrived(data)
            self._decrypt()

    def _on_inner(self, mask: int) -> None:
        if not self._more_out and mask & _GONE:
            self._incoming, self._more_in = memoryview(b""), False
        if self._incoming and mask & (_OUT | _GONE):
            self._incoming = self._incoming[_send(self._inner, self._incoming) :]
            self._decrypt()
        if self._more_out and not self._outgoing and mask & (_IN | _GONE):
            data = _receive(self._inner)
            if data:
                self._end.write(data)
            elif data == b"":
                self._more_out = False
                self._end.say_end()
            self._encrypted()

    def _encrypted(self) -> None:
        if not self._outgoing:
            self._outgoing = memoryview(self._end.leaving())

    def _decrypt(self) -> None:
        """Have the next plain bytes, or end that direction."""
        if self._incoming or not self._more_in:
            return
        plain = self._end.read()
        self._encrypted()
        if plain:
            self._incoming = memoryview(plain)
        elif plain == b"":
            self._more_in = False


def _send(end: socket.socket, data: memoryview) -> int:
    try:
        return end.send(data)
    except BlockingIOError:
        return 0


def _receive(end: socket.socket) -> bytes | None:
    try:
        return end.recv(_CHUNK)
    except BlockingIOError:
        return None
