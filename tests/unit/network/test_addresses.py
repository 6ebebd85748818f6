from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kist.errors import Conflict, InvalidInput, Unavailable
from kist.network import addresses
from kist.spec.network import Subnet, SubnetUsage

SUBNET = Subnet("10.88.0.0/16", "10.88.0.1")


@pytest.mark.parametrize(
    ("subnet", "used", "expected"),
    [
        (SUBNET, (), "10.88.0.2"),
        (SUBNET, ("10.88.0.2", "10.88.0.4"), "10.88.0.3"),
        (SUBNET, ("10.88.0.2/16",), "10.88.0.3"),
        (Subnet("10.88.0.0/16", "10.88.0.7"), (), "10.88.0.1"),
        (Subnet("10.88.0.0/16", "10.88.0.1/16"), ("192.0.2.1",), "10.88.0.2"),
        (Subnet("10.0.0.0/30", "10.0.0.1"), (), "10.0.0.2"),
        (Subnet("10.0.0.0/23", "10.0.0.1"), tuple(f"10.0.0.{n}" for n in range(2, 256)), "10.0.1.0"),
        (Subnet("10.89.0.0/22", "10.89.0.1", "10.89.2.0/24"), (), "10.89.2.0"),
        (Subnet("10.89.0.0/22", "10.89.0.1", "10.89.0.0/28", {"printer": "10.89.0.2"}), (), "10.89.0.3"),
        (Subnet("fd00:1::/64", "fd00:1::1"), ("fd00:1::2",), "fd00:1::3"),
        (Subnet("fd00:1:0::/64", "fd00:1:0::1", "", {"printer": "FD00:1::0002"}), (), "fd00:1::3"),
    ],
)
def test_the_lowest_free_address_is_chosen(subnet: Subnet, used: tuple[str, ...], expected: str) -> None:
    assert addresses.choose_address(subnet, frozenset(used)) == expected


@pytest.mark.parametrize(
    "subnet",
    [
        Subnet("10.0.0.0/30", "10.0.0.1"), Subnet("10.0.0.0/31", "10.0.0.1"), Subnet("10.0.0.1/32", "10.0.0.1"),
        Subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.2/32"),
    ],
)  # fmt: skip
def test_a_full_subnet_is_said_to_be_full(subnet: Subnet) -> None:
    with pytest.raises(Unavailable, match="no free address in ") as caught:
        addresses.choose_address(subnet, {"10.0.0.2"})
    assert caught.value.hint


@pytest.mark.parametrize("wanted", ["fd00:1::1", "fd00:1:0::2", "FD00:1::7"])
def test_the_gateways_address_and_a_reserved_one_are_nobodys_however_they_are_spelt(wanted: str) -> None:
    subnet = Subnet("fd00:1:0::/64", "fd00:1:0:0::1", "", {"printer": "fd00:1:0::2"})
    with pytest.raises(Conflict, match="already in use"):
        addresses.fixed_address(subnet, ["fd00:1::7"], wanted)
    assert addresses.fixed_address(subnet, ["fd00:1::7"], "fd00:1:0::8") == "fd00:1::8"


@given(st.integers(20, 30), st.integers(0, 2**32 - 1), st.data())
def test_an_address_is_of_the_subnet_and_nobody_elses(prefix: int, number: int, data: st.DataObject) -> None:
    network = IPv4Network((number, prefix), strict=False)
    gateway = str(network[data.draw(st.integers(1, network.num_addresses - 2))])
    hosts = st.integers(0, network.num_addresses - 1).map(lambda offset: str(network[offset]))
    used = data.draw(st.frozensets(hosts, max_size=20))
    free = {str(address) for address in network.hosts()} - used - {gateway}
    if not free:
        with pytest.raises(Unavailable):
            addresses.choose_address(Subnet(str(network), gateway), used)
        return
    assert addresses.choose_address(Subnet(str(network), gateway), used) == min(free, key=IPv4Address)


@pytest.mark.parametrize("subnet", ["", "10.88.0.1/16", "10.88.0.0/33", "fd00::1/64", "10.88", "10.88.0.0", "kist"])
def test_a_subnet_that_is_none_is_refused(subnet: str) -> None:
    with pytest.raises(InvalidInput, match="invalid subnet"):
        addresses.parse_subnet(subnet)


