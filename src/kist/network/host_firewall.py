"""Whether the host filters packets: then published ports are carried in user space, where its rules for input hold.

A packet that is redirected to a container is forwarded, and no rule for what comes in sees it. So that a published port
is never more open than the port of any program of the host, the kernel's path is taken where nobody has such rules.
"""

from collections.abc import Iterable

from kist.kernel import nftables
from kist.kernel.nftables import Chain
from kist.kernel.port_elements import TABLE
from kist.network import firewall

_FAMILIES = frozenset({"inet", "ip", "ip6"})
_OWN = frozenset({firewall.TABLE, TABLE})
_WORDS = {
    nftables.HOOK_PREROUTING: "what arrives",
    nftables.HOOK_INPUT: "what comes in",
    nftables.HOOK_FORWARD: "what is forwarded",
    nftables.HOOK_OUTPUT: "what the host sends",
}


def objection(chains: Iterable[Chain], legacy: Iterable[str] = ()) -> str:
    """Who filters on this host, for people; empty for nobody.

    Args:
        chains: all of nf_tables.
        legacy: tables of iptables-legacy, of which nobody knows what is in them.
    """
    for chain in chains:
        if chain.family in _FAMILIES and chain.table not in _OWN and _filters(chain):
            what = "drops" if chain.policy == nftables.POLICY_DROP else "has rules for"
            return f"the chain {chain.family} {chain.table} {chain.name} {what} {_WORDS[chain.hook]}"
    for name in legacy:
        if name == "filter":
            return "iptables-legacy may have rules"
    return ""


def _filters(chain: Chain) -> bool:
    if chain.type != "filter" or chain.hook not in _WORDS:
        return False
    if chain.hook == nftables.HOOK_PREROUTING and chain.priority <= nftables.PRIORITY_DESTINATION_NAT:
        return False  # it sees packets before they are redirected
    return chain.policy == nftables.POLICY_DROP or chain.rules > 0
