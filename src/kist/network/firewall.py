"""The packet rules of a bridge network, as values.

Each network has base chains of its own in the tables ``kist`` of IPv4 and IPv6, so that networks and engines come and
go without reading each other's rules.
"""

from kist.kernel import nftables
from kist.kernel.nftables import BaseChain
from kist.kernel.nftables_expressions import (
    accept,
    drop,
    established,
    input_device,
    invalid,
    masquerade,
    output_device,
    source_subnet,
)
from kist.kernel.nftables_maps import redirected
from kist.network.addresses import parse_subnet
from kist.network.plan import BridgeNetwork

TABLE = "kist"
_FAMILIES = {4: "ip", 6: "ip6"}


def chains(network: BridgeNetwork) -> tuple[BaseChain, ...]:
    """The chains of a bridge, for each kind of addresses that it has.

    What leaves the bridge takes the host's address; what comes in from elsewhere is an answer, or is dropped. An
    internal network is left by nothing, and entered by nothing.
    """
    found: list[BaseChain] = []
    for subnet in network.subnets:
        if network.masquerade and not network.internal:
            found.append(_leaving(network.bridge, subnet.subnet))
        rules = _closed(network.bridge) if network.internal else _open(network.bridge)
        found.append(
            BaseChain(
                name=f"{network.bridge}-forward",
                type="filter",
                hook=nftables.HOOK_FORWARD,
                priority=nftables.PRIORITY_FILTER,
                rules=rules,
                family=_FAMILIES[subnet.version],
            )
        )
    return tuple(found)


def _leaving(bridge: str, text: str) -> BaseChain:
    subnet = parse_subnet(text)
    leaving = source_subnet(str(subnet.network_address), subnet.prefixlen) + output_device(bridge, equal=False)
    return BaseChain(
        name=f"{bridge}-postrouting",
        type="nat",
        hook=nftables.HOOK_POSTROUTING,
        priority=nftables.PRIORITY_SOURCE_NAT,
        rules=(("out under the host's address", leaving + masquerade()),),
        family=_FAMILIES[subnet.version],
    )


def _open(bridge: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("from containers", input_device(bridge) + accept()),
        ("answers to containers", output_device(bridge) + established() + accept()),
        ("published ports", output_device(bridge) + redirected() + accept()),
        ("nothing else to containers", output_device(bridge) + drop()),
    )


def _closed(bridge: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("among containers", input_device(bridge) + output_device(bridge) + accept()),
        ("nothing from containers", input_device(bridge) + drop()),
        ("nothing to containers", output_device(bridge) + drop()),
    )


def way_out_chain(device: str) -> BaseChain:
    """What is dropped of what comes in by the device of an ordinary user's way out.

    pasta sends segments that connection tracking takes for none of its own. Their addresses are not translated back, so
    they seem meant for this namespace, which would answer that there is no such connection, and end it.
    """
    return BaseChain(
        name=f"{device}-input",
        type="filter",
        hook=nftables.HOOK_INPUT,
        priority=nftables.PRIORITY_FILTER,
        rules=(("of no connection", input_device(device) + invalid() + drop()),),
    )
