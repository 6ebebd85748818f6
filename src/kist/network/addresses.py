"""Subnets and the addresses in them, of IPv4 and of IPv6: which are free; all pure."""

import contextlib
import hashlib
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from kist.errors import Conflict, InvalidInput, Unavailable
from kist.spec.network import Subnet, SubnetUsage

# Private ranges that few sites route, the customary one first: one of these for the default network.
CANDIDATE_SUBNETS = (
    *(f"10.{number}.0.0/16" for number in range(88, 96)),
    *(f"172.{number}.0.0/16" for number in (30, 29, 28, 27)),
    *(f"192.168.{number}.0/24" for number in range(224, 232)),
)
# Of these are the networks that users make: as many addresses each as a bridge has room for; none is in the way of a
# default network.
DEFAULT_POOLS = (("10.80.0.0/13", 22), ("172.20.0.0/14", 22), ("192.168.232.0/21", 24))
_LINK_LAYER_PREFIX = b"\x02\x6b"  # the bit for "locally administered"; unicast
_THIS_HOST = IPv4Network("0.0.0.0/8")  # RFC 1122, section 3.2.1.3
_MOST_TAKERS = 6
_WIDE = 64  # bits of an IPv6 subnet's prefix

AnyNetwork = IPv4Network | IPv6Network
Pools = Sequence[tuple[str, int]]


def parse_subnet(text: str) -> AnyNetwork:
    """A subnet.

    Raises:
        InvalidInput: it is none, or has bits behind its prefix.
    """
    reason = "the length of its prefix is missing"
    try:
        if "/" in text:
            return ip_network(text)
    except ValueError as error:
        reason = str(error)
    raise InvalidInput(f"invalid subnet {text!r}: {reason}", hint="a subnet is like 10.89.0.0/22")


def parse_address(text: str, subnet: str = "") -> IPv4Address | IPv6Address:
    """An address, of the same kind as the subnet where one is given.

    Raises:
        InvalidInput: it is none.
    """
    with contextlib.suppress(ValueError):
        found = ip_address(text)
        if not subnet or found.version == parse_subnet(subnet).version:
            return found
    kind = f"IPv{parse_subnet(subnet).version} " if subnet else ""
    raise InvalidInput(
        f"invalid {kind}address: {text}", hint=f"an address of {subnet}" if subnet else "write it like 10.89.0.7"
    )


def plain(address: str) -> str:
    """An address without the length of its prefix, spelt as all are that are given out: ``fd00:1:0::1`` is one too."""
    return str(ip_address(bare(address)))


def choose_subnet(
    routed: Iterable[str], candidates: Iterable[str] = CANDIDATE_SUBNETS, pools: Pools = DEFAULT_POOLS
) -> str:
    """The first candidate that overlaps none of the host's destinations (``0.0.0.0/0`` does not count).

    Where all do, a part of the pools of which networks are that users make.

    Raises:
        Unavailable: all of these overlap, too.
    """
    candidates = tuple(candidates)
    destinations = frozenset(routed)
    for candidate in candidates:
        if not overlapping(candidate, destinations):
            return candidate
    with contextlib.suppress(Unavailable):
        return choose_from_pools(destinations, pools)
    raise Unavailable(
        "no free subnet for the bridge network: this machine has routes to all that Kist would choose from",
        hint="remove bridges that nobody needs any more (ip link delete NAME), or set pools that are free under "
        "[networks] in engine.toml; --network host needs none",
    )


def takers(routes: Iterable[tuple[str, str]], ranges: Iterable[str]) -> str:
    """Who has what of some ranges, in words: ``tun0 (10.0.0.0/8), kist0 (10.88.0.0/16) and 3 more``; the largest first.

    Args:
        routes: destinations, and whose each is; of two with the same destination the first counts.
        ranges: subnets.
    """
    wanted = tuple(ranges)
    found: dict[str, str] = {}
    for destination, who in routes:
        if any(overlapping(part, [destination]) for part in wanted):
            found.setdefault(destination, who)
    ordered = sorted(found.items(), key=lambda each: ip_network(each[0], strict=False).prefixlen)
    shown = ", ".join(f"{who} ({destination})" for destination, who in ordered[:_MOST_TAKERS])
    more = len(ordered) - _MOST_TAKERS
    return f"{shown} and {more} more" if more > 0 else shown