@pytest.mark.parametrize(
    ("subnet", "words"),
    [
        (Subnet("10.89.0.0/31"), "too small"),
        (Subnet("10.89.0.0/24", "10.90.0.1"), "gateway 10.90.0.1"),
        (Subnet("10.89.0.0/24", "10.89.0.255"), "the gateway 10.89.0.255 cannot be a host's address"),
        (Subnet("10.89.0.0/24", "10.89.0.0"), "the gateway 10.89.0.0 cannot be a host's address"),
        (Subnet("fd00::/64", "fd00::"), "the gateway fd00:: cannot be a host's address"),
        (Subnet("10.89.0.0/24", ip_range="10.89.1.0/24"), "range 10.89.1.0/24"),
        (Subnet("10.89.0.0/24", ip_range="fd00::/64"), "range fd00::/64"),
        (Subnet("10.89.0.0/24", reserved={"printer": "10.90.0.9"}), "printer 10.90.0.9"),
        (Subnet("10.89.0.0/24", "fd00::1"), "gateway fd00::1"),
        (Subnet("10.89.0.0/24", "here"), "invalid address: here"),
    ],
)
def test_a_subnet_whose_parts_do_not_fit_is_refused(subnet: Subnet, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        addresses.check_subnet(subnet)


def test_a_mac_is_local_unicast_and_follows_from_the_address() -> None:
    assert addresses.mac_for("10.88.0.2") == "02:6b:0a:58:00:02"
    assert addresses.mac_for("10.88.0.2/16") == addresses.mac_for("10.88.0.2")
    assert addresses.mac_for("fd00::2") == addresses.mac_for("fd00::2/64") != addresses.mac_for("fd00::3")
    for address in ("192.168.1.1", "fd00::2"):
        assert int(addresses.mac_for(address)[:2], 16) & 0b11 == 0b10


@pytest.mark.parametrize(
    ("routed", "expected"),
    [
        ((), "10.88.0.0/16"),
        (("0.0.0.0/0", "192.0.2.0/24", "::/0", "fd00::/8"), "10.88.0.0/16"),
        (("10.88.3.0/24",), "10.89.0.0/16"),
        (("10.88.0.0/15",), "10.90.0.0/16"),
        (("10.0.0.0/8",), "172.30.0.0/16"),
        (("10.0.0.0/8", "172.16.0.0/12"), "192.168.224.0/24"),
        (("10.0.0.0/8", "172.30.7.1/32"), "172.29.0.0/16"),
    ],
)
def test_the_default_subnet_avoids_what_the_host_routes(routed: tuple[str, ...], expected: str) -> None:
    assert addresses.choose_subnet(routed) == expected


def test_no_free_subnet_is_an_error_with_a_way_out() -> None:
    with pytest.raises(Unavailable, match="no free subnet") as caught:
        addresses.choose_subnet(("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
    assert "--network host" in caught.value.hint
    assert "[networks] in engine.toml" in caught.value.hint


def test_where_all_usual_subnets_are_routed_the_default_one_is_of_the_pools() -> None:
    assert addresses.choose_subnet(addresses.CANDIDATE_SUBNETS) == "10.80.0.0/22"
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    assert addresses.choose_subnet(private, pools=[("100.64.0.0/10", 24)]) == "100.64.0.0/24"


def test_who_has_the_subnets_is_told_the_largest_first() -> None:
    routes = [("10.88.0.0/16", "kist0"), ("0.0.0.0/0", "eth0"), ("fd00::/8", "eth0"), ("10.0.0.0/8", "tun0")]
    assert addresses.takers([*routes, ("10.88.0.0/16", "again")], ["10.88.0.0/13"]) == (
        "tun0 (10.0.0.0/8), kist0 (10.88.0.0/16)"
    )
    many = [(f"10.88.{number}.0/24", f"br{number}") for number in range(9)]
    assert addresses.takers(many, ["10.88.0.0/13"]).endswith("br5 (10.88.5.0/24) and 3 more")


def test_all_candidates_are_private_subnets() -> None:
    assert all(addresses.parse_subnet(candidate).is_private for candidate in addresses.CANDIDATE_SUBNETS)
    assert addresses.first_address("172.30.0.0/16") == "172.30.0.1"


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ((), "10.80.0.0/22"),
        (("0.0.0.0/0", "10.80.0.0/16"), "10.81.0.0/22"),
        (("10.80.0.0/16", "10.81.0.0/22", "10.81.7.9/32"), "10.81.8.0/22"),
        (("10.0.0.0/8",), "172.20.0.0/22"),
        (("10.0.0.0/8", "172.16.0.0/12"), "192.168.232.0/24"),
    ],
)
def test_a_networks_subnet_is_the_first_part_of_the_pools_that_is_free(taken: tuple[str, ...], expected: str) -> None:
    assert addresses.choose_from_pools(taken) == expected


def test_no_network_of_a_users_takes_a_default_networks_place() -> None:
    for base, _ in addresses.DEFAULT_POOLS:
        assert not addresses.overlapping(base, addresses.CANDIDATE_SUBNETS)


def test_pools_that_are_used_up_are_an_error_with_a_way_out() -> None:
    pools = (("10.200.0.0/29", 30),)
    assert addresses.choose_from_pools(["10.200.0.0/30"], pools) == "10.200.0.4/30"
    with pytest.raises(Unavailable, match="all predefined address pools have been fully subnetted") as caught:
        addresses.choose_from_pools(["10.200.0.0/30", "10.200.0.4/30"], pools)
    assert "kist network prune" in caught.value.hint


@settings(deadline=None, max_examples=30)  # the machine may be busy
@given(
    st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(17, 32)), max_size=12),
    st.integers(20, 28),
)
def test_a_part_of_a_pool_overlaps_nothing_that_is_taken(others: list[tuple[int, int]], length: int) -> None:
    taken = [str(IPv4Network(((10 << 24 | number), size), strict=False)) for number, size in others]
    free = [
        part
        for part in IPv4Network("10.0.0.0/16").subnets(new_prefix=length)
        if not any(part.overlaps(IPv4Network(other)) for other in taken)
    ]
    if free:
        assert addresses.choose_from_pools(taken, [("10.0.0.0/16", length)]) == str(free[0])
    else:
        with pytest.raises(Unavailable):
            addresses.choose_from_pools(taken, [("10.0.0.0/16", length)])


