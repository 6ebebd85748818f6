"""Flows of udp that connection tracking still leads to a container's ports: forgotten when these are published no more.

Who keeps sending datagrams keeps the flow alive, and would go on being led to where the container was, though it has
started again elsewhere or somebody else has its address. Layouts and numbers: include/uapi/linux/netfilter/
nfnetlink_conntrack.h.
"""

from __future__ import annotations

import struct

from kist.kernel.attributes import attribute, attributes, nested
from kist.kernel.lean import socket
from kist.kernel.lean_netlink import ACK, DUMP, ERROR, FAMILY_SIZE, Connection, family, message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SUBSYSTEM = 1
_GET, _DELETE = _SUBSYSTEM << 8 | 1, _SUBSYSTEM << 8 | 2
_ORIGINAL, _REPLY, _FILTER = 1, 2, 25
_ADDRESSES, _PROTOCOL = 1, 2
_NUMBER, _SOURCE_PORT = 1, 2
_FLAGS, _REPLY_FLAGS = 1, 2
_NONE = bytes(4)
_BY_SOURCE, _BY_PROTOCOL = 1, 8
_UDP = 17


def forget(connection: Connection, targets: Collection[tuple[str, int]]) -> None:
    """Forget the flows of udp that lead to these addresses and ports.

    Raises:
        OSError: nobody answers.
    """
    for address in {address for address, _ in targets}:
        _forget(connection, address, {port for other, port in targets if other == address})


def _forget(connection: Connection, address: str, ports: Collection[int]) -> None:
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = socket.inet_pton(kind, address)
    name = 3 if kind == socket.AF_INET6 else 1
    whose = nested(_ADDRESSES, attribute(name, source)), nested(_PROTOCOL, attribute(_NUMBER, bytes((_UDP,))))
    # What an older kernel does not heed of it, and tells too, is not among the ports below.
    flags = (attribute(_FLAGS, _NONE), attribute(_REPLY_FLAGS, struct.pack("=I", _BY_SOURCE | _BY_PROTOCOL)))
    wanted = nested(_REPLY, *whose) + nested(_FILTER, *flags)
    answers, _ = connection.dump(message(_GET, DUMP, family(kind) + wanted, 1))
    leading = {(source, port) for port in ports}
    for answer in answers:
        told = attributes(answer[FAMILY_SIZE:])
        if _source_of(told.get(_REPLY, b""), name) in leading:
            _delete(connection, family(kind) + attribute(_ORIGINAL | 0x8000, told[_ORIGINAL]))


def _source_of(flow: bytes, name: int) -> tuple[bytes, int]:
    """Address and port from which answers come: the container's."""
    parts = attributes(flow)
    protocol = attributes(parts.get(_PROTOCOL, b""))
    if protocol.get(_NUMBER) != bytes((_UDP,)):
        return b"", 0
    port = int.from_bytes(protocol.get(_SOURCE_PORT, b""), "big")
    return attributes(parts.get(_ADDRESSES, b"")).get(name, b""), port


def _delete(connection: Connection, flow: bytes) -> None:
    """Forget one; it may have ended by itself."""
    connection.send(message(_DELETE, ACK, flow, 2))
    for kind, number, _ in connection.answers():
        if kind == ERROR and number == 2:
            return