def choose_from_pools(taken: Iterable[str], pools: Pools = DEFAULT_POOLS) -> str:
    """The first part of the pools that overlaps nothing that is taken.

    Args:
        taken: destinations of the host's routes, and subnets of other networks.
        pools: each a range, and the length of the prefix of its parts.

    Raises:
        Unavailable: all of them are used up.
    """
    others = sorted(
        (int(other.network_address), int(other.broadcast_address))
        for text in taken
        if (other := ip_network(text, strict=False)).version == 4 and other.prefixlen
    )
    for base, length in pools:
        for part in _parts(IPv4Network(base), length, others):
            return str(part)
    raise Unavailable(
        "all predefined address pools have been fully subnetted: no free subnet is left in "
        + ", ".join(base for base, _ in pools),
        hint="remove networks that are not needed (kist network prune), choose one with --subnet, or set pools under "
        "[networks] in engine.toml",
    )


def _parts(base: IPv4Network, length: int, taken: Sequence[tuple[int, int]]) -> Iterator[IPv4Network]:
    """The parts of a range that are free, without looking at each that is not."""
    size = 1 << (32 - length)
    first, end = int(base.network_address), int(base.broadcast_address)
    while first <= end:
        last = first + size - 1
        hit = next((high for low, high in taken if low <= last and high >= first), None)
        if hit is None:
            yield IPv4Network((first, length))
            first += size
        else:
            first += (hit - first) // size * size + size


def overlapping(subnet: str, routed: Iterable[str]) -> str:
    """The first of the destinations that has addresses in common with the subnet; empty when none has."""
    own = parse_subnet(subnet)
    for destination in routed:
        other = ip_network(destination, strict=False)
        if other.version == own.version and other.prefixlen and own.overlaps(other):
            return destination
    return ""


def unique_local(seed: str) -> str:
    """An IPv6 subnet that nobody else is likely to have (RFC 4193): it follows from the seed."""
    digits = hashlib.sha256(seed.encode()).digest()[:5]
    return str(IPv6Network((b"\xfd" + digits + bytes(10), _WIDE)))


def first_address(subnet: str) -> str:
    """The address that the bridge takes."""
    network = parse_subnet(subnet)
    return str(network[1] if network.num_addresses > 1 else network[0])


def check_subnet(subnet: Subnet) -> None:
    """Refuse a subnet of a network whose parts do not fit together.

    Raises:
        InvalidInput: names the part.
    """
    network = parse_subnet(subnet.subnet)
    kept = network.is_loopback or network.is_multicast or network.is_unspecified or network.is_reserved
    if kept or (network.version == 4 and network.overlaps(_THIS_HOST)):
        raise InvalidInput(f"the subnet {network} is not for networks", hint="take a private one, as 10.89.0.0/22")
    if network.num_addresses < 4:
        raise InvalidInput(f"the subnet {network} is too small for a network", hint="give it a /30 at least")
    if subnet.ip_range:
        part = parse_subnet(subnet.ip_range)
        if part.version != network.version or not part.subnet_of(network):  # type: ignore[arg-type]
            raise InvalidInput(f"no matching subnet for range {part}: it is not in {network}")
    for what, text in (("gateway", subnet.gateway), *subnet.reserved.items()):
        if text and parse_address(text) not in network:
            raise InvalidInput(f"no matching subnet for {what} {text}: it is not in {network}")
    if subnet.gateway:
        first, last = _usable(network)
        if not first <= int(parse_address(subnet.gateway)) <= last:
            raise InvalidInput(
                f"the gateway {subnet.gateway} cannot be a host's address in {network}",
                hint=f"take one from {_written(first, network)} on, or leave it out",
            )


def canonical(subnet: Subnet) -> Subnet:
    """A subnet that ``check_subnet`` has passed, with its addresses written as the kernel and we write them."""
    return Subnet(
        str(parse_subnet(subnet.subnet)),
        subnet.gateway and str(parse_address(subnet.gateway)),
        subnet.ip_range and str(parse_subnet(subnet.ip_range)),
        {name: str(parse_address(address)) for name, address in subnet.reserved.items()},
    )


