import pytest

from kist.kernel.nftables import Chain
from kist.network.host_firewall import objection

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)


def chain(hook: int, *, rules: int = 0, policy: int = 1, priority: int = 0, **more: str) -> Chain:
    told = {"family": "inet", "table": "filter", "name": "own", "type": "filter"} | more
    return Chain(**told, hook=hook, policy=policy, priority=priority, rules=rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "found",
    [
        chain(INPUT),
        chain(FORWARD, family="ip"),
        chain(POSTROUTING, rules=3),
        chain(PREROUTING, rules=3, priority=-300),
        chain(-1, rules=3),
        chain(PREROUTING, rules=3, type="nat"),
        chain(OUTPUT, rules=3, type="nat"),
        chain(OUTPUT, rules=3, type="route"),
        chain(INPUT, rules=3, family="bridge"),
        chain(FORWARD, rules=3, table="kist", family="ip"),
        chain(INPUT, rules=3, table="kist", family="ip"),
    ],
)
def test_who_filters_nothing_leaves_published_ports_to_the_kernel(found: Chain) -> None:
    assert objection([found]) == ""


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (chain(INPUT, rules=1), "the chain inet filter own has rules for what comes in"),
        (chain(INPUT, policy=0), "the chain inet filter own drops what comes in"),
        (chain(FORWARD, policy=0, family="ip", name="FORWARD"), "the chain ip filter FORWARD drops what is forwarded"),
        (chain(FORWARD, rules=1, family="ip6"), "the chain ip6 filter own has rules for what is forwarded"),
        (chain(OUTPUT, rules=1), "the chain inet filter own has rules for what the host sends"),
        (chain(PREROUTING, rules=1), "the chain inet filter own has rules for what arrives"),
    ],
)
def test_who_filters_is_named(found: Chain, words: str) -> None:
    assert objection([chain(INPUT), found]) == words


def test_nobody_knows_what_iptables_legacy_has() -> None:
    assert objection([], ["nat"]) == ""
    assert objection([], ["nat", "filter"]) == "iptables-legacy may have rules"
