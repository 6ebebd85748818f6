from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput, Unavailable
from kist.network import files, plan
from kist.network.plan import BridgeNetwork
from kist.spec.networking import NetworkAttachment

NETWORK = BridgeNetwork(name="bridge", bridge="kist0", subnet="10.88.0.0/16", gateway="10.88.0.1")


@pytest.mark.parametrize(
    ("subnet", "gateway", "used", "expected"),
    [
        ("10.88.0.0/16", "10.88.0.1", (), "10.88.0.2"),
        ("10.88.0.0/16", "10.88.0.1", ("10.88.0.2", "10.88.0.4"), "10.88.0.3"),
        ("10.88.0.0/16", "10.88.0.1", ("10.88.0.2/16",), "10.88.0.3"),
        ("10.88.0.0/16", "10.88.0.7", (), "10.88.0.1"),
        ("10.88.0.0/16", "10.88.0.1/16", ("192.0.2.1",), "10.88.0.2"),
        ("10.0.0.0/30", "10.0.0.1", (), "10.0.0.2"),
        ("10.0.0.0/23", "10.0.0.1", tuple(f"10.0.0.{n}" for n in range(2, 256)), "10.0.1.0"),
    ],
)
def test_the_lowest_free_address_is_chosen(subnet: str, gateway: str, used: tuple[str, ...], expected: str) -> None:
    assert plan.choose_address(subnet, gateway, frozenset(used)) == expected


@pytest.mark.parametrize(("subnet", "used"), [("10.0.0.0/30", ("10.0.0.2",)), ("10.0.0.0/31", ()), ("10.0.0.1/32", ())])
def test_a_full_subnet_is_said_to_be_full(subnet: str, used: tuple[str, ...]) -> None:
    with pytest.raises(Unavailable, match=f"no free address in {subnet}") as caught:
        plan.choose_address(subnet, "10.0.0.1", frozenset(used))
    assert caught.value.hint


@given(st.integers(20, 30), st.integers(0, 2**32 - 1), st.data())
def test_an_address_is_of_the_subnet_and_nobody_elses(prefix: int, number: int, data: st.DataObject) -> None:
    network = IPv4Network((number, prefix), strict=False)
    gateway = str(network[data.draw(st.integers(1, network.num_addresses - 2))])
    hosts = st.integers(0, network.num_addresses - 1).map(lambda offset: str(network[offset]))
    used = data.draw(st.frozensets(hosts, max_size=20))
    free = {str(address) for address in network.hosts()} - used - {gateway}
    if not free:
        with pytest.raises(Unavailable):
            plan.choose_address(str(network), gateway, used)
        return
    assert plan.choose_address(str(network), gateway, used) == min(free, key=IPv4Address)


@pytest.mark.parametrize("subnet", ["", "10.88.0.1/16", "10.88.0.0/33", "fd00::/64", "10.88", "kist"])
def test_a_subnet_that_is_none_is_refused(subnet: str) -> None:
    with pytest.raises(InvalidInput, match="invalid subnet"):
        plan.choose_address(subnet, "10.88.0.1", frozenset())


def test_a_mac_is_local_unicast_and_follows_from_the_address() -> None:
    assert plan.mac_for("10.88.0.2") == "02:6b:0a:58:00:02"
    assert plan.mac_for("10.88.0.2/16") == plan.mac_for("10.88.0.2")
    first = int(plan.mac_for("192.168.1.1")[:2], 16)
    assert first & 0b11 == 0b10


def test_an_attachment_has_the_prefix_and_the_way_out() -> None:
    assert plan.attachment(NETWORK, "10.88.0.9") == NetworkAttachment(
        network="bridge", address="10.88.0.9/16", gateway="10.88.0.1", mac="02:6b:0a:58:00:09"
    )


