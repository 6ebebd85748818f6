"""rtnetlink(7): links, addresses and routes.

Functions that give a ``Request`` are pure; those that take a ``Socket`` ask the kernel. Layouts and numbers:
include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h and veth.h. Addresses are of IPv4 or IPv6, as they are written.
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
_RTM_SETLINK = 19
_RTM_NEWADDR = 20
_RTM_GETADDR = 22
_RTM_NEWROUTE = 24
_RTM_GETROUTE = 26

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINK = 5
_IFLA_MASTER = 10
_IFLA_PROTINFO = 12
_IFLA_LINKINFO = 18
_IFLA_IFALIAS = 20
_IFLA_STATS64 = 23
_IFLA_AF_SPEC = 26
_IFLA_NET_NS_FD = 28
_IFLA_EXT_MASK = 29
_IFLA_LINK_NETNSID = 37
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_IFLA_INET6_ADDR_GEN_MODE = 8
_ADDR_GEN_MODE_NONE = 1
_IFLA_BRPORT_ISOLATED = 33
_VETH_INFO_PEER = 1
_MACVLAN_MODE = 1
_IPVLAN_MODE = 1
_IPVLAN_FLAGS = 2
_VLAN_ID = 1
_RTEXT_FILTER_SKIP_STATS = 8

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4
_IFA_F_NODAD = 0x02

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_TABLE = 15

_RT_TABLE_MAIN = 254
_RTPROT_STATIC = 4
_RT_SCOPE_UNIVERSE = 0
_RT_SCOPE_LINK = 253
_RTN_UNICAST = 1

_IFINFO = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change mask
_STATS = struct.Struct("=QQ")  # how struct rtnl_link_stats64 begins: packets received, packets sent
_IFADDR = struct.Struct("=BBBBI")  # struct ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct(
    "=BBBBBBBBI"
)  # struct rtmsg: family, lengths of dst and src, tos, table, protocol, scope, type, flags

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}

_RTM_F_LOOKUP_TABLE = 0x1000
_RTM_F_FIB_MATCH = 0x2000

_MAKE = netlink.NLM_F_CREATE | netlink.NLM_F_EXCL | netlink.NLM_F_ACK


class Link(NamedTuple):
    """A network device; ``master`` is the index of its bridge, 0 for none; ``kind`` is ``""`` for hardware.

    ``alias`` is a text for people that somebody gave it. ``below`` is the index of the device that it is on, or of a
    cable's other end, and ``leads_out`` whether that one is in another network namespace.
    """

    ifindex: int
    name: str
    up: bool
    mac: str
    mtu: int
    master: int
    kind: str
    alias: str = ""
    below: int = 0
    leads_out: bool = False


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
    """Make a bridge that is up. A MAC of its own keeps it from changing with the ports; an empty one is made up."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, IFF_UP, IFF_UP) + b"".join(
        (
            _description(name, mac, mtu),
            netlink.nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, "bridge")),
        )
    )
    return Request(_RTM_NEWLINK, _MAKE, body, f"bridge {name}")


def new_veth(name: str, *, master: int, mtu: int, peer: str, peer_mac: str, peer_netns: int) -> Request:
    """Make a veth pair: one end here, up, on the bridge ``master`` (0: none); ``peer`` in the other namespace, down.

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


def new_macvlan(name: str, *, parent: int, mode: str, mtu: int, mac: str, netns: int) -> Request:
    """Make a device with a hardware address of its own on that of the device ``parent``, in another namespace, down."""
    return _child("macvlan", name, parent, mtu, mac, netns, netlink.u32(_MACVLAN_MODE, MACVLAN_MODES[mode]))


def new_ipvlan(name: str, *, parent: int, mode: str, flag: str, mtu: int, netns: int) -> Request:
    """Make a device with addresses of its own and the hardware address of ``parent``, in another namespace, down."""
    told = _u16(_IPVLAN_MODE, IPVLAN_MODES[mode]) + _u16(_IPVLAN_FLAGS, IPVLAN_FLAGS[flag])
    return _child("ipvlan", name, parent, mtu, "", netns, told)


def new_vlan(name: str, *, parent: int, number: int) -> Request:
    """Make the device of a VLAN (IEEE 802.1Q) on the device ``parent``, up."""
    return _child("vlan", name, parent, 0, "", -1, _u16(_VLAN_ID, number))


def set_alias(index: int, text: str) -> Request:
    """Give a device a text that tells people what it is for (``ip link`` shows it as ``alias``)."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0) + netlink.attribute(_IFLA_IFALIAS, text.encode()[:255])
    return Request(_RTM_SETLINK, netlink.NLM_F_ACK, body, f"device {index}")


