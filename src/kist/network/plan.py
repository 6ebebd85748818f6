"""What a bridge network looks like: devices, subnets and addresses; all pure."""

import hashlib
import socket
from collections.abc import Collection, Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

import msgspec

from kist.errors import Conflict, InvalidInput, Unavailable
from kist.spec.networking import NetworkAttachment

# Private ranges that few sites route, the customary one first.
CANDIDATE_SUBNETS = (
    *(f"10.{number}.0.0/16" for number in range(88, 96)),
    *(f"172.{number}.0.0/16" for number in (30, 29, 28, 27)),
    *(f"192.168.{number}.0/24" for number in range(224, 232)),
)

_DEFAULT_ROOT = "/var/lib/kist"
CABLE_PREFIX = "kist"
_LINK_LAYER_PREFIX = b"\x02\x6b"  # the bit for "locally administered"; unicast


class BridgeNetwork(msgspec.Struct, frozen=True):
    """A bridge on this machine with a subnet and a way out.

    Attributes:
        name: what users call it.
        bridge: the device, at most 15 characters.
        subnet: ``10.88.0.0/16``.
        gateway: the bridge's own address in the subnet, ``10.88.0.1``.
        mtu: bytes of the largest packet.
    """

    name: str
    bridge: str
    subnet: str
    gateway: str
    mtu: int = 1500

    @property
    def prefix(self) -> int:
        """The length of the subnet's prefix in bits."""
        return parse_subnet(self.subnet).prefixlen


def bridge_name(data_root: str) -> str:
    """The bridge of an engine: ``kist0`` for the machine's own, another for each other data root.

    Two engines lease addresses without knowing of each other, so they cannot share a subnet.
    """
    root = data_root.rstrip("/")
    return "kist0" if root == _DEFAULT_ROOT else "kist-" + hashlib.sha256(root.encode()).hexdigest()[:8]


def veth_name(container_id: str) -> str:
    """The host's end of a container's cable: 15 characters, as many as the kernel has room for."""
    return CABLE_PREFIX + container_id[:11]


def parse_subnet(text: str) -> IPv4Network:
    """An IPv4 subnet.

    Raises:
        InvalidInput: it is none, or has bits behind its prefix.
    """
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise InvalidInput(f"invalid subnet {text!r}: {error}", hint="a subnet is like 10.88.0.0/16") from None


def choose_subnet(routed: Iterable[str], candidates: Iterable[str] = CANDIDATE_SUBNETS) -> str:
    """The first candidate that overlaps none of the host's destinations (``0.0.0.0/0`` does not count).

    Raises:
        Unavailable: all overlap.
    """
    destinations = frozenset(routed)
    for candidate in candidates:
        if not overlapping(candidate, destinations):
            return candidate
    raise Unavailable(
        "no free subnet for the bridge network: this machine has routes to all that Kist would choose from",
        hint="run with --network host, or remove a route to one of " + ", ".join(CANDIDATE_SUBNETS[:3]) + " …",
    )


def overlapping(subnet: str, routed: Iterable[str]) -> str:
    """The first of the destinations that has addresses in common with the subnet; empty when none has."""
    own = parse_subnet(subnet)
    for destination in routed:
        other = IPv4Network(destination, strict=False)
        if other.prefixlen and own.overlaps(other):
            return destination
    return ""


def first_address(subnet: str) -> str:
    """The address that the bridge takes."""
    return str(parse_subnet(subnet)[1])


def choose_address(subnet: str, gateway: str, used: Collection[str]) -> str:
    """The lowest address that is free and is not the gateway, the network or the broadcast address.

    Args:
        subnet: ``10.88.0.0/16``.
        gateway: ``10.88.0.1``.
        used: addresses that are taken, with or without their prefix length.

    Raises:
        Unavailable: all are taken.
    """
    taken = {_bare(address) for address in (gateway, *used)}
    network = parse_subnet(subnet)
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    for number in range(first, last + 1):
        address = socket.inet_ntoa(number.to_bytes(4, "big"))
        if address not in taken:
            return address
    raise Unavailable(
        f"no free address in {subnet}: all {max(0, last - first + 1)} are in use",
        hint="remove containers that are not needed any more",
    )


def fixed_address(subnet: str, gateway: str, used: Collection[str], wanted: str) -> str:
    """The address that somebody asked for, if it can be had.

    Raises:
        InvalidInput: it is none of the subnet's.
        Conflict: another container, or the bridge itself, has it.
    """
    network = parse_subnet(subnet)
    try:
        address = IPv4Address(wanted)
    except AddressValueError:
        raise InvalidInput(f"invalid IPv4 address: {wanted}", hint=f"an address of {subnet}") from None
    if address not in network or address in {network.network_address, network.broadcast_address}:
        raise InvalidInput(f"invalid address {wanted}: it is not one of the network's {subnet}")
    if wanted in {_bare(each) for each in (gateway, *used)}:
        raise Conflict(f"Address already in use: {wanted}", hint="choose another, or leave --ip out")
    return wanted


def attachment(network: BridgeNetwork, address: str, mac: str = "", resolver: str = "") -> NetworkAttachment:
    """A container's end on the network, at ``address`` (without prefix length)."""
    return NetworkAttachment(
        network=network.name,
        address=f"{address}/{network.prefix}",
        gateway=network.gateway,
        mac=mac or mac_for(address),
        resolver=resolver,
    )


def mac_for(address: str) -> str:
    """A locally administered MAC that follows from the IPv4 address.

    An address that is used again has the same MAC again, so no neighbour's ARP cache is ever wrong.
    """
    return (_LINK_LAYER_PREFIX + IPv4Address(_bare(address)).packed).hex(":")


def _bare(address: str) -> str:
    return address.partition("/")[0]
