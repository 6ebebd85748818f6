"""Bridge networks in the kernel: the bridge with its rules, and a cable to each container.

Every function works in the network namespace of the calling thread and may be called from many threads and processes at
once. What changes the bridge or its rules holds the lock of the namespace (``netns.locked``); a cable belongs to one
container and needs none.

Raises, everywhere:
    Forbidden: no CAP_NET_ADMIN.
    Unavailable: the kernel refuses for another reason, or lacks what is needed.
"""

import contextlib
import errno
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_interface

from kist.errors import Conflict, Forbidden, Unavailable, see_doctor
from kist.kernel import netns, nftables, rtnetlink, sysctl
from kist.kernel.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, Request, Socket
from kist.kernel.rtnetlink import Link
from kist.network import firewall, outward
from kist.network.plan import (
    CABLE_PREFIX,
    BridgeNetwork,
    choose_subnet,
    first_address,
    mac_for,
    overlapping,
    veth_name,
)
from kist.spec.networking import NetworkAttachment

DEVICE = "eth0"

_FORWARDING = "net.ipv4.ip_forward"
_LARGEST_MTU = 1500
_LOOPBACK_INDEX = 1  # in every network namespace


def default_network(
    bridge: str = "kist0", name: str = "bridge", *, avoid: Iterable[str] = (), largest: int = _LARGEST_MTU
) -> BridgeNetwork:
    """The network on this bridge: as it is, or made now on a subnet to which the host has no route.

    Args:
        bridge: the device; ``plan.bridge_name`` tells which one is an engine's own.
        name: what users call the network.
        avoid: destinations beside those of this namespace that the subnet must not hide.
        largest: the MTU where no way out has a smaller one.

    Raises:
        Conflict: a device of this name is no bridge.
        Unavailable: no subnet is free.
    """
    with _explained(f"set up the bridge {bridge}"), netns.locked(), Socket(NETLINK_ROUTE) as connection:
        network = _existing(connection, bridge, name) or _free_network(connection, bridge, name, avoid, largest)
        _make(connection, network)
    return network


def ensure_bridge(network: BridgeNetwork) -> None:
    """Have the bridge up with its address, forwarding on and the rules in place; cheap when they are.

    Raises:
        Conflict: the device is no bridge or has another subnet, or the host routes the subnet elsewhere.
    """
    with _explained(f"set up the bridge {network.bridge}"), Socket(NETLINK_ROUTE) as connection:
        _ensure(connection, network)


def attach(netns_fd: int, attachment: NetworkAttachment, network: BridgeNetwork, container_id: str) -> None:
    """Connect a network namespace to the bridge: ``eth0`` with address and default route, loopback up.

    Args:
        netns_fd: the container's network namespace.
        attachment: from ``plan.attachment``.
        network: the bridge; what somebody removed of it or of its rules is made again.
        container_id: names the cable's end on the host.

    Raises:
        Conflict: the namespace has an ``eth0`` already, or as in ``ensure_bridge``.
    """
    name = veth_name(container_id)
    with _explained(f"connect the container {container_id[:12]} to {network.bridge}"):
        with Socket(NETLINK_ROUTE) as connection:
            _connect(connection, netns_fd, attachment, network, name)
        try:
            _configure(netns_fd, attachment)
        except OSError:
            detach(container_id)
            raise


def detach(container_id: str) -> None:
    """Remove a container's cable, if there is one.

    Not needed when the container's namespace ends: the kernel removes the cable then, without anybody's waiting. This
    call waits for the kernel, some 16 ms.
    """
    with _explained(f"disconnect the container {container_id[:12]}"), Socket(NETLINK_ROUTE) as connection:
        _delete(connection, veth_name(container_id))


def cables(bridge: str) -> list[str]:
    """The names of the host's ends of all cables of ours on this bridge."""
    with _explained(f"look at the bridge {bridge}"), Socket(NETLINK_ROUTE) as connection:
        link = rtnetlink.find_link(connection, bridge)
        if link is None:
            return []
        found = [each for each in rtnetlink.links(connection) if each.master == link.ifindex]
        return [each.name for each in found if each.name.startswith(CABLE_PREFIX)]


def remove_link(name: str) -> None:
    """Remove a device, if it is there."""
    with _explained(f"remove {name}"), Socket(NETLINK_ROUTE) as connection:
        _delete(connection, name)


