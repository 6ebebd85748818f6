"""A published udp port: datagrams to one socket are carried to the container, and its answers back."""

from __future__ import annotations

from kist.kernel.lean import socket
from kist.runtime import loop as events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_AT_ONCE = 64
# Clients that are remembered, the one that was quiet longest is forgotten first.
_MOST_PEERS = 512
_buffer = memoryview(bytearray(1 << 16))


class UdpRelay:
    """One bound socket; every client has a socket of its own to the container, so that answers find their way.

    Args:
        loop: the monitor's.
        listening: it is bound, and does not block.
        target: where the container listens.
    """

    def __init__(self, loop: events.Loop, listening: socket.socket, target: tuple[str, int]) -> None:
        self._loop = loop
        self._listening = listening
        self._peers: dict[Any, socket.socket] = {}
        self.aim(target)
        self._loop.watch(listening.fileno(), events.READ, self._receive)

    def aim(self, target: tuple[str, int]) -> None:
        """Carry datagrams there from now on, also those of clients that are known; without an address they are lost."""
        self._target = target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        for peer in tuple(self._peers):
            self._forget(peer)

    def close(self) -> None:
        """Stop receiving, and forget all clients."""
        self._loop.forget(self._listening.fileno())
        self._listening.close()
        for peer in tuple(self._peers):
            self._forget(peer)

    def _receive(self, _: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                count, peer = self._listening.recvfrom_into(_buffer)
            except OSError:
                return  # that was all, for now
            if not self._target[0]:
                continue
            try:
                connection = self._peers.pop(peer, None) or self._connect(peer)
                self._peers[peer] = connection  # the newest is the last
                connection.send(_buffer[:count])
            except OSError:
                continue  # a datagram may be lost; so it is with any network

    def _connect(self, peer: Any) -> socket.socket:
        while len(self._peers) >= _MOST_PEERS:
            self._forget(next(iter(self._peers)))
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.connect(self._target)
        self._loop.watch(made.fileno(), events.READ, lambda _: self._answer(made, peer))
        return made

    def _answer(self, connection: socket.socket, peer: Any) -> None:
        for _ in range(_AT_ONCE):
            try:
                count = connection.recv_into(_buffer)
                self._listening.sendto(_buffer[:count], peer)
            except OSError:
                return  # that was all; or nobody listens in the container, or the client's side is full

    def _forget(self, peer: Any) -> None:
        connection = self._peers.pop(peer)
        self._loop.forget(connection.fileno())
        connection.close()
