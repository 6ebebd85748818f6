"""Packet rules in the kernel, beside those that ``bridges`` makes with a bridge: what is left, and what others have.

Every function works in the network namespace of the calling thread; for what it raises see ``failures.explained``.
"""

from collections.abc import Sequence

from kist.kernel import netns, nftables, rtnetlink
from kist.kernel.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, Socket
from kist.network import firewall, outward, plan
from kist.network.failures import explained, explained_rules


def stray_chains() -> list[tuple[str, ...]]:
    """Names of chains in our tables, together those of each bridge that does not exist."""
    strays: dict[str, list[str]] = {}
    # Whoever makes or removes a bridge holds the lock until its rules are there, or gone.
    with explained("read the packet rules"), netns.locked():
        with Socket(NETLINK_NETFILTER) as connection:
            found = [chain.name for chain in nftables.list_chains(connection) if chain.table == firewall.TABLE]
        with Socket(NETLINK_ROUTE) as connection:
            bridges = {link.name for link in rtnetlink.links(connection)}
    for name in dict.fromkeys(found):
        bridge = name.rpartition("-")[0]
        # The way out's device comes and goes with its program, and the chain waits for the next one.
        if bridge not in bridges and bridge != outward.DEVICE:
            strays.setdefault(bridge, []).append(name)
    return [tuple(names) for names in strays.values()]


def remove_chains(names: Sequence[str]) -> None:
    """Remove chains of our tables."""
    with explained("remove packet rules"), netns.locked(), Socket(NETLINK_NETFILTER) as connection:
        nftables.remove(connection, firewall.TABLE, names)


def guard_way_out() -> None:
    """Have the rules of an ordinary user's way out in place."""
    with explained_rules(outward.DEVICE), netns.locked(), Socket(NETLINK_NETFILTER) as connection:
        nftables.ensure(connection, firewall.TABLE, [firewall.way_out_chain(outward.DEVICE)])


def blocking_chains() -> tuple[str, ...]:
    """Other firewalls' chains that drop what they do not know, Docker's for one: our accepting does not overrule them.

    One with rules about devices whose names begin as our bridges' lets them through, or its administrator wants it so.

    Returns:
        ``ip filter FORWARD`` and the like. What iptables-legacy holds is not seen.
    """
    with explained("read the packet rules"), Socket(NETLINK_NETFILTER) as connection:
        return tuple(
            f"{chain.family} {chain.table} {chain.name}"
            for chain in nftables.list_chains(connection)
            if chain.hook == nftables.HOOK_FORWARD
            and chain.policy == nftables.POLICY_DROP
            and chain.family in ("ip", "inet")
            and chain.table != firewall.TABLE
            and not nftables.mentions(connection, chain.table, plan.BRIDGE_PREFIX, chain.family)
        )