def choose_address(subnet: Subnet, used: Collection[str]) -> str:
    """The lowest address that is free, and is not the gateway, reserved, the network or the broadcast address.

    Args:
        subnet: of which only the range is given out.
        used: addresses that are taken, with or without their prefix length.

    Raises:
        Unavailable: all are taken.
    """
    network = parse_subnet(subnet.ip_range or subnet.subnet)
    low, high = _given_out(subnet, *_usable(parse_subnet(subnet.subnet)))
    family, size = (socket.AF_INET, 4) if network.version == 4 else (socket.AF_INET6, 16)
    marks = ":" if network.version == 6 else "."
    # As numbers: on a network with thousands of containers this is a good part of a start.
    taken = {
        int.from_bytes(socket.inet_pton(family, bare(address)), "big")
        for address in (*used, *_kept(subnet))
        if marks in address
    }
    for number in range(low, high + 1):
        if number not in taken:
            return socket.inet_ntop(family, number.to_bytes(size, "big"))
    raise Unavailable(
        f"no free address in {network}: all {max(0, high - low + 1)} are in use",
        hint="stop or remove containers that are not needed any more, or make a larger network",
    )


def usage(subnet: Subnet, used: Collection[str]) -> SubnetUsage:
    """How full a subnet is; ``used`` are addresses that are taken, on this subnet or another."""
    whole = parse_subnet(subnet.subnet)
    first, last = _usable(whole)
    low, high = _given_out(subnet, first, last)
    mark = ":" if whole.version == 6 else "."
    numbers = {int(parse_address(bare(each))) for each in (*used, *_kept(subnet)) if mark in each}
    taken = [number for number in numbers if first <= number <= last]
    inside = sum(low <= number <= high for number in taken)
    kept = whole.num_addresses - (last - first + 1)
    return SubnetUsage(subnet.subnet, kept + len(taken), max(0, high - low + 1 - inside))


def _given_out(subnet: Subnet, first: int, last: int) -> tuple[int, int]:
    """The first and the last address that containers get, of those that a device can have."""
    part = parse_subnet(subnet.ip_range or subnet.subnet)
    return max(first, int(part.network_address)), min(last, int(part.broadcast_address))


def fixed_address(subnet: Subnet, used: Collection[str], wanted: str) -> str:
    """The address that somebody asked for, if it can be had.

    Raises:
        InvalidInput: it is none of the subnet's.
        Conflict: another container, the bridge itself, or who it is reserved for has it.
    """
    address = parse_address(wanted, subnet.subnet)
    first, last = _usable(parse_subnet(subnet.subnet))
    if not first <= int(address) <= last:
        whole = parse_subnet(subnet.subnet)
        why = "is the whole network's, and no container's" if address in whole else "is not one of the network's"
        raise InvalidInput(
            f"invalid address {wanted}: it {why} ({whole})",
            hint=f"take one from {_written(first, whole)} to {_written(last, whole)}",
        )
    if str(address) in {bare(each) for each in used} | _kept(subnet):
        raise Conflict(f"Address already in use: {wanted}", hint="choose another, or leave --ip out")
    return str(address)


def _kept(subnet: Subnet) -> set[str]:
    """Addresses that no container gets; of networks that were stored long ago, spelt as somebody has written them."""
    return {plain(address) for address in (subnet.gateway, *subnet.reserved.values()) if address}


def _usable(network: AnyNetwork) -> tuple[int, int]:
    """The first and last address that a device can have."""
    last = int(network.broadcast_address)
    return int(network.network_address) + 1, last - 1 if network.version == 4 else last


def _written(number: int, network: AnyNetwork) -> str:
    return str(network[number - int(network.network_address)])


def mac_for(address: str) -> str:
    """A locally administered MAC that follows from the address.

    An address that is used again has the same MAC again, so no neighbour's cache is ever wrong.
    """
    packed = ip_address(bare(address)).packed
    if len(packed) > 4:
        packed = hashlib.sha256(packed).digest()[:4]
    return (_LINK_LAYER_PREFIX + packed).hex(":")


def bare(address: str) -> str:
    """An address without the length of its prefix."""
    return address.partition("/")[0]
