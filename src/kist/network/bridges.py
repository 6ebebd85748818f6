"""Bridges in the kernel, each with its addresses and rules.

Every function works in the network namespace of the calling thread and may be called from many threads and processes at
once. What changes a bridge or its rules holds the lock of the namespace (``netns.locked``).

Raises, everywhere:
    Forbidden, Unavailable: as ``failures.explained`` has it.
"""

import errno
import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_interface

from kist.errors import Conflict, Overlap, Unavailable
from kist.kernel import netns, nftables, rtnetlink, sysctl
from kist.kernel.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, Socket
from kist.kernel.rtnetlink import Link
from kist.network import firewall
from kist.network.addresses import (
    CANDIDATE_SUBNETS,
    DEFAULT_POOLS,
    Pools,
    choose_subnet,
    first_address,
    mac_for,
    overlapping,
    parse_subnet,
    plain,
    takers,
)
from kist.network.failures import explained, explained_rules
from kist.network.plan import ALIAS_PREFIX, CABLE_PREFIX, DEFAULT, BridgeNetwork, is_own_bridge
from kist.spec.network import Subnet

LARGEST_MTU = 1500
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}
_ANYWHERE = "0.0.0.0/0"


def default_network(
    bridge: str = "kist0",
    name: str = DEFAULT,
    *,
    avoid: Iterable[str] = (),
    largest: int = LARGEST_MTU,
    pools: Pools = DEFAULT_POOLS,
) -> BridgeNetwork:
    """The network on this bridge: as it is, or made now on a subnet to which the host has no route.

    Args:
        bridge: the device; ``plan.bridge_name`` tells which one is an engine's own.
        name: what users call the network.
        avoid: destinations beside those of this namespace that the subnet must not hide.
        largest: the MTU where no way out has a smaller one.
        pools: what to choose from where all of the usual subnets are taken.

    Raises:
        Conflict: a device of this name is no bridge.
        Unavailable: no subnet is free.
    """
    with explained(f"set up the bridge {bridge}"), netns.locked(), Socket(NETLINK_ROUTE) as connection:
        network = _existing(connection, bridge, name)
        if network is None:
            subnet = _chosen(connection, tuple(avoid), pools)
            mtu = _mtu(connection, largest)
            network = BridgeNetwork(name, bridge, (Subnet(subnet, first_address(subnet)),), mtu=mtu)
        _make(connection, network)
    return network


def _chosen(connection: Socket, avoid: Sequence[str], pools: Pools) -> str:
    routes = [*_named_routes(connection), *((each, "others") for each in avoid)]
    try:
        return choose_subnet((destination for destination, _ in routes), pools=pools)
    except Unavailable as error:
        told = takers(routes, (*CANDIDATE_SUBNETS, *(base for base, _ in pools)))
        raise Unavailable(f"{error.message}: {told}", hint=error.hint) from None


def _named_routes(connection: Socket) -> Iterator[tuple[str, str]]:
    names = {link.ifindex: link.name for link in rtnetlink.links(connection)}
    for family in FAMILIES.values():
        for route in _routes(connection, family):
            yield route.destination, names.get(route.ifindex, "nowhere")


def usual_mtu(largest: int = LARGEST_MTU) -> int:
    """The MTU that a bridge has unless somebody chooses one: the way out's.

    Larger packets get lost where a firewall swallows the ICMP messages that say so.
    """
    with explained("look at the routes"), Socket(NETLINK_ROUTE) as connection:
        return _mtu(connection, largest)


def lacks_ipv6() -> bool:
    """Whether no device here can have IPv6 addresses."""
    return _value("net.ipv6.conf.all.disable_ipv6") != "0"


def destinations(but: str = "") -> tuple[tuple[str, str], ...]:
    """The destinations of all routes, IPv4 and IPv6, that a subnet here must not hide, each with its device's name.

    Args:
        but: a device whose routes are no others': a bridge that is there is to be the network's.
    """
    with explained("look at the routes"), Socket(NETLINK_ROUTE) as connection:
        return tuple(each for each in _named_routes(connection) if not but or each[1] != but)


def ensure(network: BridgeNetwork) -> None:
    """Have the bridge up with its addresses, forwarding on and the rules in place; cheap when they are.

    Raises:
        Conflict: the device is no bridge or has another subnet, or the host routes the subnet elsewhere.
    """
    with explained(f"set up the bridge {network.bridge}"), Socket(NETLINK_ROUTE) as connection:
        ensured(connection, network)