def test_a_unique_local_subnet_follows_from_the_network() -> None:
    first, second = addresses.unique_local("a"), addresses.unique_local("b")
    assert first != second
    assert first == addresses.unique_local("a")
    assert ip_network(first).subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert ip_network(first).prefixlen == 64


def test_an_address_that_was_asked_for() -> None:
    assert addresses.fixed_address(SUBNET, {"10.88.0.2"}, "10.88.7.7") == "10.88.7.7"


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ("10.88.0.1", Conflict, "already in use"),
        ("10.88.0.2", Conflict, "already in use"),
        ("10.89.0.1", InvalidInput, "not one of the network's"),
        ("10.88.0.0", InvalidInput, "is the whole network's, and no container's"),
        ("10.88.255.255", InvalidInput, "is the whole network's, and no container's"),
        ("here", InvalidInput, "invalid IPv4 address: here"),
    ],
)
def test_an_address_that_cannot_be_had(wanted: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        addresses.fixed_address(SUBNET, {"10.88.0.2/16"}, wanted)


def test_an_address_that_is_reserved_is_nobody_elses() -> None:
    subnet = Subnet("10.88.0.0/16", reserved={"printer": "10.88.0.9"})
    with pytest.raises(Conflict, match="already in use"):
        addresses.fixed_address(subnet, (), "10.88.0.9")


def test_addresses_are_written_in_one_way() -> None:
    written = Subnet("FD78:0::/64", "FD78::0:1", "FD78::0/120", {"printer": "FD78::0:2"})
    told = addresses.canonical(written)
    assert told == Subnet("fd78::/64", "fd78::1", "fd78::/120", {"printer": "fd78::2"})
    assert addresses.choose_address(told, ()) == "fd78::3"
    assert addresses.canonical(Subnet("10.88.0.0/16")) == Subnet("10.88.0.0/16")


@pytest.mark.parametrize(
    ("subnet", "used", "in_use", "available"),
    [
        (SUBNET, (), 3, 65533),
        (SUBNET, ("10.88.0.2", "10.88.0.9/16", "fd00::1", "10.99.0.1"), 5, 65531),
        (Subnet("10.0.0.0/30", "10.0.0.1"), ("10.0.0.2",), 4, 0),
        (Subnet("10.89.0.0/22", "10.89.0.1", "10.89.0.0/28", {"printer": "10.89.2.2"}), ("10.89.0.3",), 5, 13),
        (Subnet("fd00:1::/64", "fd00:1::1"), ("fd00:1::2",), 3, 2**64 - 3),
    ],
)
def test_how_full_a_subnet_is(subnet: Subnet, used: tuple[str, ...], in_use: int, available: int) -> None:
    assert addresses.usage(subnet, used) == SubnetUsage(subnet.subnet, in_use, available)


@given(st.sets(st.integers(1, 14)))
def test_as_many_addresses_can_be_had_as_are_told(taken: set[int]) -> None:
    subnet = Subnet("10.0.0.0/28", "10.0.0.1", "10.0.0.8/29")
    used = {f"10.0.0.{number}" for number in taken}
    told = addresses.usage(subnet, used).available
    for _ in range(told):
        used.add(addresses.choose_address(subnet, used))
    with pytest.raises(Unavailable):
        addresses.choose_address(subnet, used)
