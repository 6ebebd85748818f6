from msgspec import structs

from kist.kernel import nftables
from kist.network import firewall
from kist.network.plan import BridgeNetwork
from kist.spec.network import Subnet

ONE = BridgeNetwork("bridge", "kist0", (Subnet("10.88.0.0/16", "10.88.0.1"),))
TWO = BridgeNetwork("lab", "kist-0123abcd", (Subnet("10.89.0.0/16", "10.89.0.1"),))


def test_a_network_has_a_chain_for_translation_and_one_for_forwarding() -> None:
    assert [(chain.name, chain.type, chain.hook, chain.priority) for chain in firewall.chains(ONE)] == [
        ("kist0-postrouting", "nat", nftables.HOOK_POSTROUTING, 100),
        ("kist0-forward", "filter", nftables.HOOK_FORWARD, 0),
    ]


def test_what_connection_tracking_does_not_know_is_dropped_at_the_way_out() -> None:
    chain = firewall.way_out_chain("tap0")
    assert (chain.name, chain.type, chain.hook) == ("tap0-input", "filter", nftables.HOOK_INPUT)
    assert [comment.split(" #")[0] for comment in chain.comments()] == ["of no connection"]


def test_networks_share_no_chain() -> None:
    assert not {chain.name for chain in firewall.chains(ONE)} & {chain.name for chain in firewall.chains(TWO)}


def test_the_rules_follow_from_bridge_and_subnet_alone() -> None:
    assert firewall.chains(ONE) == firewall.chains(
        BridgeNetwork("other", "kist0", (Subnet("10.88.0.0/16", "10.88.0.9"),), mtu=900)
    )
    assert firewall.chains(ONE)[0].comments() != firewall.chains(TWO)[0].comments()


def test_an_internal_network_is_closed_and_translates_nothing() -> None:
    inner = structs.replace(TWO, internal=True)
    (chain,) = firewall.chains(inner)
    assert [comment.split(" #")[0] for comment in chain.comments()] == [
        "among containers", "nothing from containers", "nothing to containers",
    ]  # fmt: skip


def test_ipv6_has_the_same_rules_in_its_own_table() -> None:
    both = structs.replace(TWO, subnets=(*TWO.subnets, Subnet("fd00:1::/64", "fd00:1::1")))
    found = [(chain.family, chain.name) for chain in firewall.chains(both)]
    assert found == [
        (family, f"kist-0123abcd-{kind}") for family in ("ip", "ip6") for kind in ("postrouting", "forward")
    ]


def test_without_masquerading_there_is_no_translation() -> None:
    assert [chain.type for chain in firewall.chains(structs.replace(ONE, masquerade=False))] == ["filter"]