def join_bridge(index: int, master: int, what: str = "") -> Request:
    """Make a device a port of a bridge."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0) + netlink.u32(_IFLA_MASTER, master)
    return Request(_RTM_SETLINK, netlink.NLM_F_ACK, body, what or f"device {index}")


def isolate_port(index: int, what: str = "") -> Request:
    """Let a bridge's port reach the bridge itself, and none of its other isolated ports."""
    info = netlink.nested(_IFLA_PROTINFO, netlink.attribute(_IFLA_BRPORT_ISOLATED, b"\1"))
    return Request(_RTM_SETLINK, netlink.NLM_F_ACK, _IFINFO.pack(socket.AF_BRIDGE, 0, index, 0, 0) + info, what)


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
    """Give a device an address and the route to its subnet. Nobody is asked whether it is taken: we give them out."""
    family, packed = _pack(address)
    kinds = [(_IFA_LOCAL, packed), (_IFA_ADDRESS, packed)]
    if family == socket.AF_INET:
        host_bits = (1 << (32 - prefix)) - 1
        kinds.append((_IFA_BROADCAST, (int.from_bytes(packed, "big") | host_bits).to_bytes(4, "big")))
    flags = _IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = _IFADDR.pack(family, prefix, flags, _RT_SCOPE_UNIVERSE, index) + b"".join(
        netlink.attribute(kind, value) for kind, value in kinds
    )
    return Request(_RTM_NEWADDR, _MAKE, body, f"address {address}/{prefix}")


def add_default_route(gateway: str, *, replace: bool = False) -> Request:
    """Send what has no other route to a gateway that is on a subnet of ours."""
    family, packed = _pack(gateway)
    body = _default(family) + netlink.attribute(_RTA_GATEWAY, packed)
    flags = _MAKE ^ netlink.NLM_F_EXCL | netlink.NLM_F_REPLACE if replace else _MAKE
    return Request(_RTM_NEWROUTE, flags, body, f"default route by {gateway}")


def add_default_route_on(index: int, family: int = socket.AF_INET) -> Request:
    """Send what has no other route out by a device, where nobody need forward it."""
    body = _default(family, _RT_SCOPE_LINK) + netlink.u32(_RTA_OIF, index)
    return Request(_RTM_NEWROUTE, _MAKE, body, f"default route by device {index}")


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


def sent_packets(connection: Socket) -> int:
    """How many packets have been sent by all devices of the namespace, loopback too."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    found = (message.body for message in connection.dump(Request(_RTM_GETLINK, 0, body, "devices")))
    told = (netlink.attributes(body[_IFINFO.size :]).get(_IFLA_STATS64, b"") for body in found)
    return sum(int(_unpack(_STATS, each)[1]) for each in told)


def addresses(connection: Socket, index: int = 0, family: int = socket.AF_INET) -> list[Address]:
    """The addresses of a device, or of all devices."""
    body = _IFADDR.pack(family, 0, 0, 0, index)
    found = (decode_address(message.body) for message in connection.dump(Request(_RTM_GETADDR, 0, body, "addresses")))
    # Kernels before 4.20 do not filter.
    return [address for address in found if index in (0, address.ifindex)]


def routes(connection: Socket, family: int = socket.AF_INET) -> list[Route]:
    """The unicast routes of all tables."""
    body = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    decoded = (decode_route(message.body) for message in connection.dump(Request(_RTM_GETROUTE, 0, body, "routes")))
    return [route for route in decoded if route is not None]


def route_to(connection: Socket, address: str) -> Route | None:
    """The unicast route that a packet to this address takes now (RTM_F_FIB_MATCH: the route, not the packet's way)."""
    family, packed = _pack(address)
    body = _ROUTE.pack(family, 8 * len(packed), 0, 0, 0, 0, 0, 0, _RTM_F_LOOKUP_TABLE | _RTM_F_FIB_MATCH)
    body += netlink.attribute(_RTA_DST, packed)
    try:
        answers = connection.transact([Request(_RTM_GETROUTE, netlink.NLM_F_ACK, body, f"route to {address}")])
    except OSError as error:
        if error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL, errno.EAGAIN}:
            return None  # there is none, or one that refuses or drops it, as their kinds have it
        raise
    return decode_route(answers[0].body)


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
        alias=netlink.string(found.get(_IFLA_IFALIAS, b"")),
        below=_number(found.get(_IFLA_LINK, b"")),
        leads_out=_IFLA_LINK_NETNSID in found,
    )


