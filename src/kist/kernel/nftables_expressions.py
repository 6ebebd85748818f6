"""Expressions of nf_tables rules as bytes (include/uapi/linux/netfilter/nf_tables.h).

A rule is a list of expressions. Most load something into register 1 or compare what is there; the first comparison that
fails ends the rule. Register 0 holds the verdict. Numbers are in network byte order.
"""

from __future__ import annotations

import socket
import struct

from kist.kernel import netlink

_REGISTER_VERDICT = 0
_REGISTER_1 = 1

_META_IIFNAME = 6
_META_OIFNAME = 7
_PAYLOAD_NETWORK_HEADER = 1
_IPV4_SOURCE_OFFSET = 12
_IPV6_SOURCE_OFFSET = 8
_CT_STATE = 0
_CT_STATE_INVALID = 1
_CT_STATE_ESTABLISHED = 2
_CT_STATE_RELATED = 4
_EQUAL = 0
_NOT_EQUAL = 1
_NF_DROP = 0
_NF_ACCEPT = 1
_NAME_SIZE = 16  # IFNAMSIZ


def input_device(name: str, *, equal: bool = True) -> bytes:
    """The packet came (or did not come) by the device of this name."""
    return _device(_META_IIFNAME, name, equal=equal)


def output_device(name: str, *, equal: bool = True) -> bytes:
    """The packet leaves (or does not leave) by the device of this name."""
    return _device(_META_OIFNAME, name, equal=equal)


def source_subnet(address: str, prefix: int) -> bytes:
    """The source address, of IPv4 or IPv6, lies in the subnet."""
    family, offset = (socket.AF_INET6, _IPV6_SOURCE_OFFSET) if ":" in address else (socket.AF_INET, _IPV4_SOURCE_OFFSET)
    packed = socket.inet_pton(family, address)
    bits = len(packed) * 8
    mask = ((1 << bits) - (1 << (bits - prefix))).to_bytes(len(packed), "big")
    wanted = bytes(a & m for a, m in zip(packed, mask, strict=True))
    load = expression(
        "payload",
        be32(1, _REGISTER_1),
        be32(2, _PAYLOAD_NETWORK_HEADER),
        be32(3, offset),
        be32(4, len(mask)),
    )
    return load + _masked(mask) + _compare(_EQUAL, wanted)


def established() -> bytes:
    """The packet belongs to a connection that was let through before, or is related to one."""
    return _connection_state(_CT_STATE_ESTABLISHED | _CT_STATE_RELATED)


def invalid() -> bytes:
    """The packet fits no connection, and is none's first: addresses are not translated back in it."""
    return _connection_state(_CT_STATE_INVALID)


def _connection_state(states: int) -> bytes:
    load = expression("ct", be32(1, _REGISTER_1), be32(2, _CT_STATE))
    # Connection tracking keeps its state as a number of the machine's byte order.
    return load + _masked(struct.pack("=I", states)) + _compare(_NOT_EQUAL, bytes(4))


def masquerade() -> bytes:
    """Replace the source address by the one of the device that the packet leaves by."""
    return expression("masq")


def accept() -> bytes:
    """Let the packet pass this chain."""
    return _verdict(_NF_ACCEPT)


def drop() -> bytes:
    """Throw the packet away."""
    return _verdict(_NF_DROP)


def expression(name: str, *members: bytes) -> bytes:
    """One element of a rule's list: the name of the kernel's expression and its attributes."""
    return netlink.nested(1, netlink.text(1, name), netlink.nested(2, *members))


def be32(kind: int, value: int) -> bytes:
    """A 32-bit attribute in network byte order, as nf_tables has its numbers."""
    return netlink.attribute(kind, struct.pack("!I", value & 0xFFFFFFFF))


def _device(key: int, name: str, *, equal: bool) -> bytes:
    load = expression("meta", be32(1, _REGISTER_1), be32(2, key))
    return load + _compare(_EQUAL if equal else _NOT_EQUAL, name.encode("ascii").ljust(_NAME_SIZE, b"\0"))


def compare_equal(value: bytes) -> bytes:
    """What is in register 1 is this."""
    return _compare(_EQUAL, value)


def _compare(operation: int, value: bytes) -> bytes:
    return expression("cmp", be32(1, _REGISTER_1), be32(2, operation), netlink.nested(3, netlink.attribute(1, value)))


def _masked(mask: bytes) -> bytes:
    return expression(
        "bitwise",
        be32(1, _REGISTER_1),
        be32(2, _REGISTER_1),
        be32(3, len(mask)),
        netlink.nested(4, netlink.attribute(1, mask)),
        netlink.nested(5, netlink.attribute(1, bytes(len(mask)))),
    )


def _verdict(code: int) -> bytes:
    value = netlink.nested(2, netlink.nested(2, be32(1, code)))
    return expression("immediate", be32(1, _REGISTER_VERDICT), value)
