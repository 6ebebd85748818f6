"""Published ports, carried in user space by the container's monitor: they need no engine, and work on loopback too.

Imported only by the monitors of containers that publish something. Memory is bounded: what one side has sent and the
other has not taken is held once for each direction, and then the sender waits.
"""

from __future__ import annotations

import errno
import os

from kist.kernel import lean
from kist.kernel.lean import socket
from kist.runtime import loop as events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_CHUNK = 1 << 18
_DATAGRAM = 1 << 16
_BACKLOG = 1024
# Clients of a udp port that are remembered, the one that was quiet longest is forgotten first.
_MOST_PEERS = 512
_ANYWHERE = ("0.0.0.0", "::")
_USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Ports:
    """All published ports of one container.

    Attributes:
        published: ``{"port", "protocol", "host_ip", "host_port"}`` of each listening socket.
        taken: what was wanted, with the one port that was taken of those to choose from: for a successor.
    """

    def __init__(self, loop: events.Loop) -> None:
        self._loop = loop
        self._carriers: list[_Tcp | _Udp] = []
        self.published: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []

    def close(self) -> None:
        """Stop listening, and end what is carried."""
        for carrier in self._carriers:
            carrier.close()
        self._carriers = []

    def publish(self, wanted: dict[str, Any]) -> None:
        """Publish a port.

        Args:
            wanted: ``port``, ``protocol`` and ``address`` of the container; ``host_ip``, where to listen (empty for
                everywhere); ``host_ports``, of which the first that is free is taken (``[0]``: the kernel's choice).

        Raises:
            OSError: none can be had; ``filename`` is ``ADDRESS:PORT``.
        """
        sockets, number = _listen(wanted)
        self.taken.append(wanted | {"host_ports": [number]})
        target = (wanted["address"], wanted["port"])
        for listening in sockets:
            carry = _Tcp if wanted["protocol"] == "tcp" else _Udp
            self._carriers.append(carry(self._loop, listening, target))
            told = {key: wanted[key] for key in ("port", "protocol")}
            self.published.append(told | {"host_ip": listening.getsockname()[0], "host_port": number})


def _listen(wanted: dict[str, Any]) -> tuple[list[socket.socket], int]:
    """Sockets on the first of the ports that is free on every address, and that port."""
    addresses = [wanted["host_ip"]] if wanted["host_ip"] else list(_ANYWHERE)
    failure: OSError | None = None
    for number in wanted["host_ports"]:
        try:
            return _listen_on(addresses, number, wanted["protocol"])
        except OSError as error:
            failure = error
    assert failure is not None
    ports = wanted["host_ports"]
    shown = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
    raise OSError(failure.errno, failure.strerror, f"{addresses[0]}:{shown}") from failure


def _listen_on(addresses: list[str], number: int, protocol: str) -> tuple[list[socket.socket], int]:
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                listening = _bound(address, number, protocol)
            except OSError as error:
                if address == "::" and sockets and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                    continue  # a machine without IPv6
                raise
            sockets.append(listening)
            number = listening.getsockname()[1]
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets, number


def _bound(address: str, number: int, protocol: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    made = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, number))
        if protocol == "tcp":
            made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


