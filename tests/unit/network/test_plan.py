import pytest

from kist.errors import InvalidInput, Unsupported
from kist.network import plan
from kist.spec.network import Network, Subnet
from kist.spec.networking import Endpoint, NetworkAttachment

ID = "0123456789abcdef" * 4
V4, V6 = Subnet("10.89.0.0/22", "10.89.0.1"), Subnet("fd00:1::/64", "fd00:1::1")
LAB = Network(ID, "lab", subnets=(V4, V6), ipv6=True)


def test_device_names_fit_and_engines_do_not_share_a_bridge() -> None:
    assert plan.cable_name(ID) == "kist0123456789a"
    assert plan.bridge_name("/var/lib/kist/") == "kist0"
    others = {plan.bridge_name("/srv/one"), plan.bridge_name("/srv/two")}
    assert len(others) == 2
    assert all(len(name) <= 15 and name.startswith("kist-") for name in others)


def test_a_container_has_a_cable_of_its_own_for_each_network() -> None:
    names = {plan.cable_name(container, network) for container in (ID, "f" * 64) for network in ("bridge", "a", "b")}
    assert len(names) == 6
    assert all(len(name) == 15 and name.startswith("kist") for name in names)


def test_an_attachment_has_the_prefixes_and_the_ways_out() -> None:
    made = plan.attachment(LAB, ["10.89.0.9", "fd00:1::9"], Endpoint("lab", priority=3))
    assert made == NetworkAttachment(
        network="lab",
        network_id=ID,
        address="10.89.0.9/22",
        gateway="10.89.0.1",
        address6="fd00:1::9/64",
        gateway6="fd00:1::1",
        mac="02:6b:0a:59:00:09",
        priority=3,
    )


def test_nothing_leads_out_of_an_internal_network() -> None:
    inner = Network(ID, "inner", subnets=(V4,), internal=True)
    made = plan.attachment(inner, ["10.89.0.9"], Endpoint("inner", mac="02:00:00:00:00:09"))
    assert (made.gateway, made.mac) == ("", "02:00:00:00:00:09")
    assert plan.way_out([made]) is None


def test_ipvlan_devices_have_their_parents_mac() -> None:
    lan = Network(ID, "lan", "ipvlan", subnets=(V4,), options={"parent": "eth0"})
    assert plan.attachment(lan, ["10.89.0.9"], Endpoint("lan")).mac == ""


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([("b", 0, "10.0.0.1"), ("a", 0, "10.1.0.1")], "a"),
        ([("a", 0, "10.0.0.1"), ("b", 7, "10.1.0.1")], "b"),
        ([("a", 7, ""), ("b", 0, "10.1.0.1")], "b"),
        ([("a", -1, "10.0.0.1"), ("b", 0, "10.1.0.1")], "b"),
    ],
)
def test_the_way_out_is_by_priority_and_then_by_name(ends: list[tuple[str, int, str]], expected: str) -> None:
    found = plan.way_out([NetworkAttachment(name, gateway=by, priority=number) for name, number, by in ends])
    assert found is not None
    assert found.network == expected


def test_docker_s_options_of_a_bridge_are_understood() -> None:
    told = {
        "com.docker.network.bridge.name": "lab0",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.enable_ip_masquerade": "False",
        "com.docker.network.driver.mtu": "1400",
        "com.docker.network.container_iface_prefix": "lan",
        "com.example.anything": "is somebody else's",
    }
    made = plan.bridge_network(Network(ID, "lab", subnets=(V4,), options=told), 1500, data_root="/srv/one")
    assert (made.bridge, made.icc, made.masquerade, made.mtu, made.device) == ("lab0", False, False, 1400, "lan")
    assert made.alias == f"{plan.alias_of('/srv/one')} lab"


def test_a_network_is_as_usual_where_nothing_is_said() -> None:
    made = plan.bridge_network(LAB, 1450, data_root="/srv/one")
    assert (made.bridge, made.icc, made.masquerade, made.mtu, made.subnets) == (
        "kist-0123456789", True, True, 1450, (V4, V6),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "options", "words"),
    [
        ("bridge", {"com.docker.network.bridge.enable_icc": "maybe"}, "'maybe' for the option enable_icc"),
        ("bridge", {"com.docker.network.driver.mtu": "big"}, "invalid MTU 'big'"),
        ("bridge", {"com.docker.network.driver.mtu": "67"}, "invalid MTU '67'"),
        ("bridge", {"com.docker.network.bridge.name": "a-name-that-is-too-long"}, "option name"),
        ("bridge", {"com.docker.network.bridge.name": "a/b"}, "option name"),
        ("bridge", {"com.docker.network.bridge.name": "lab%d"}, "option name"),
        ("bridge", {"com.docker.network.bridge.name": "all"}, "option name"),
        ("bridge", {"com.docker.network.container_iface_prefix": "thirteenlette"}, "at most 12 characters"),
        ("macvlan", {"macvlan_mode": "sideways"}, "bridge, vepa, private, passthru"),
        ("ipvlan", {"ipvlan_mode": "l7"}, "l2, l3, l3s"),
    ],
)
def test_an_option_that_cannot_be_is_named(driver: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan.read_options(driver, options)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_what_the_bridge_does_not_do_is_said() -> None:
    with pytest.raises(Unsupported, match="gateway_mode_ipv4=routed"):
        plan.read_options("bridge", {"com.docker.network.bridge.gateway_mode_ipv4": "routed"})