def stray_chains() -> list[tuple[str, ...]]:
    """Names of chains in our table, together those of each bridge that does not exist."""
    strays: dict[str, list[str]] = {}
    with _explained("read the packet rules"):
        with Socket(NETLINK_NETFILTER) as connection:
            found = [chain.name for chain in nftables.list_chains(connection) if chain.table == firewall.TABLE]
        with Socket(NETLINK_ROUTE) as connection:
            bridges = {link.name for link in rtnetlink.links(connection)}
    for name in found:
        bridge = name.rpartition("-")[0]
        # The way out's device comes and goes with its program, and the chain waits for the next one.
        if bridge not in bridges and bridge != outward.DEVICE:
            strays.setdefault(bridge, []).append(name)
    return [tuple(names) for names in strays.values()]


def remove_chains(names: Sequence[str]) -> None:
    """Remove chains of our table."""
    with _explained("remove packet rules"), netns.locked(), Socket(NETLINK_NETFILTER) as connection:
        nftables.remove(connection, firewall.TABLE, names)


def guard_way_out() -> None:
    """Have the rules of an ordinary user's way out in place."""
    with _explained_rules(outward.DEVICE), netns.locked(), Socket(NETLINK_NETFILTER) as connection:
        nftables.ensure(connection, firewall.TABLE, [firewall.way_out_chain(outward.DEVICE)])


def remove_bridge(network: BridgeNetwork) -> None:
    """Remove the bridge and its rules, if they are there. Forwarding stays on: others may rely on it by now."""
    with _explained(f"remove the bridge {network.bridge}"), netns.locked():
        with Socket(NETLINK_ROUTE) as connection:
            link = rtnetlink.find_link(connection, network.bridge)
            if link is not None and link.kind == "bridge":
                _delete(connection, network.bridge)
        with Socket(NETLINK_NETFILTER) as connection:
            nftables.remove(connection, firewall.TABLE, [chain.name for chain in firewall.chains(network)])


def blocking_chains() -> tuple[str, ...]:
    """Other firewalls' chains that drop what they do not know, Docker's for one: our accepting does not overrule them.

    Returns:
        ``ip filter FORWARD`` and the like. What iptables-legacy holds is not seen.
    """
    with _explained("read the packet rules"), Socket(NETLINK_NETFILTER) as connection:
        return tuple(
            f"{chain.family} {chain.table} {chain.name}"
            for chain in nftables.list_chains(connection)
            if chain.hook == nftables.HOOK_FORWARD
            and chain.policy == nftables.POLICY_DROP
            and chain.family in ("ip", "inet")
            and chain.table != firewall.TABLE
        )


def _existing(connection: Socket, bridge: str, name: str) -> BridgeNetwork | None:
    link = rtnetlink.find_link(connection, bridge)
    if link is None or link.kind != "bridge":
        return None
    for found in rtnetlink.addresses(connection, link.ifindex):
        subnet = str(ip_interface(f"{found.address}/{found.prefix}").network)
        return BridgeNetwork(name=name, bridge=bridge, subnet=subnet, gateway=found.address, mtu=link.mtu)
    return None


def _free_network(connection: Socket, bridge: str, name: str, avoid: Iterable[str], largest: int) -> BridgeNetwork:
    routes = rtnetlink.routes(connection)
    subnet = choose_subnet([*(route.destination for route in routes), *avoid])
    outward = {route.ifindex for route in routes if route.destination == "0.0.0.0/0"}
    sizes = [link.mtu for link in rtnetlink.links(connection) if link.ifindex in outward]
    # Packets that are too large for the way out get lost where a firewall swallows the ICMP messages that say so.
    mtu = min([largest, *sizes])
    return BridgeNetwork(name=name, bridge=bridge, subnet=subnet, gateway=first_address(subnet), mtu=mtu)


def _ensure(connection: Socket, network: BridgeNetwork) -> Link:
    link = rtnetlink.find_link(connection, network.bridge)
    if link is not None and _ready(connection, link, network):
        return link
    with netns.locked():
        return _make(connection, network)


def _ready(connection: Socket, link: Link, network: BridgeNetwork) -> bool:
    if link.kind != "bridge" or not link.up or not _has_address(connection, link, network):
        return False
    if sysctl.get(_FORWARDING) != "1":
        return False
    with _explained_rules(network.bridge), Socket(NETLINK_NETFILTER) as filters:
        return nftables.holds(filters, firewall.TABLE, firewall.chains(network))


def _make(connection: Socket, network: BridgeNetwork) -> Link:
    link = _bridge(connection, network)
    if not link.up:
        connection.transact([rtnetlink.set_up(link.ifindex, network.bridge)])
    if not _has_address(connection, link, network):
        _add_address(connection, link, network)
    if sysctl.get(_FORWARDING) != "1":
        sysctl.put(_FORWARDING, "1")
    with _explained_rules(network.bridge), Socket(NETLINK_NETFILTER) as filters:
        nftables.ensure(filters, firewall.TABLE, firewall.chains(network))
    return link