def ensured(connection: Socket, network: BridgeNetwork) -> Link:
    """The same, over a connection that is there; the bridge."""
    link = rtnetlink.find_link(connection, network.bridge)
    if link is not None and _ready(connection, link, network):
        return link
    with netns.locked():
        return _make(connection, network)


def remove(network: BridgeNetwork) -> None:
    """Remove the bridge and its rules, if they are there; a bridge that somebody else has made stays.

    One that is another network's by its alias, whose making may have been refused to this one, keeps its rules too.
    Forwarding stays on: others may rely on it by now.
    """
    with explained(f"remove the bridge {network.bridge}"), netns.locked():
        with Socket(NETLINK_ROUTE) as connection:
            link = rtnetlink.find_link(connection, network.bridge)
            if link is not None and link.alias != network.alias and link.alias.startswith(ALIAS_PREFIX):
                return
            if link is not None and link.kind == "bridge" and is_ours(link, network.alias):
                delete(connection, network.bridge)
        with Socket(NETLINK_NETFILTER) as connection:
            nftables.remove(connection, firewall.TABLE, [chain.name for chain in firewall.chains(network)])


def exists(name: str) -> bool:
    """Whether there is a bridge of this name."""
    with explained(f"look at the bridge {name}"), Socket(NETLINK_ROUTE) as connection:
        link = rtnetlink.find_link(connection, name)
        return link is not None and link.kind == "bridge"


def is_flawed(network: BridgeNetwork) -> bool:
    """Whether the bridge is there, and is not up with its addresses and rules."""
    with explained(f"look at the bridge {network.bridge}"), netns.locked(), Socket(NETLINK_ROUTE) as connection:
        link = rtnetlink.find_link(connection, network.bridge)
        return link is not None and not _ready(connection, link, network)


def cables(names: Iterable[str]) -> list[str]:
    """The names of the host's ends of all cables of ours on these bridges."""
    wanted = frozenset(names)
    with explained("look at the bridges"), Socket(NETLINK_ROUTE) as connection:
        found = rtnetlink.links(connection)
        here = {link.ifindex for link in found if link.name in wanted}
        return [each.name for each in found if each.master in here and each.name.startswith(CABLE_PREFIX)]


def marked(alias: str) -> list[tuple[str, str]]:
    """Devices that an engine has made, by what their aliases begin with: names and aliases."""
    with explained("look at the devices"), Socket(NETLINK_ROUTE) as connection:
        return [(link.name, link.alias) for link in rtnetlink.links(connection) if link.alias.startswith(f"{alias} ")]


def remove_link(name: str) -> None:
    """Remove a device, if it is there."""
    with explained(f"remove {name}"), Socket(NETLINK_ROUTE) as connection:
        delete(connection, name)


def is_ours(link: Link, alias: str) -> bool:
    """Whether a device was made for the network of this alias.

    Who is killed between making it and giving it the alias leaves it without one; by its name, which no user can choose
    for a network, it is ours all the same.
    """
    return link.alias == alias or (not link.alias and is_own_bridge(link.name))


def delete(connection: Socket, name: str) -> None:
    """The same, over a connection that is there."""
    try:
        connection.transact([rtnetlink.delete_link(name)])
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def overlap(subnet: Subnet, network: BridgeNetwork, route: str) -> Overlap:
    """The error that tells of a route of the host's to addresses of a network."""
    again = "remove the network and make it again with another --subnet"
    if network.name == DEFAULT:
        again = (
            f"stop the containers there and remove the bridge (ip link delete {network.bridge}): it gets another subnet"
        )
    return Overlap(
        f"the subnet {subnet.subnet} of the network {network.name} overlaps the host's route to {route}",
        hint=f"remove that route, or {again}",
        version=subnet.version,
    )


def _existing(connection: Socket, bridge: str, name: str) -> BridgeNetwork | None:
    link = rtnetlink.find_link(connection, bridge)
    if link is None or link.kind != "bridge":
        return None
    for found in rtnetlink.addresses(connection, link.ifindex):
        subnet = str(ip_interface(f"{found.address}/{found.prefix}").network)
        return BridgeNetwork(name, bridge, (Subnet(subnet, found.address),), mtu=link.mtu)
    return None


def _routes(connection: Socket, family: int) -> list[rtnetlink.Route]:
    try:
        return rtnetlink.routes(connection, family)
    except OSError as error:
        if family == socket.AF_INET6 and error.errno in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP}:
            return []  # a kernel without IPv6
        raise


