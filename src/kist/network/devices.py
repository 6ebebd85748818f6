"""A container's devices on its networks, as they are found in its network namespace: which are there, which stale.

The container's own processes may have devices there, of the same kinds too: those of containers in the container.
A device of ours leads out of the namespace, and has an address that is leased to this end, or its hardware address.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from kist.kernel import rtnetlink
from kist.kernel.netlink import Socket
from kist.kernel.rtnetlink import Link
from kist.network import bridges
from kist.network.addresses import bare
from kist.network.parents import DRIVERS, ParentNetwork
from kist.network.plan import BridgeNetwork
from kist.spec.networking import NetworkAttachment

CABLE = "veth"
UNFINISHED = "kist: being connected"
"""The alias of a device that is being given to a container that runs already."""


class End(NamedTuple):
    """What a container gets on a network, and how the network is in the kernel."""

    attachment: NetworkAttachment
    network: BridgeNetwork | ParentNetwork

    @property
    def kind(self) -> str:
        """That of its device in the container."""
        return self.network.driver if isinstance(self.network, ParentNetwork) else CABLE

    @property
    def addresses(self) -> frozenset[str]:
        """Those of its device, without the length of their prefixes."""
        return addresses_of(self.attachment)


def is_there(outside: Socket, inside: Socket, end: End) -> bool:
    """Whether a namespace has an end of ours, whole; its processes may have given it other addresses.

    Args:
        outside: a socket where the network is.
        inside: one in the container's namespace.
        end: the end.
    """
    held, parent = _held(inside), _parent(outside, end)
    return any(
        link.up and link.alias != UNFINISHED and _is_of(link, held[link.ifindex], end, parent)
        for link in _links(inside, held)
    )


def remove(inside: Socket, addresses: Collection[str]) -> None:
    """Remove the devices of ours that have one of these addresses."""
    held = _held(inside)
    for link in _links(inside, held):
        if link.kind in {CABLE, *DRIVERS} and link.leads_out and not held[link.ifindex].isdisjoint(addresses):
            bridges.delete(inside, link.name)


def remove_stale(outside: Socket, inside: Socket, ends: Sequence[End], kept: Sequence[NetworkAttachment]) -> None:
    """Remove what is left in a namespace of ends that it is to get anew.

    It is there where the other end's namespace, an ordinary user's own network, cannot be reached any more and lives on
    with somebody, or has ended and the kernel has not come to it; and where an engine was killed while it connected.

    Args:
        outside: a socket where the networks are.
        inside: one in the container's namespace.
        ends: those that it is to get.
        kept: those that it has, and keeps.
    """
    held = _held(inside)
    others = frozenset[str]().union(*map(addresses_of, kept))
    wanted = [(end, _parent(outside, end)) for end in ends]
    for link in _links(inside, held):
        if any(_is_of(link, held[link.ifindex], end, parent, others) for end, parent in wanted):
            bridges.delete(inside, link.name)


def _is_of(link: Link, held: Collection[str], end: End, parent: int, others: frozenset[str] = frozenset()) -> bool:
    """Whether a device is an end's; ``others`` are addresses that ends on other networks have."""
    if link.kind != end.kind or not link.leads_out:
        return False
    if not end.addresses.isdisjoint(held):
        return True
    if not others.isdisjoint(held):
        return False  # the hardware address may be one that somebody has asked for on several networks
    if end.attachment.mac:
        return link.mac == end.attachment.mac.replace("-", ":").lower()
    return link.below == parent and (link.up or not held)


def _parent(outside: Socket, end: End) -> int:
    """The index of the device that a network's devices are on; 0 for none."""
    if not isinstance(end.network, ParentNetwork):
        return 0
    found = rtnetlink.find_link(outside, end.network.parent)
    return 0 if found is None else found.ifindex


def addresses_of(attachment: NetworkAttachment) -> frozenset[str]:
    """Those of an end, without the length of their prefixes."""
    return frozenset(bare(each) for each in (attachment.address, attachment.address6) if each)


def _held(inside: Socket) -> dict[int, set[str]]:
    """The addresses of all devices, by the devices' indices."""
    found: dict[int, set[str]] = {}
    for family in bridges.FAMILIES.values():
        for each in rtnetlink.addresses(inside, family=family):
            found.setdefault(each.ifindex, set()).add(each.address)
    return found


def _links(inside: Socket, held: dict[int, set[str]]) -> list[Link]:
    """All devices; each has its addresses in ``held`` then, none or more."""
    found = rtnetlink.links(inside)
    for link in found:
        held.setdefault(link.ifindex, set())
    return found
