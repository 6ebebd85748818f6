"""The packet rules of a bridge network, as values.

Each network has two base chains of its own in the table ``kist``, so that networks and engines come and go without
reading each other's rules.
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
from kist.network.plan import BridgeNetwork, parse_subnet

TABLE = "kist"


def chains(network: BridgeNetwork) -> tuple[BaseChain, ...]:
    """What leaves the bridge takes the host's address; what comes in from elsewhere is an answer, or is dropped."""
    bridge, subnet = network.bridge, parse_subnet(network.subnet)
    leaving = source_subnet(str(subnet.network_address), subnet.prefixlen) + output_device(bridge, equal=False)
    return (
        BaseChain(
            name=f"{bridge}-postrouting",
            type="nat",
            hook=nftables.HOOK_POSTROUTING,
            priority=nftables.PRIORITY_SOURCE_NAT,
            rules=(("out under the host's address", leaving + masquerade()),),
        ),
        BaseChain(
            name=f"{bridge}-forward",
            type="filter",
            hook=nftables.HOOK_FORWARD,
            priority=nftables.PRIORITY_FILTER,
            rules=(
                ("from containers", input_device(bridge) + accept()),
                ("answers to containers", output_device(bridge) + established() + accept()),
                ("nothing else to containers", output_device(bridge) + drop()),
            ),
        ),
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
