"""Expressions of nf_tables rules that look at ports and write others in their place.

Nothing is remembered of a connection: a packet is changed as it passes, and so are its answers, by a rule of their own.
It takes no connection tracking, which every packet of the namespace would pay for.
"""

from __future__ import annotations

import socket
import struct

from kist.kernel import netlink
from kist.kernel.nftables_expressions import be32, compare_equal, expression

_REGISTER_1 = 1
_META_L4PROTO = 16
_NETWORK_HEADER = 1
_TRANSPORT_HEADER = 2
_IPV4_SOURCE_OFFSET = 12
_IPV4_DESTINATION_OFFSET = 16
_SOURCE_PORT_OFFSET = 0
_DESTINATION_PORT_OFFSET = 2
_CHECKSUM_INET = 1
PROTOCOLS = {"udp": socket.IPPROTO_UDP, "tcp": socket.IPPROTO_TCP}
# Where the checksum is in the header of each.
_CHECKSUM_OFFSETS = {"udp": 6, "tcp": 16}


def to_port(protocol: str, address: str, port: int) -> bytes:
    """The packet is of the protocol, and for this address and port."""
    return _endpoint(protocol, _IPV4_DESTINATION_OFFSET, address, _DESTINATION_PORT_OFFSET, port)


def from_port(protocol: str, address: str, port: int) -> bytes:
    """The packet is of the protocol, and from this address and port."""
    return _endpoint(protocol, _IPV4_SOURCE_OFFSET, address, _SOURCE_PORT_OFFSET, port)


def write_destination_port(protocol: str, port: int) -> bytes:
    """Have the packet go to another port."""
    return _write_port(protocol, _DESTINATION_PORT_OFFSET, port)


def write_source_port(protocol: str, port: int) -> bytes:
    """Have the packet come from another port."""
    return _write_port(protocol, _SOURCE_PORT_OFFSET, port)


def _endpoint(protocol: str, address_at: int, address: str, port_at: int, port: int) -> bytes:
    load_protocol = expression("meta", be32(1, _REGISTER_1), be32(2, _META_L4PROTO))
    return b"".join(
        (
            load_protocol,
            compare_equal(bytes((PROTOCOLS[protocol],))),
            _load(_NETWORK_HEADER, address_at, 4),
            compare_equal(socket.inet_aton(address)),
            _load(_TRANSPORT_HEADER, port_at, 2),
            compare_equal(struct.pack("!H", port)),
        )
    )


def _load(header: int, offset: int, length: int) -> bytes:
    return expression("payload", be32(1, _REGISTER_1), be32(2, header), be32(3, offset), be32(4, length))


def _write_port(protocol: str, offset: int, port: int) -> bytes:
    value = expression("immediate", be32(1, _REGISTER_1), _data(struct.pack("!H", port)))
    write = expression(
        "payload",
        be32(2, _TRANSPORT_HEADER),
        be32(3, offset),
        be32(4, 2),
        be32(5, _REGISTER_1),
        be32(6, _CHECKSUM_INET),
        be32(7, _CHECKSUM_OFFSETS[protocol]),
    )
    return value + write


def _data(value: bytes) -> bytes:
    return netlink.nested(2, netlink.attribute(1, value))
