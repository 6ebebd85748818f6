"""rtnetlink(7): links, IPv4 addresses and routes.

Functions that give a ``Request`` are pure; those that take a ``Socket`` ask the kernel. Layouts and numbers:
include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h and veth.h.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Sequence
from typing import NamedTuple

from kist.kernel import netlink
from kist.kernel.netlink import Request, Socket

IFF_UP = 0x1

_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_GETADDR = 22
_RTM_NEWROUTE = 24
_RTM_GETROUTE = 26

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_MASTER = 10
_IFLA_LINKINFO = 18
_IFLA_AF_SPEC = 26
_IFLA_NET_NS_FD = 28
_IFLA_EXT_MASK = 29
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_IFLA_INET6_ADDR_GEN_MODE = 8
_ADDR_GEN_MODE_NONE = 1
_VETH_INFO_PEER = 1
_RTEXT_FILTER_SKIP_STATS = 8

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_TABLE = 15

_RT_TABLE_MAIN = 254
_RTPROT_STATIC = 4
_RT_SCOPE_UNIVERSE = 0
_RTN_UNICAST = 1

_IFINFO = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change mask
_IFADDR = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct(
    "=BBBBBBBBI"
)  # struct rtmsg: family, lengths of dst and src, tos, table, protocol, scope, type, flags

_MAKE = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL | netlink.NLM_F_ACK


class Link(NamedTuple):
    """A network device; ``master`` is the index of its bridge, 0 for none; ``kind`` is ``""`` for hardware."""

    ifindex: int
    name: str
    up: bool
    mac: str
    mtu: int
    master: int
    kind: str


class Address(NamedTuple):
    """An address on the device ``index``: ``10.88.0.1`` and 16."""

    ifindex: int
    address: str
    prefix: int


class Route(NamedTuple):
    """A unicast route; ``destination`` is ``10.88.0.0/16`` and ``0.0.0.0/0`` the default."""

    destination: str
    gateway: str
    ifindex: int
    table: int


def new_bridge(name: str, *, mac: str, mtu: int) -> Request:
    """Make a bridge that is up. A MAC of its own keeps it from changing with the ports."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, IFF_UP, IFF_UP) + b"".join(
        (
            _description(name, mac, mtu),
            netlink.nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, "bridge")),
        )
    )
    return Request(_RTM_NEWLINK, _MAKE, body, f"bridge {name}")


def new_veth(name: str, *, master: int, mtu: int, peer: str, peer_mac: str, peer_netns: int) -> Request:
    """Make a veth pair: one end here, up, on the bridge ``master``; ``peer`` in the other namespace, still down.

    The kernel cannot bring the peer up in the same message: it is not yet connected then (ENOTCONN).
    """
    up = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, IFF_UP, IFF_UP)
    other = (
        _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        + _description(peer, peer_mac, mtu)
        + netlink.u32(_IFLA_NET_NS_FD, peer_netns)
    )
    data = netlink.nested(_IFLA_INFO_DATA, netlink.nested(_VETH_INFO_PEER, other))
    body = b"".join(
        (
            up,
            _description(name, "", mtu),
            netlink.u32(_IFLA_MASTER, master),
            netlink.nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, "veth"), data),
        )
    )
    return Request(_RTM_NEWLINK, _MAKE, body, f"veth {name}")


def set_up(index: int, what: str = "") -> Request:
    """Bring a device up."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, IFF_UP, IFF_UP)
    return Request(_RTM_NEWLINK, netlink.NLM_F_ACK, body, what or f"device {index}")


def without_link_local(ifindex: int, what: str = "") -> Request:
    """Make no IPv6 link-local address when the device comes up: no neighbour is asked whether it is taken."""
    mode = netlink.attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes((_ADDR_GEN_MODE_NONE,)))
    family = netlink.nested(_IFLA_AF_SPEC, netlink.nested(socket.AF_INET6, mode))
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, ifindex, 0, 0) + family
    return Request(_RTM_NEWLINK, netlink.NLM_F_ACK, body, what or f"device {ifindex}")


def delete_link(name: str) -> Request:
    """Remove a device by name."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + netlink.text(_IFLA_IFNAME, name)
    return Request(_RTM_DELLINK, netlink.NLM_F_ACK, body, f"device {name}")


