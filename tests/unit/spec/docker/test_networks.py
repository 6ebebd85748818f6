from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput, Unsupported
from kist.spec.docker import networks
from kist.spec.network import Member, Network, NetworkOptions, Subnet
from kist.spec.networking import Endpoint

ID = "0123456789abcdef" * 4
LAB = Network(
    ID,
    "lab",
    created_at=1_700_000_000_000_000_000,
    subnets=(Subnet("10.89.0.0/22", "10.89.0.1", "10.89.1.0/24", {"printer": "10.89.0.9"}),),
    labels={"team": "survey"},
    members=(Member("ab" * 32, "web", "10.89.1.1/22", "", "02:6b:0a:59:01:01"),),
)


def test_inspect_of_a_network_is_dockers() -> None:
    shown = networks.write_network(LAB)
    assert shown["IPAM"] == {
        "Driver": "default",
        "Options": None,
        "Config": [
            {
                "Subnet": "10.89.0.0/22",
                "IPRange": "10.89.1.0/24",
                "Gateway": "10.89.0.1",
                "AuxiliaryAddresses": {"printer": "10.89.0.9"},
            }
        ],
    }
    member = shown["Containers"]["ab" * 32]
    assert (member["Name"], member["IPv4Address"], member["IPv6Address"]) == ("web", "10.89.1.1/22", "")
    assert (shown["Name"], shown["Id"], shown["Scope"], shown["Driver"]) == ("lab", ID, "local", "bridge")
    assert (shown["EnableIPv4"], shown["EnableIPv6"], shown["Internal"]) == (True, False, False)


texts = st.text(st.characters(codec="ascii", exclude_characters="\x00"), max_size=8)
tables = st.dictionaries(texts, texts, max_size=2)
options = st.builds(
    NetworkOptions,
    name=texts,
    driver=st.sampled_from(["bridge", "macvlan"]),
    subnets=st.lists(st.builds(Subnet, texts, texts, texts, tables), max_size=2).map(tuple),
    ipv4=st.booleans(),
    ipv6=st.booleans(),
    internal=st.booleans(),
    attachable=st.booleans(),
    options=tables,
    labels=tables,
    ipam_options=tables,
)


@given(options)
def test_what_is_written_is_read_back(made: NetworkOptions) -> None:
    assert networks.read_create(networks.write_create(made)) == made


def test_what_clients_leave_out_is_as_usual() -> None:
    assert networks.read_create({"Name": "lab"}) == NetworkOptions("lab")
    old = {"Name": "lab", "CheckDuplicate": True, "IPAM": {"Config": [{"Subnet": "fd00:7::/64"}]}}
    assert networks.read_create(old).ipv6  # there is no other meaning for such a subnet
    assert not networks.read_create({"Name": "lab", "EnableIPv6": False}).ipv6


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"Name": "x", "Scope": "swarm"}, "scope 'swarm'"),
        ({"Name": "x", "IPAM": {"Driver": "dhcp"}}, "IPAM driver 'dhcp'"),
        ({"Name": "x", "Ingress": True}, "Ingress"),
        ({"Name": "x", "ConfigOnly": True}, "ConfigOnly"),
    ],
)
def test_what_is_not_done_is_named(body: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        networks.read_create(body)


def test_a_connection_and_its_end() -> None:
    wanted = Endpoint("lab", aliases=("db",), ip="10.89.0.7", priority=2)
    assert networks.read_connect(networks.write_connect("web", wanted), "lab") == ("web", wanted)
    assert networks.read_connect({"Container": "/web", "EndpointConfig": None}, "lab") == ("web", Endpoint("lab"))
    assert networks.read_disconnect({"Container": "web", "Force": True}) == ("web", True)
    with pytest.raises(InvalidInput, match="no container is named"):
        networks.read_connect({}, "lab")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"bridge", "lab"}),
        ({"type": ("custom",)}, {"lab"}),
        ({"type": ("builtin",)}, {"bridge"}),
        ({"name": ("a",)}, {"lab"}),
        ({"name": ("a", "bri")}, {"bridge", "lab"}),
        ({"id": (ID[:5],)}, {"lab"}),
        ({"driver": ("macvlan",)}, set()),
        ({"label": ("team",)}, {"lab"}),
        ({"label": ("team=moon",)}, set()),
        ({"dangling": ("true",)}, {"lab"}),
        ({"dangling": ("false",)}, set()),
        ({"scope": ("swarm",)}, set()),
    ],
)
def test_the_filters_of_the_list(filters: dict[str, tuple[str, ...]], expected: set[str]) -> None:
    both = (LAB, Network("f" * 64, "bridge"))
    assert {each.name for each in both if networks.match_network(each, filters, used=False)} == expected


@pytest.mark.parametrize("text", ['{"dangling":["maybe"]}', '{"type":["odd"]}', '{"moon":["full"]}'])
def test_a_filter_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid filter"):
        networks.read_network_filters(text)
