"""Sets and maps of nf_tables, and the expressions that look into them (include/uapi/linux/netfilter/nf_tables.h).

A key of several parts lies in neighbouring registers of four bytes, each part beginning in a new one; so does what a
map gives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from kist.kernel import netlink, nftables
from kist.kernel.netlink import Request, Socket
from kist.kernel.nftables_expressions import be32, expression

# How nft(8) calls what a key or a value is made of.
PROTOCOL, ADDRESS, ADDRESS6, PORT, DEVICE = 12, 7, 8, 13, 41

_SIZES = {PROTOCOL: 4, ADDRESS: 4, ADDRESS6: 16, PORT: 4, DEVICE: 16}
_TYPE_BITS = 6

_NEWSET = 10 << 8 | 9
_GETSETELEM = 10 << 8 | 13
_SET_MAP = 8
_IN_HOST_ORDER = b"\0\4" + struct.pack("=I", 1)  # user data by which nft(8) knows how to show a name

_FIRST_REGISTER = 8  # NFT_REG32_00
_REGISTER_SIZE = 4
_META_INPUT_NAME = 6
_META_PROTOCOL = 16
_PAYLOAD_NETWORK, _PAYLOAD_TRANSPORT = 1, 2
_PORT_OFFSET = 2
_DESTINATION = {"ip": (16, 4), "ip6": (24, 16)}  # offset and length in the header
_FAMILY = {"ip": 2, "ip6": 10}
_FIB_DESTINATION = 2
_FIB_ADDRESS_TYPE = 3
_LOCAL = 2  # RTN_LOCAL
_NAT_DESTINATION = 1
_CT_STATUS = 2
_STATUS_DESTINATION_NAT = 32
_RETURN = -5
_EQUAL, _NOT_EQUAL = 0, 1


class Set(NamedTuple):
    """A set, or a map where ``data`` says what it gives; both as the types of their parts."""

    name: str
    key: tuple[int, ...]
    data: tuple[int, ...] = ()


def new_set(table: str, family: str, made: Set, number: int) -> Request:
    """Make a set or map, unless it is there; ``number`` tells those of one transaction apart."""
    members = [
        netlink.text(1, table), netlink.text(2, made.name), be32(3, _SET_MAP if made.data else 0),
        be32(4, _type(made.key)), be32(5, _size(made.key)), be32(10, number),
    ]  # fmt: skip
    if made.key == (DEVICE,):
        members.append(netlink.attribute(13, _IN_HOST_ORDER))
    if made.data:
        members += [be32(6, _type(made.data)), be32(7, _size(made.data))]
    return nftables.request(_NEWSET, netlink.NLM_F_CREATE, b"".join(members), f"nf_tables set {made.name}", family)


def elements(connection: Socket, table: str, family: str, name: str) -> Iterator[tuple[bytes, bytes, str]]:
    """Key, value and comment of each element of a map; none where there is no such map."""
    members = netlink.text(1, table) + netlink.text(2, name)
    try:
        answers = connection.dump(nftables.request(_GETSETELEM, 0, members, f"nf_tables set {name}", family))
    except FileNotFoundError:
        return
    for answer in answers:
        told = netlink.attributes(answer.body[4:])
        for _, element in netlink.members(told.get(3, b"")):
            parts = netlink.attributes(element)
            key, data = (netlink.attributes(parts.get(kind, b"")).get(1, b"") for kind in (1, 2))
            yield key, data, nftables.decode_comment(parts.get(6, b""))


def device_in(name: str) -> bytes:
    """The packet came by a device whose name is in the set."""
    load = expression("meta", be32(1, _FIRST_REGISTER), be32(2, _META_INPUT_NAME))
    return load + expression("lookup", netlink.text(1, name), be32(2, _FIRST_REGISTER))


def to_loopback(family: str) -> bytes:
    """The destination is a loopback address."""
    offset, length = _DESTINATION[family]
    wanted = b"\x7f" if family == "ip" else bytes(15) + b"\1"
    load = _payload(_FIRST_REGISTER, _PAYLOAD_NETWORK, offset, 1 if family == "ip" else length)
    return load + _compare(_EQUAL, wanted)


def to_this_machine() -> bytes:
    """The destination is an address of this machine."""
    load = expression("fib", be32(1, _FIRST_REGISTER), be32(2, _FIB_ADDRESS_TYPE), be32(3, _FIB_DESTINATION))
    return load + _compare(_EQUAL, struct.pack("=I", _LOCAL))


def destination_from(name: str, family: str, *, with_address: bool) -> bytes:
    """Replace the packet's destination by what the map has for its protocol, its destination's address and port.

    A packet of which the map knows nothing goes on. Without address the map's key is protocol and port.
    """
    offset, length = _DESTINATION[family]
    code = expression("meta", be32(1, _FIRST_REGISTER), be32(2, _META_PROTOCOL))
    register = _FIRST_REGISTER + 1
    if with_address:
        code += _payload(register, _PAYLOAD_NETWORK, offset, length)
        register += length // _REGISTER_SIZE
    code += _payload(register, _PAYLOAD_TRANSPORT, _PORT_OFFSET, 2)
    code += expression("lookup", netlink.text(1, name), be32(2, _FIRST_REGISTER), be32(3, _FIRST_REGISTER))
    port = _FIRST_REGISTER + length // _REGISTER_SIZE
    return code + expression(
        "nat", be32(1, _NAT_DESTINATION), be32(2, _FAMILY[family]), be32(3, _FIRST_REGISTER), be32(5, port)
    )


def redirected() -> bytes:
    """The packet is of a connection whose destination was replaced."""
    load = expression("ct", be32(1, _FIRST_REGISTER), be32(2, _CT_STATUS))
    # Connection tracking keeps its status as a number of the machine's byte order.
    mask = struct.pack("=I", _STATUS_DESTINATION_NAT)
    masked = expression(
        "bitwise", be32(1, _FIRST_REGISTER), be32(2, _FIRST_REGISTER), be32(3, len(mask)),
        netlink.nested(4, netlink.attribute(1, mask)), netlink.nested(5, netlink.attribute(1, bytes(len(mask)))),
    )  # fmt: skip
    return load + masked + _compare(_NOT_EQUAL, bytes(4))


def leave_chain() -> bytes:
    """Look at no further rule of this chain."""
    return expression("immediate", be32(1, 0), netlink.nested(2, netlink.nested(2, be32(1, _RETURN))))


def _payload(register: int, base: int, offset: int, length: int) -> bytes:
    return expression("payload", be32(1, register), be32(2, base), be32(3, offset), be32(4, length))


def _compare(operation: int, value: bytes) -> bytes:
    wanted = netlink.nested(3, netlink.attribute(1, value))
    return expression("cmp", be32(1, _FIRST_REGISTER), be32(2, operation), wanted)


def _type(parts: tuple[int, ...]) -> int:
    number = 0
    for part in parts:
        number = number << _TYPE_BITS | part
    return number


def _size(parts: tuple[int, ...]) -> int:
    return sum(_SIZES[part] for part in parts)
