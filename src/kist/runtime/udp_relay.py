"""A published udp port: datagrams to one socket are carried to the container, and its answers back.

An answer leaves by the address that was asked (IP_PKTINFO, ip(7); IPV6_PKTINFO, RFC 3542), whichever others the host
has: who asked one address heeds nobody else's answer.
"""

from __future__ import annotations

import struct
import time

from kist.kernel.lean import socket
from kist.runtime import loop as events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Key = tuple[object, ...]

_AT_ONCE = 64
_MOST_PEERS = 1024
# Nanoseconds that a client may be quiet, and its container too: as long as docker-proxy waits.
_PATIENCE = 90_000_000_000
_buffer = memoryview(bytearray(1 << 16))

_IP_PKTINFO = 8  # linux/in.h; Python has no name for it
_PKTINFO = struct.Struct("i4s4s")  # device, our address, address in the datagram's header
_PKTINFO6 = struct.Struct("16si")  # address, device
_ROOM = 64  # for one of them, with its header


class _Peer:
    """A client: its socket to the container, and when it or the container last said something."""

    __slots__ = ("active", "connection")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.active = time.monotonic_ns()


class Peers:
    """The clients of all udp ports of a container; where they are too many, who was quiet longest is forgotten.

    Args:
        loop: the monitor's.
        most: how many there should be at most.
        patience: nanoseconds of silence after which one is forgotten.

    Attributes:
        most: how many there may be.
    """

    def __init__(self, loop: events.Loop, most: int = _MOST_PEERS, patience: int = _PATIENCE) -> None:
        self._loop = loop
        self.most = max(1, min(most, _MOST_PEERS))
        self._patience = patience
        # Who was quiet longest is the first.
        self._known: dict[Key, _Peer] = {}

    def get(self, key: Key) -> socket.socket | None:
        """The socket of a client that says something, or is answered; None where it is not known."""
        peer = self._known.pop(key, None)
        if peer is None:
            return None
        peer.active = time.monotonic_ns()
        self._known[key] = peer
        return peer.connection

    def add(self, key: Key, connection: socket.socket, answered: Callable[[int], None]) -> None:
        """Know another client, and call ``answered`` when its container says something."""
        while len(self._known) >= self.most:
            self.forget(next(iter(self._known)))
        self._loop.watch(connection.fileno(), events.READ, answered, on_error=lambda: self.forget(key))
        self._known[key] = _Peer(connection)
        if len(self._known) == 1:
            self._set_timer()

    def forget(self, key: Key) -> None:
        """Close the socket of a client; one that is not known is fine."""
        peer = self._known.pop(key, None)
        if peer is not None:
            self._loop.forget(peer.connection.fileno())
            peer.connection.close()
        if not self._known:
            self._loop.clear_timer(self._forget_quiet)

    def forget_all(self, relay: UdpRelay) -> None:
        """Forget the clients of one port."""
        for key in [key for key in self._known if key[0] is relay]:
            self.forget(key)

    def _set_timer(self) -> None:
        moment = next(iter(self._known.values())).active + self._patience
        self._loop.set_timer(moment, self._forget_quiet, on_error=events.go_on)

    def _forget_quiet(self) -> None:
        last = time.monotonic_ns() - self._patience
        for key, peer in tuple(self._known.items()):
            if peer.active > last:
                break
            self.forget(key)
        if self._known:
            self._set_timer()


class UdpRelay:
    """One bound socket; every client has a socket of its own to the container, so that answers find their way.

    Args:
        loop: the monitor's.
        listening: it is bound, and does not block.
        target: where the container listens.
        peers: remembers the clients.
    """

    def __init__(self, loop: events.Loop, listening: socket.socket, target: tuple[str, int], peers: Peers) -> None:
        self._loop = loop
        self._listening = listening
        self._peers = peers
        self._room = _ask_for_address(listening)
        self.aim(target)
        self._loop.watch(listening.fileno(), events.READ, self._receive, on_error=events.go_on)

    def aim(self, target: tuple[str, int]) -> None:
        """Carry datagrams there from now on, also those of clients that are known; without an address they are lost."""
        self._target = target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._peers.forget_all(self)

    def close(self) -> None:
        """Stop receiving, and forget all clients."""
        self._loop.forget(self._listening.fileno())
        self._listening.close()
        self._peers.forget_all(self)

    def _receive(self, _: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                count, told, _flags, client = self._listening.recvmsg_into([_buffer], self._room)
            except OSError:
                return  # that was all, for now
            if not self._target[0]:
                continue
            key = self, client, _asked(told)
            try:
                connection = self._peers.get(key) or self._connect(key)
                connection.send(_buffer[:count])
            except OSError:
                continue  # a datagram may be lost; so it is with any network

    def _connect(self, key: tuple[UdpRelay, Any, bytes]) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.connect(self._target)
            self._peers.add(key, made, lambda _: self._answer(made, key))
        except OSError:
            made.close()
            raise
        return made

    def _answer(self, connection: socket.socket, key: tuple[UdpRelay, Any, bytes]) -> None:
        _, client, asked = key
        kind = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) if len(asked) == _PKTINFO6.size else (0, _IP_PKTINFO)
        by = [(*kind, asked)] if asked else []
        for _ in range(_AT_ONCE):
            try:
                count = connection.recv_into(_buffer)
                self._peers.get(key)
                self._listening.sendmsg([_buffer[:count]], by, 0, client)
            except OSError:
                return  # that was all; or nobody listens in the container, or the client's side is full


def _ask_for_address(listening: socket.socket) -> int:
    """Have each datagram tell which address it came to, where the socket is on all; how much room that needs."""
    address: str = listening.getsockname()[0]
    if address == "0.0.0.0":
        listening.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    elif address == "::":
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        return 0
    return _ROOM


def _asked(told: list[tuple[int, int, bytes]]) -> bytes:
    """What has an answer leave by the address that was asked; empty for the address that the kernel chooses."""
    for level, kind, data in told:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, own, _ = _PKTINFO.unpack(data)
            # Ours also where the datagram was for all. The routes say by which device it leaves, as for any answer.
            return _PKTINFO.pack(0, own, bytes(4))
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            own, device = _PKTINFO6.unpack(data)
            if own[0] == 0xFF:
                return b""  # for many: nothing leaves by that
            link_local = own[0] == 0xFE and own[1] & 0xC0 == 0x80
            return _PKTINFO6.pack(own, device if link_local else 0)
    return b""