def _bridge(connection: Socket, network: BridgeNetwork) -> Link:
    link = rtnetlink.find_link(connection, network.bridge)
    if link is None:
        connection.transact([rtnetlink.new_bridge(network.bridge, mac=mac_for(network.gateway), mtu=network.mtu)])
        link = rtnetlink.find_link(connection, network.bridge)
    if link is None:
        raise OSError(errno.ENODEV, "removed as soon as it was made", network.bridge)
    if link.kind != "bridge":
        raise Conflict(
            f"the device {network.bridge} exists and is not a bridge",
            hint="rename or remove that device: Kist needs its name",
        )
    return link


def _has_address(connection: Socket, link: Link, network: BridgeNetwork) -> bool:
    found = rtnetlink.addresses(connection, link.ifindex)
    return any((each.address, each.prefix) == (network.gateway, network.prefix) for each in found)


def _add_address(connection: Socket, link: Link, network: BridgeNetwork) -> None:
    for found in rtnetlink.addresses(connection, link.ifindex):
        there, wanted = f"{found.address}/{found.prefix}", f"{network.gateway}/{network.prefix}"
        raise Conflict(
            f"the bridge {network.bridge} has the address {there}, not {wanted}",
            hint=f"stop its containers and remove it (ip link delete {network.bridge}): it is made again",
        )
    routed = [route.destination for route in rtnetlink.routes(connection) if route.ifindex != link.ifindex]
    taken = overlapping(network.subnet, routed)
    if taken:
        raise Conflict(
            f"the subnet {network.subnet} of the network {network.name} overlaps the host's route to {taken}",
            hint="give the network another subnet",
        )
    connection.transact([rtnetlink.add_address(link.ifindex, network.gateway, network.prefix)])


def _connect(
    connection: Socket, netns_fd: int, attachment: NetworkAttachment, network: BridgeNetwork, name: str
) -> None:
    link = _ensure(connection, network)
    cable = rtnetlink.new_veth(
        name, master=link.ifindex, mtu=network.mtu, peer=DEVICE, peer_mac=attachment.mac, peer_netns=netns_fd
    )
    try:
        connection.transact([cable])
    except FileExistsError:
        # The container's last run: its namespace has ended, and the kernel has not come to remove the cable.
        _delete(connection, name)
        _connect_again(connection, cable)


def _connect_again(connection: Socket, cable: Request) -> None:
    try:
        connection.transact([cable])
    except FileExistsError:
        raise Conflict(f"the container's network namespace has a device {DEVICE} already") from None


def _configure(netns_fd: int, attachment: NetworkAttachment) -> None:
    address, _, prefix = attachment.address.partition("/")
    with netns.socket_inside(netns_fd) as inside:
        device = rtnetlink.find_link(inside, DEVICE)
        if device is None:
            raise OSError(errno.ENODEV, "removed as soon as it was made", DEVICE)
        _keep_quiet(inside, device)
        inside.transact(
            [
                rtnetlink.set_up(_LOOPBACK_INDEX, "lo"),
                rtnetlink.set_up(device.ifindex, DEVICE),
                rtnetlink.add_address(device.ifindex, address, int(prefix)),
                rtnetlink.add_default_route(attachment.gateway),
            ]
        )


def _keep_quiet(inside: Socket, device: Link) -> None:
    """Without this each new container multicasts to all others, and the 600th attach takes twice as long."""
    try:
        inside.transact([rtnetlink.without_link_local(device.ifindex, DEVICE)])
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:  # a kernel without IPv6 is quiet
            raise


def _delete(connection: Socket, name: str) -> None:
    try:
        connection.transact([rtnetlink.delete_link(name)])
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


@contextlib.contextmanager
def _explained(purpose: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Forbidden(
            f"cannot {purpose}: {_reason(error)}",
            hint=see_doctor(
                "bridge", "bridge networks need CAP_NET_ADMIN (root); --network host and --network none do not"
            ),
        ) from error
    except OSError as error:
        full = error.errno == errno.EXFULL
        raise Unavailable(
            f"cannot {purpose}: {_reason(error)}",
            hint="a bridge has room for 1023 containers: stop some" if full else see_doctor("bridge"),
        ) from error


@contextlib.contextmanager
def _explained_rules(bridge: str) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise
    except OSError as error:
        raise Unavailable(
            f"cannot set up the packet rules of {bridge}: {_reason(error)}",
            hint=see_doctor(
                "nftables",
                "the kernel must have nf_tables with NAT and connection tracking (modules nf_tables, nft_chain_nat, "
                "nft_masq, nft_ct); --network host and --network none work without",
            ),
        ) from error


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