@pytest.mark.parametrize(
    ("routed", "expected"),
    [
        ((), "10.88.0.0/16"),
        (("0.0.0.0/0", "192.0.2.0/24"), "10.88.0.0/16"),
        (("10.88.3.0/24",), "10.89.0.0/16"),
        (("10.88.0.0/15",), "10.90.0.0/16"),
        (("10.0.0.0/8",), "172.30.0.0/16"),
        (("10.0.0.0/8", "172.16.0.0/12"), "192.168.224.0/24"),
        (("10.0.0.0/8", "172.30.7.1/32"), "172.29.0.0/16"),
    ],
)
def test_the_default_subnet_avoids_what_the_host_routes(routed: tuple[str, ...], expected: str) -> None:
    assert plan.choose_subnet(routed) == expected


def test_no_free_subnet_is_an_error_with_a_way_out() -> None:
    with pytest.raises(Unavailable, match="no free subnet") as caught:
        plan.choose_subnet(("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
    assert "--network host" in caught.value.hint


def test_all_candidates_are_private_subnets() -> None:
    assert all(plan.parse_subnet(candidate).is_private for candidate in plan.CANDIDATE_SUBNETS)
    assert plan.first_address("172.30.0.0/16") == "172.30.0.1"


def test_device_names_fit_and_engines_do_not_share_a_bridge() -> None:
    assert plan.veth_name("0123456789abcdef" * 4) == "kist0123456789a"
    assert plan.bridge_name("/var/lib/kist/") == "kist0"
    others = {plan.bridge_name("/srv/one"), plan.bridge_name("/srv/two")}
    assert len(others) == 2
    assert all(len(name) <= 15 and name.startswith("kist-") for name in others)


RESOLVED = "# made by systemd-resolved\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org\n"
UPSTREAM = "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch lab.example.org example.org\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("nameserver 192.0.2.1\nnameserver\t198.51.100.1  \n", ["192.0.2.1", "198.51.100.1"]),
        (RESOLVED, []),
        (UPSTREAM, ["192.0.2.53", "2001:db8::53"]),
        ("nameserver ::1\nnameserver 127.0.0.1\nnameserver 192.0.2.1 # inside\n", ["192.0.2.1"]),
        ("nameserver fe80::1%eth0\nnameserver 0.0.0.0\nnameserver one.example\n", []),
        (
            "#nameserver 192.0.2.1\n; nameserver 192.0.2.2\n nameserver 192.0.2.3\nnameserver\nnameservers 192.0.2.4\n",
            [],
        ),
    ],
)
def test_only_name_servers_that_a_container_can_reach_are_taken(text: str, expected: list[str]) -> None:
    assert files.host_resolvers(text) == expected


@given(st.text())
def test_any_resolv_conf_gives_a_resolv_conf(text: str) -> None:
    made = files.resolv_file(text)
    assert files.host_resolvers(made) == files.host_resolvers(text)


@pytest.mark.parametrize(
    ("host", "upstream", "expected"),
    [
        (RESOLVED, UPSTREAM, "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch lab.example.org example.org\n"),
        (UPSTREAM, "nameserver 192.0.2.99\n", UPSTREAM),
        (
            "nameserver 192.0.2.1\nsearch a b\noptions ndots:2\noptions timeout:1\n",
            "",
            "nameserver 192.0.2.1\nsearch a b\noptions ndots:2\noptions timeout:1\n",
        ),
        (
            RESOLVED,
            "",
            "# The host has no name server that can be reached\nsearch example.org\noptions edns0 trust-ad\n",
        ),
    ],
)
def test_the_containers_resolv_conf(host: str, upstream: str, expected: str) -> None:
    assert files.resolv_file(host, upstream) == expected


def test_the_containers_hosts_and_hostname() -> None:
    lines = files.hosts_file("box", "10.88.0.2/16").splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-1] == "10.88.0.2\tbox"
    assert files.hosts_file("box").splitlines()[-1] == "127.0.1.1\tbox"
    assert files.hostname_file("box") == "box\n"