def add_address(index: int, address: str, prefix: int) -> Request:
    """Give a device an IPv4 address and the route to its subnet."""
    packed = socket.inet_aton(address)
    host_bits = (1 << (32 - prefix)) - 1
    broadcast = (int.from_bytes(packed, "big") | host_bits).to_bytes(4, "big")
    body = _IFADDR.pack(socket.AF_INET, prefix, 0, _RT_SCOPE_UNIVERSE, index) + b"".join(
        netlink.attribute(kind, value)
        for kind, value in ((_IFA_LOCAL, packed), (_IFA_ADDRESS, packed), (_IFA_BROADCAST, broadcast))
    )
    return Request(_RTM_NEWADDR, _MAKE, body, f"address {address}/{prefix}")


def add_default_route(gateway: str) -> Request:
    """Send what has no other route to an IPv4 gateway that is on a subnet of ours."""
    header = _ROUTE.pack(socket.AF_INET, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0)
    body = header + netlink.attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
    return Request(_RTM_NEWROUTE, _MAKE, body, f"default route by {gateway}")


def find_link(connection: Socket, name: str) -> Link | None:
    """The device of this name; None when there is none."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + netlink.text(_IFLA_IFNAME, name)
    try:
        answers = connection.transact([Request(_RTM_GETLINK, netlink.NLM_F_ACK, body + _NO_STATISTICS, name)])
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return decode_link(answers[0].body)


def links(connection: Socket) -> list[Link]:
    """All devices of the namespace."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _NO_STATISTICS
    return [decode_link(message.body) for message in connection.dump(Request(_RTM_GETLINK, 0, body, "devices"))]


def addresses(connection: Socket, index: int = 0) -> list[Address]:
    """The IPv4 addresses of a device, or of all devices."""
    body = _IFADDR.pack(socket.AF_INET, 0, 0, 0, index)
    found = (decode_address(message.body) for message in connection.dump(Request(_RTM_GETADDR, 0, body, "addresses")))
    # Kernels before 4.20 do not filter.
    return [address for address in found if index in (0, address.ifindex)]


def routes(connection: Socket) -> list[Route]:
    """The IPv4 unicast routes of all tables."""
    body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
    decoded = (decode_route(message.body) for message in connection.dump(Request(_RTM_GETROUTE, 0, body, "routes")))
    return [route for route in decoded if route is not None]


def decode_link(body: bytes) -> Link:
    """A link message. Raises OSError EBADMSG when it is malformed."""
    _, _, index, flags, _ = _unpack(_IFINFO, body)
    found = netlink.attributes(body[_IFINFO.size :])
    kind = netlink.attributes(found.get(_IFLA_LINKINFO, b"")).get(_IFLA_INFO_KIND, b"")
    return Link(
        ifindex=index,
        name=netlink.string(found.get(_IFLA_IFNAME, b"")),
        up=bool(flags & IFF_UP),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(found.get(_IFLA_MTU, b"")),
        master=_number(found.get(_IFLA_MASTER, b"")),
        kind=netlink.string(kind),
    )


def decode_address(body: bytes) -> Address:
    """An IPv4 address message. Raises OSError EBADMSG when it is malformed."""
    _, prefix, _, _, index = _unpack(_IFADDR, body)
    found = netlink.attributes(body[_IFADDR.size :])
    return Address(index, _ipv4(found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, b"")), prefix)


def decode_route(body: bytes) -> Route | None:
    """An IPv4 route message; None for what is not unicast. Raises OSError EBADMSG when it is malformed."""
    _, length, _, _, table, _, _, kind, _ = _unpack(_ROUTE, body)
    if kind != _RTN_UNICAST:
        return None
    found = netlink.attributes(body[_ROUTE.size :])
    gateway = found.get(_RTA_GATEWAY, b"")
    return Route(
        destination=f"{_ipv4(found.get(_RTA_DST, bytes(4)))}/{length}",
        gateway=_ipv4(gateway) if gateway else "",
        ifindex=_number(found.get(_RTA_OIF, b"")),
        table=_number(found.get(_RTA_TABLE, b"")) or table,
    )


_NO_STATISTICS = netlink.u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)


def _description(name: str, mac: str, mtu: int) -> bytes:
    address = netlink.attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))) if mac else b""
    return netlink.text(_IFLA_IFNAME, name) + address + netlink.u32(_IFLA_MTU, mtu)


def _unpack(header: struct.Struct, body: bytes) -> Sequence[int]:
    if len(body) < header.size:
        raise OSError(errno.EBADMSG, "malformed rtnetlink message")
    return header.unpack_from(body)


def _number(payload: bytes) -> int:
    return int.from_bytes(payload[:4], sys.byteorder)


def _ipv4(payload: bytes) -> str:
    if len(payload) != 4:
        raise OSError(errno.EBADMSG, "malformed IPv4 address in a netlink message")
    return socket.inet_ntoa(payload)
