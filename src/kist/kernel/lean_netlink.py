"""Netlink for processes that must stay small (see ``kist.kernel.lean``): whole messages out, messages in.

``kist.kernel.netlink`` is what everybody else has: it explains errors, and costs two megabytes.
"""

from __future__ import annotations

import struct

from kist.kernel.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST, ACK, DUMP, CREATE = 0x1, 0x4, 0x300, 0x400
ERROR, DONE = 2, 3
NETFILTER = 12

_MESSAGE = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_FAMILY = struct.Struct("!BBH")  # struct nfgenmsg: family, version, resource
FAMILY_SIZE = _FAMILY.size
_PATIENCE = struct.pack("@ll", 5, 0)
_SO_SNDBUFFORCE = 32
_SEND_BUFFER = 4 << 20
_RECEIVE = 1 << 15


def message(kind: int, flags: int, body: bytes, number: int) -> bytes:
    """A whole message, padded to four bytes."""
    length = _MESSAGE.size + len(body)
    return _MESSAGE.pack(length, kind, flags | REQUEST, number, 0) + body + bytes(-length % 4)


def family(number: int, resource: int = 0) -> bytes:
    """What the bodies of netfilter's messages begin with."""
    return _FAMILY.pack(number, 0, resource)


def error_of(answer: bytes) -> int:
    """The errno that an ``ERROR`` tells; 0 for an acknowledgement."""
    return -int(struct.unpack_from("=i", answer)[0])


class Connection:
    """A socket in the network namespace of this process; nobody waits on it for more than some seconds."""

    def __init__(self, protocol: int = NETFILTER) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BUFFER)
        except PermissionError:
            return  # who may not have this may change nothing either, and hears of that

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def send(self, messages: bytes) -> None:
        """Send messages in one datagram."""
        self._socket.sendto(messages, (0, 0))

    def answers(self) -> Iterator[tuple[int, int, bytes]]:
        """Messages as they come: kind, sequence, body. To be left when the last one is there.

        Raises:
            OSError: EAGAIN when none comes.
        """
        while True:
            data = self._socket.recv(_RECEIVE)
            offset = 0
            while offset + _MESSAGE.size <= len(data):
                length, kind, _, number, _ = _MESSAGE.unpack_from(data, offset)
                yield kind, number, data[offset + _MESSAGE.size : offset + length]
                offset += max(_MESSAGE.size, length + -length % 4)

    def dump(self, request: bytes) -> tuple[list[bytes], int]:
        """The bodies that answer a request for a list, and the errno that ended them."""
        self.send(request)
        found: list[bytes] = []
        for kind, _, answer in self.answers():
            if kind in {DONE, ERROR}:
                return found, error_of(answer) if kind == ERROR else 0
            found.append(answer)
        return found, 0
