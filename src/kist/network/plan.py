"""What a bridge network looks like: addresses, names and the files that tell a container about it; all pure."""

import hashlib
import socket
from collections.abc import Collection, Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError, ip_address

import msgspec

from kist.errors import InvalidInput, Unavailable
from kist.spec.networking import NetworkAttachment

UPSTREAM_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"

# Private ranges that few sites route, the customary one first.
CANDIDATE_SUBNETS = (
    *(f"10.{number}.0.0/16" for number in range(88, 96)),
    *(f"172.{number}.0.0/16" for number in (30, 29, 28, 27)),
    *(f"192.168.{number}.0/24" for number in range(224, 232)),
)

_DEFAULT_ROOT = "/var/lib/kist"
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
    return "kist" + container_id[:11]


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


def attachment(network: BridgeNetwork, address: str) -> NetworkAttachment:
    """A container's end on the network, at ``address`` (without prefix length)."""
    return NetworkAttachment(
        network=network.name,
        address=f"{address}/{network.prefix}",
        gateway=network.gateway,
        mac=mac_for(address),
    )


def mac_for(address: str) -> str:
    """A locally administered MAC that follows from the IPv4 address.

    An address that is used again has the same MAC again, so no neighbour's ARP cache is ever wrong.
    """
    return (_LINK_LAYER_PREFIX + IPv4Address(_bare(address)).packed).hex(":")


def host_resolvers(resolv_conf: str) -> list[str]:
    """The name servers of a resolv.conf that a container can reach: all but the host's loopback ones."""
    return [server for server in _values(resolv_conf, "nameserver") if _reachable(server)]


def resolv_file(host: str, upstream: str = "") -> str:
    """A container's /etc/resolv.conf.

    Args:
        host: the text of the host's /etc/resolv.conf.
        upstream: the text of ``UPSTREAM_RESOLV_CONF`` where it exists: what systemd-resolved itself asks. It counts
            where the host's has loopback servers only.
    """
    source = host if host_resolvers(host) or not host_resolvers(upstream) else upstream
    lines = [f"nameserver {server}" for server in host_resolvers(source)] or [
        "# The host has no name server that can be reached"
    ]
    for keyword in ("search", "options"):
        lines += [f"{keyword} {value}" for value in _lines(source, keyword)]
    return "\n".join(lines) + "\n"


def hosts_file(hostname: str, address: str = "") -> str:
    """A container's /etc/hosts (hosts(5)); without an address, on no network, its name is a loopback one."""
    names = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
        f"{_bare(address) or '127.0.1.1'}\t{hostname}",
    ]
    return "\n".join(names) + "\n"


def hostname_file(hostname: str) -> str:
    """A container's /etc/hostname."""
    return hostname + "\n"


def _bare(address: str) -> str:
    return address.partition("/")[0]


def _lines(resolv_conf: str, keyword: str) -> list[str]:
    # resolv.conf(5): a keyword at the start of the line, then white space; ; and # begin a comment line.
    split = (line.split(None, 1) for line in resolv_conf.splitlines() if not line[:1].isspace())
    return [parts[1].strip() for parts in split if len(parts) == 2 and parts[0] == keyword]


def _values(resolv_conf: str, keyword: str) -> list[str]:
    return [value.split()[0] for value in _lines(resolv_conf, keyword)]


def _reachable(server: str) -> bool:
    try:
        address = ip_address(server.partition("%")[0])
    except ValueError:
        return False
    # A zone (fe80::1%eth0) names a device that the container does not have.
    return not (address.is_loopback or address.is_unspecified or address.is_link_local)