def decode_address(body: bytes) -> Address:
    """An address message. Raises OSError EBADMSG when it is malformed."""
    _, prefix, _, _, index = _unpack(_IFADDR, body)
    found = netlink.attributes(body[_IFADDR.size :])
    return Address(index, _written(found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS, b"")), prefix)


def decode_route(body: bytes) -> Route | None:
    """A route message; None for what is not unicast. Raises OSError EBADMSG when it is malformed."""
    family, length, _, _, table, _, _, kind, _ = _unpack(_ROUTE, body)
    if kind != _RTN_UNICAST:
        return None
    found = netlink.attributes(body[_ROUTE.size :])
    gateway = found.get(_RTA_GATEWAY, b"")
    anywhere = bytes(16 if family == socket.AF_INET6 else 4)
    return Route(
        destination=f"{_written(found.get(_RTA_DST, anywhere))}/{length}",
        gateway=_written(gateway) if gateway else "",
        ifindex=_number(found.get(_RTA_OIF, b"")),
        table=_number(found.get(_RTA_TABLE, b"")) or table,
    )


_NO_STATISTICS = netlink.u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)


def _description(name: str, mac: str, mtu: int) -> bytes:
    address = netlink.attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))) if mac else b""
    return netlink.text(_IFLA_IFNAME, name) + address + (netlink.u32(_IFLA_MTU, mtu) if mtu else b"")


def _unpack(header: struct.Struct, body: bytes) -> Sequence[int]:
    if len(body) < header.size:
        raise OSError(errno.EBADMSG, "malformed rtnetlink message")
    return header.unpack_from(body)


def _number(payload: bytes) -> int:
    return int.from_bytes(payload[:4], sys.byteorder)


def _written(payload: bytes) -> str:
    if len(payload) not in {4, 16}:
        raise OSError(errno.EBADMSG, "malformed address in a netlink message")
    return socket.inet_ntop(socket.AF_INET if len(payload) == 4 else socket.AF_INET6, payload)


def _pack(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def _default(family: int, scope: int = _RT_SCOPE_UNIVERSE) -> bytes:
    return _ROUTE.pack(family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST, 0)


def _u16(kind: int, value: int) -> bytes:
    return netlink.attribute(kind, struct.pack("=H", value))


def _child(kind: str, name: str, parent: int, mtu: int, mac: str, netns: int, data: bytes) -> Request:
    """A device that is on another one; in the namespace of the descriptor ``netns``, or (-1) here, and then up."""
    up = 0 if netns >= 0 else IFF_UP
    body = b"".join(
        (
            _IFINFO.pack(socket.AF_UNSPEC, 0, 0, up, up),
            _description(name, mac, mtu),
            netlink.u32(_IFLA_LINK, parent),
            netlink.u32(_IFLA_NET_NS_FD, netns) if netns >= 0 else b"",
            netlink.nested(_IFLA_LINKINFO, netlink.text(_IFLA_INFO_KIND, kind), netlink.nested(_IFLA_INFO_DATA, data)),
        )
    )
    return Request(_RTM_NEWLINK, _MAKE, body, f"device {name}")