class _Tcp:
    """One listening socket and the connections that came through it."""

    def __init__(self, loop: events.Loop, listening: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listening = listening
        self._target = target
        self._pairs: set[_Pair] = set()
        # Given up for a moment to turn a connection away when there are no descriptors left: one that is not accepted
        # would be reported again and again.
        self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._loop.watch(listening.fileno(), events.READ, lambda _: self._accept())

    def close(self) -> None:
        self._loop.forget(self._listening.fileno())
        self._listening.close()
        os.close(self._spare)
        for pair in tuple(self._pairs):
            pair.close()

    def _accept(self) -> None:
        try:
            client = lean.accept(self._listening)
        except OSError as error:
            if error.errno in _USED_UP:
                self._turn_away()
            return
        try:
            server = socket.socket(_family(self._target), socket.SOCK_STREAM)
        except OSError:
            client.close()
            return
        self._pairs.add(_Pair(self._loop, client, server, self._target, self._pairs.discard))

    def _turn_away(self) -> None:
        os.close(self._spare)
        try:
            lean.accept(self._listening).close()
        except OSError:
            pass  # it has gone, or another process was faster with the descriptor: it is reported again
        finally:
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


class _Side:
    """One end of a pair: its socket, what it is still to get, and whether it has said all."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.fd = connection.fileno()
        self.pending = b""
        self.ended = False


class _Pair:
    """A client's connection and the one to the container; each direction ends on its own."""

    def __init__(
        self,
        loop: events.Loop,
        client: socket.socket,
        server: socket.socket,
        target: tuple[str, int],
        on_end: Callable[[_Pair], None],
    ) -> None:
        self._loop = loop
        self._on_end = on_end
        self._client, self._server = _Side(client), _Side(server)
        for side in (self._client, self._server):
            side.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open = True
        try:
            self._server.connection.connect(target)
        except BlockingIOError:
            self._loop.watch(self._server.fd, events.WRITE, lambda _: self._connected())
            return
        except OSError:
            self._loop.watch(self._server.fd, events.WRITE, lambda _: self.close())
            return
        self._watch()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        for side in (self._client, self._server):
            self._loop.forget(side.fd)
            side.connection.close()
        self._on_end(self)

    def _connected(self) -> None:
        if self._server.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close()
        else:
            self._watch()

    def _watch(self) -> None:
        for side, other in ((self._client, self._server), (self._server, self._client)):
            wanted = 0 if side.ended or other.pending else events.READ
            if side.pending:
                wanted |= events.WRITE
            if wanted or not side.ended:
                self._loop.watch(side.fd, wanted, self._watcher(side, other))
            else:
                self._loop.forget(side.fd)

    def _watcher(self, side: _Side, other: _Side) -> Callable[[int], None]:
        def ready(event: int) -> None:
            if event & events.CLOSED and other.pending:
                # It has gone; what it had sent is still on its way. Its end is read when that has been taken.
                self._loop.forget(side.fd)
                return
            try:
                if event & events.WRITE and side.pending:
                    self._flush(side)
                if event & (events.READ | events.CLOSED) and not other.pending:
                    self._read(side, other)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if self._client.ended and self._server.ended and not (self._client.pending or self._server.pending):
                self.close()
            elif self._open:
                self._watch()

        return ready

    def _read(self, side: _Side, other: _Side) -> None:
        data = side.connection.recv(_CHUNK)
        if data:
            other.pending = data
            self._flush(other)
        else:
            side.ended = True
            other.connection.shutdown(socket.SHUT_WR)

    def _flush(self, side: _Side) -> None:
        try:
            sent = side.connection.send(side.pending)
        except BlockingIOError:
            return
        side.pending = side.pending[sent:]


class _Udp:
    """One bound socket; every client has a socket of its own to the container, so that answers find their way."""

    def __init__(self, loop: events.Loop, listening: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listening = listening
        self._target = target
        self._peers: dict[Any, socket.socket] = {}
        self._loop.watch(listening.fileno(), events.READ, lambda _: self._receive())

    def close(self) -> None:
        self._loop.forget(self._listening.fileno())
        self._listening.close()
        for peer in tuple(self._peers):
            self._forget(peer)

    def _receive(self) -> None:
        try:
            data, peer = self._listening.recvfrom(_DATAGRAM)
            connection = self._peers.pop(peer, None) or self._connect(peer)
            self._peers[peer] = connection  # the newest is the last
            connection.send(data)
        except OSError:
            return  # a datagram may be lost; so it is with any network

    def _connect(self, peer: Any) -> socket.socket:
        while len(self._peers) >= _MOST_PEERS:
            self._forget(next(iter(self._peers)))
        made = socket.socket(_family(self._target), socket.SOCK_DGRAM)
        made.setblocking(False)
        made.connect(self._target)
        self._loop.watch(made.fileno(), events.READ, lambda _: self._answer(made, peer))
        return made

    def _answer(self, connection: socket.socket, peer: Any) -> None:
        try:
            self._listening.sendto(connection.recv(_DATAGRAM), peer)
        except OSError:
            return  # nobody listens in the container, or the client's side is full

    def _forget(self, peer: Any) -> None:
        connection = self._peers.pop(peer)
        self._loop.forget(connection.fileno())
        connection.close()


def _family(target: tuple[str, int]) -> int:
    return socket.AF_INET6 if ":" in target[0] else socket.AF_INET