def _mtu(connection: Socket, largest: int) -> int:
    outward = {route.ifindex for route in rtnetlink.routes(connection) if route.destination == _ANYWHERE}
    return min([largest, *(link.mtu for link in rtnetlink.links(connection) if link.ifindex in outward)])


def _ready(connection: Socket, link: Link, network: BridgeNetwork) -> bool:
    if link.kind != "bridge" or not link.up:
        return False
    for subnet in network.subnets:
        if not _has_address(connection, link, subnet) or not _forwards(subnet.version):
            return False
    with explained_rules(network.bridge), Socket(NETLINK_NETFILTER) as filters:
        return nftables.holds(filters, firewall.TABLE, firewall.chains(network))


def _make(connection: Socket, network: BridgeNetwork) -> Link:
    link = _bridge(connection, network)
    if not link.up:
        connection.transact([rtnetlink.set_up(link.ifindex, network.bridge)])
    for subnet in network.subnets:
        if not _has_address(connection, link, subnet):
            _add_address(connection, link, network, subnet)
        if not _forwards(subnet.version):
            _forward(connection, subnet.version)
    with explained_rules(network.bridge), Socket(NETLINK_NETFILTER) as filters:
        nftables.ensure(filters, firewall.TABLE, firewall.chains(network))
    return link


def _forwards(version: int) -> bool:
    return sysctl.get(_FORWARDING[version]) == "1"


def _forward(connection: Socket, version: int) -> None:
    if version == 6:
        # A host that forwards heeds no router that tells it its own routes, unless it is told to.
        for link in rtnetlink.links(connection):
            name = f"net/ipv6/conf/{link.name}/accept_ra"
            if _value(name) == "1":
                sysctl.put(name, "2")
    sysctl.put(_FORWARDING[version], "1")


def _value(name: str) -> str:
    try:
        return sysctl.get(name)
    except OSError:
        return ""  # a device without IPv6, or one that has just gone


def _bridge(connection: Socket, network: BridgeNetwork) -> Link:
    link = rtnetlink.find_link(connection, network.bridge)
    new = link is None
    if new:
        made = rtnetlink.new_bridge(network.bridge, mac=mac_for(_main_address(network)), mtu=network.mtu)
        connection.transact([made])
        link = rtnetlink.find_link(connection, network.bridge)
    if link is not None and network.alias != link.alias and (new or is_ours(link, network.alias)):
        connection.transact([rtnetlink.set_alias(link.ifindex, network.alias)])
    if link is None:
        raise OSError(errno.ENODEV, "removed as soon as it was made", network.bridge)
    if link.kind != "bridge":
        raise Conflict(
            f"the device {network.bridge} exists and is not a bridge",
            hint="rename or remove that device: Kist needs its name",
        )
    return link


def _main_address(network: BridgeNetwork) -> str:
    """What the bridge's MAC follows from; also of one that has no address."""
    return next((each.gateway or first_address(each.subnet) for each in network.subnets), "0.0.0.0")


def _has_address(connection: Socket, link: Link, subnet: Subnet) -> bool:
    if not subnet.gateway:
        return True
    found = rtnetlink.addresses(connection, link.ifindex, FAMILIES[subnet.version])
    wanted = plain(subnet.gateway), parse_subnet(subnet.subnet).prefixlen
    return any((plain(each.address), each.prefix) == wanted for each in found)


def _instead(link: Link, network: BridgeNetwork, there: str) -> str:
    """What can be done about a bridge that has this address, with its prefix, and not the network's."""
    if link.alias == network.alias:
        return f"stop its containers and remove it (ip link delete {network.bridge}): it is made again"
    given = ip_interface(there)
    return f"it is not Kist's: give the network that one (--subnet {given.network} --gateway {given.ip})"


def _add_address(connection: Socket, link: Link, network: BridgeNetwork, subnet: Subnet) -> None:
    family, prefix = FAMILIES[subnet.version], parse_subnet(subnet.subnet).prefixlen
    for found in rtnetlink.addresses(connection, link.ifindex, family):
        if found.address.startswith("fe80:"):
            continue
        there, wanted = f"{found.address}/{found.prefix}", f"{subnet.gateway}/{prefix}"
        raise Conflict(
            f"the bridge {network.bridge} has the address {there}, not {wanted}",
            hint=_instead(link, network, there),
        )
    routed = [each.destination for each in _routes(connection, family) if each.ifindex != link.ifindex]
    taken = overlapping(subnet.subnet, routed)
    if taken:
        raise overlap(subnet, network, taken)
    connection.transact([rtnetlink.add_address(link.ifindex, subnet.gateway, prefix)])
