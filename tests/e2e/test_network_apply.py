"""Bridge networks between network namespaces that the tests make: a host, containers, and the outside."""

import contextlib
import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec import structs

from harness import until
from kist.engine.catalogue import Catalogue
from kist.engine.ground import Ground
from kist.errors import Conflict, Forbidden, KistError, Overlap, Unavailable
from kist.kernel import netns, nftables, process, rtnetlink, sysctl
from kist.kernel.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, Socket
from kist.kernel.nftables_expressions import be32
from kist.network import addresses, bridges, cables, firewall, plan, rules
from kist.network.devices import End
from kist.network.plan import BridgeNetwork
from kist.spec.network import NetworkOptions, Subnet
from kist.spec.networking import NetworkAttachment
from kist.store import Store
from machines import SECONDS, Namespace, fetch, join, server, transact

pytestmark = pytest.mark.root("makes network namespaces")

NETWORK = BridgeNetwork("test", "kisttest0", (Subnet("10.88.0.0/16", "10.88.0.1"),))
OUTSIDE_PORT = 8080


@pytest.fixture
def spaces() -> Iterator[Callable[[], Namespace]]:
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace())
        return made[-1]

    before = sysctl.get("net.ipv4.ip_forward")
    yield make
    for space in made:
        space.close()
    # Nothing of this happens in the namespace that the tests run in.
    with Socket(NETLINK_ROUTE) as connection:
        assert not [link for link in rtnetlink.links(connection) if link.name.startswith("kisttest")]
    assert sysctl.get("net.ipv4.ip_forward") == before


@pytest.fixture
def host(spaces: Callable[[], Namespace]) -> Namespace:
    return spaces()


def container_id(number: int) -> str:
    return f"{number:04x}" + "e2" * 30


def an_end(address: str, network: BridgeNetwork = NETWORK, *, gateway: str = "") -> End:
    """The end of a container on the network at this address."""
    subnet = network.subnets[0]
    prefix = addresses.parse_subnet(subnet.subnet).prefixlen
    made = NetworkAttachment(network.name, f"{address}/{prefix}", gateway or subnet.gateway, addresses.mac_for(address))
    return End(made, network)


def connect(host: Namespace, container: Namespace, number: int, network: BridgeNetwork = NETWORK) -> str:
    """Attach the container at the network's address of this number; gives the address."""
    address = addresses.choose_address(network.subnets[0], [f"10.88.0.{n}" for n in range(2, number)])
    host.run(lambda: cables.attach(container.descriptor, [an_end(address, network)], container_id(number)))
    return address


def links_of(space: Namespace) -> dict[str, rtnetlink.Link]:
    def look() -> dict[str, rtnetlink.Link]:
        with Socket(NETLINK_ROUTE) as connection:
            return {link.name: link for link in rtnetlink.links(connection)}

    return space.run(look)


def chains_of(space: Namespace) -> set[tuple[str, str]]:
    def look() -> set[tuple[str, str]]:
        with Socket(NETLINK_NETFILTER) as connection:
            return {(chain.table, chain.name) for chain in nftables.list_chains(connection)}

    return space.run(look)


def ping(address: str) -> None:
    """Wait for the answer to an ICMP echo request (RFC 792)."""
    header = struct.pack("!BBHHH", 8, 0, 0, 0x4B49, 1)
    total = sum(struct.unpack("!4H", header))
    packet = header[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + header[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(SECONDS)
        raw.connect((address, 0))
        raw.send(packet)
        while raw.recv(1500)[20] != 0:
            pass


@pytest.fixture
def outside(host: Namespace, spaces: Callable[[], Namespace]) -> Namespace:
    """A machine next to the host: host 192.0.2.1, itself 192.0.2.2."""
    space = spaces()
    join(host, "192.0.2.1", space, "192.0.2.2")
    return space


def test_containers_reach_each_other_and_the_host(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    one, two = spaces(), spaces()
    first, second = connect(host, one, 2), connect(host, two, 3)
    assert (first, second) == ("10.88.0.2", "10.88.0.3")
    one.run(lambda: ping(second))
    two.run(lambda: ping(first))
    one.run(lambda: ping("127.0.0.1"))
    with server(host, NETWORK.subnets[0].gateway) as (port, seen):
        assert fetch(one, NETWORK.subnets[0].gateway, port) == b"hello"
        assert seen == [first]
    with server(two, second) as (port, seen):
        assert fetch(one, second, port) == b"hello"
        assert fetch(host, second, port) == b"hello"
        assert seen == [first, NETWORK.subnets[0].gateway]


def test_the_containers_device_is_as_planned(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    container = spaces()
    connect(host, container, 2)
    inside, there = links_of(container)["eth0"], links_of(host)
    assert (inside.mac, inside.mtu, inside.up) == (addresses.mac_for("10.88.0.2"), 1500, True)
    assert links_of(container)["lo"].up
    assert there[plan.cable_name(container_id(2), "test")].master == there["kisttest0"].ifindex
    assert there["kisttest0"].mac == addresses.mac_for(NETWORK.subnets[0].gateway)


def give_address(space: Namespace, device: str, address: str, prefix: int) -> None:
    def do() -> None:
        with Socket(NETLINK_ROUTE) as connection:
            link = rtnetlink.find_link(connection, device)
            assert link is not None
            connection.transact([rtnetlink.add_address(link.ifindex, address, prefix)])

    space.run(do)


@pytest.mark.parametrize(
    ("address", "prefix", "route"),
    [("10.88.0.200", 25, "10.88.0.128/25"), ("10.88.0.128", 32, ""), ("10.0.0.9", 8, "")],
    ids=["a part of ours", "one address that is not a container's", "more than ours"],
)
def test_a_route_that_came_later_is_told_where_it_takes_the_containers_address(
    host: Namespace, outside: Namespace, spaces: Callable[[], Namespace], address: str, prefix: int, route: str
) -> None:
    assert outside
    host.run(lambda: bridges.ensure(NETWORK))
    give_address(host, "kisttestup", address, prefix)
    container, end = spaces(), an_end("10.88.0.130")
    if route:
        with pytest.raises(Overlap, match=f"10.88.0.0/16 of the network test overlaps the host's route to {route}"):
            host.run(lambda: cables.attach(container.descriptor, [end], container_id(2)))
        assert plan.cable_name(container_id(2), "test") not in links_of(host)
    else:
        host.run(lambda: cables.attach(container.descriptor, [end], container_id(2)))
        host.run(lambda: ping("10.88.0.130"))


def test_a_subnet_that_somebody_takes_meanwhile_is_left_to_them(
    host: Namespace, outside: Namespace, tmp_path: Path
) -> None:
    """Another engine makes its bridge after the look at the routes and before ours is made."""
    assert outside
    taken: list[str] = []

    class Slow(Ground):
        def destinations(self, but: str = "") -> tuple[tuple[str, str], ...]:
            found = super().destinations(but)
            if not taken:
                taken.append(addresses.choose_from_pools((to for to, _ in found), addresses.DEFAULT_POOLS))
                give_address(host, "kisttestup", addresses.first_address(taken[0]), 24)
            return found

    with contextlib.closing(Store(str(tmp_path))) as store:
        networks = Catalogue(store, Slow(store.root, None))
        made = host.run(lambda: networks.create(NetworkOptions("lab")))
        try:
            assert not addresses.overlapping(made.subnets[0].subnet, taken)
            with pytest.raises(Conflict, match="overlaps the host's route"):
                host.run(lambda: networks.create(NetworkOptions("other", subnets=(Subnet(taken[0]),))))
            assert [each.name for each in networks.list() if not each.predefined] == ["lab"]
        finally:
            host.run(lambda: networks.remove(made))


def test_what_leaves_has_the_hosts_address(
    host: Namespace, outside: Namespace, spaces: Callable[[], Namespace]
) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    container = spaces()
    connect(host, container, 2)
    with server(outside, "192.0.2.2") as (port, seen):
        assert fetch(container, "192.0.2.2", port) == b"hello"
        assert seen == ["192.0.2.1"]
    container.run(lambda: ping("192.0.2.2"))


SIX = BridgeNetwork("six", "kisttest6", (Subnet("10.89.0.0/16", "10.89.0.1"), Subnet("fd00:6::/64", "fd00:6::1")))


def test_what_leaves_by_ipv6_has_the_hosts_address_and_nothing_comes_in(
    host: Namespace, outside: Namespace, spaces: Callable[[], Namespace]
) -> None:
    give_address(host, "kisttestup", "2001:db8::1", 64)
    give_address(outside, "up0", "2001:db8::2", 64)
    host.run(lambda: bridges.ensure(SIX))
    assert host.run(lambda: sysctl.get("net.ipv6.conf.all.forwarding")) == "1"
    container = spaces()
    end = End(
        NetworkAttachment(
            "six", "10.89.0.2/16", "10.89.0.1", "02:00:00:00:06:02", address6="fd00:6::2/64", gateway6="fd00:6::1"
        ),
        SIX,
    )
    host.run(lambda: cables.attach(container.descriptor, [end], container_id(6)))
    with server(outside, "2001:db8::2") as (port, seen):
        assert fetch(container, "2001:db8::2", port) == b"hello"
        assert seen == ["2001:db8::1"]
    outside.run(lambda: transact(rtnetlink.add_default_route("2001:db8::1")))
    with server(container, "fd00:6::2") as (port, seen):
        with pytest.raises(TimeoutError):
            fetch(outside, "fd00:6::2", port, timeout=0.3)
        assert fetch(host, "fd00:6::2", port) == b"hello"


def test_a_host_that_heeds_routers_goes_on_heeding_them_when_it_forwards(host: Namespace, outside: Namespace) -> None:
    assert outside.descriptor
    host.run(lambda: sysctl.put("net/ipv6/conf/kisttestup/accept_ra", "1"))
    host.run(lambda: bridges.ensure(SIX))
    assert host.run(lambda: sysctl.get("net/ipv6/conf/kisttestup/accept_ra")) == "2"


def test_a_route_that_came_later_stands_against_a_bridge(host: Namespace, outside: Namespace) -> None:
    assert outside.descriptor

    def route() -> None:
        with Socket(NETLINK_ROUTE) as connection:
            link = rtnetlink.find_link(connection, "kisttestup")
            assert link is not None
            connection.transact([rtnetlink.add_address(link.ifindex, "10.89.3.1", 24)])

    host.run(route)
    with pytest.raises(
        Conflict, match=r"10\.89\.0\.0/16 of the network six overlaps the host's route to 10\.89\.3\.0/24"
    ):
        host.run(lambda: bridges.ensure(SIX))


def test_nobody_outside_opens_a_connection_to_a_container(
    host: Namespace, outside: Namespace, spaces: Callable[[], Namespace]
) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    container = spaces()
    address = connect(host, container, 2)
    outside.run(lambda: transact(rtnetlink.add_default_route("192.0.2.1")))
    with server(container, address) as (port, seen):
        with pytest.raises(TimeoutError):
            fetch(outside, address, port, timeout=0.3)
        assert fetch(host, address, port) == b"hello"
        assert seen == [NETWORK.subnets[0].gateway]


def test_two_bridges_are_apart(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    other = BridgeNetwork("other", "kisttest1", (Subnet("10.89.0.0/16", "10.89.0.1"),))
    for network in (NETWORK, other):
        host.run(lambda network=network: bridges.ensure(network))  # type: ignore[misc]
    one, two = spaces(), spaces()
    connect(host, one, 2)
    address = connect(host, two, 3, other)
    with server(two, address) as (port, seen):
        with pytest.raises(TimeoutError):
            fetch(one, address, port, timeout=0.3)
        assert seen == []


def test_a_hundred_attach_at_once(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    containers = [spaces() for _ in range(100)]
    with ThreadPoolExecutor(100) as pool:
        addresses = list(pool.map(lambda n: connect(host, containers[n], n + 2), range(100)))
    assert len(set(addresses)) == 100
    cables = [link for link in links_of(host).values() if link.kind == "veth"]
    assert len(cables) == 100
    assert len({link.master for link in cables}) == 1
    containers[0].run(lambda: ping(addresses[99]))


def test_many_threads_and_processes_make_one_bridge(host: Namespace) -> None:
    program = (
        "import sys\n"
        "from kist.kernel import namespaces\n"
        "from kist.network import bridges\n"
        "namespaces.setns(int(sys.argv[1]), namespaces.CLONE_NEWNET)\n"
        "print(bridges.default_network('kisttest0').subnets[0].subnet)\n"
    )
    command = [sys.executable, "-c", program, str(host.descriptor)]
    running = [
        subprocess.Popen(command, pass_fds=[host.descriptor], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: host.run(lambda: bridges.default_network("kisttest0")), range(16)))
    printed = [process.communicate()[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert {network.subnets[0].subnet for network in made} | set(printed) == {"10.88.0.0/16"}
    assert chains_of(host) == {("kist", "kisttest0-postrouting"), ("kist", "kisttest0-forward")}
    assert host.run(lambda: sysctl.get("net.ipv4.ip_forward")) == "1"


def test_engines_of_other_roots_take_other_subnets(host: Namespace) -> None:
    names = [f"kisttest{n}" for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda name: host.run(lambda: bridges.default_network(name)), names))
    assert len({network.subnets[0].subnet for network in made}) == 4
    assert made == [host.run(lambda name=name: bridges.default_network(name)) for name in names]  # type: ignore[misc]


def test_where_no_subnet_is_free_it_is_told_who_has_them(host: Namespace, outside: Namespace, tmp_path: Path) -> None:
    assert outside
    for address, prefix in (("10.0.0.1", 8), ("172.16.0.1", 12), ("192.168.0.1", 16)):
        give_address(host, "kisttestup", address, prefix)
    with pytest.raises(Unavailable, match=r"no free subnet .*: kisttestup \(10\.0\.0\.0/8\), kisttestup") as caught:
        host.run(lambda: bridges.default_network("kisttest0"))
    assert "[networks] in engine.toml" in caught.value.hint
    pools = (("100.64.0.0/29", 30),)
    assert host.run(lambda: bridges.default_network("kisttest0", pools=pools)).subnets[0].subnet == "100.64.0.0/30"
    with contextlib.closing(Store(str(tmp_path))) as store:
        networks = Catalogue(store, Ground(store.root, None), pools)
        host.run(lambda: networks.create(NetworkOptions("lab")))
        words = r"taken by the network lab \(100\.64\.0\.4/30\), kisttest0 \(100\.64\.0\.0/30\)$"
        with pytest.raises(Unavailable, match=words):
            host.run(lambda: networks.create(NetworkOptions("other")))
        host.run(lambda: networks.remove(networks.get("lab")))


def test_the_default_network_avoids_the_hosts_routes_and_takes_the_mtu_of_the_way_out(
    host: Namespace, outside: Namespace
) -> None:
    def route() -> None:
        with Socket(NETLINK_ROUTE) as connection:
            link = rtnetlink.find_link(connection, "kisttestup")
            assert link is not None
            connection.transact(
                [rtnetlink.add_address(link.ifindex, "10.88.9.1", 24), rtnetlink.add_default_route("192.0.2.2")]
            )

    host.run(route)
    network = host.run(lambda: bridges.default_network("kisttest0"))
    assert (*network.subnets, network.mtu) == (Subnet("10.89.0.0/16", "10.89.0.1"), 1400)
    assert outside.descriptor


def test_what_was_removed_is_made_again(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    host.run(lambda: bridges.ensure(NETWORK))

    def flush() -> None:
        with Socket(NETLINK_NETFILTER) as connection:
            nftables.commit(connection, [nftables.flush_chain("kist", "kisttest0-forward")])

    def holds() -> bool:
        with Socket(NETLINK_NETFILTER) as connection:
            return nftables.holds(connection, firewall.TABLE, firewall.chains(NETWORK))

    assert host.run(holds)
    host.run(flush)
    assert not host.run(holds)
    host.run(lambda: bridges.ensure(NETWORK))
    assert host.run(holds)
    host.run(flush)
    host.run(lambda: transact(rtnetlink.delete_link("kisttest0")))
    container = spaces()
    connect(host, container, 2)
    container.run(lambda: ping(NETWORK.subnets[0].gateway))
    assert host.run(holds)


def test_a_container_that_starts_again_gets_its_cable_while_the_old_one_is_there(
    host: Namespace, spaces: Callable[[], Namespace]
) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    before, after = spaces(), spaces()
    connect(host, before, 2)
    connect(host, after, 2)
    after.run(lambda: ping(NETWORK.subnets[0].gateway))
    assert "eth0" not in links_of(before)


def test_a_cable_goes_with_its_namespace_or_on_demand(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    kept, ended = spaces(), Namespace()
    connect(host, kept, 2)
    connect(host, ended, 3)
    ended.close()
    until(lambda: plan.cable_name(container_id(3), "test") not in links_of(host))
    for _ in range(2):
        host.run(lambda: cables.detach(container_id(2), "test"))
    assert set(links_of(host)) == {"lo", "kisttest0"}


def test_attach_that_fails_leaves_no_cable(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    container = spaces()
    end = an_end("10.88.0.2", gateway="192.0.2.7")
    with pytest.raises(Unavailable, match="cannot connect the container 0002e2e2e2e2 to test: default route"):
        host.run(lambda: cables.attach(container.descriptor, [end], container_id(2)))
    assert set(links_of(host)) == {"lo", "kisttest0"}


def test_a_namespace_that_has_an_eth0_is_left_alone(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    host.run(lambda: bridges.ensure(NETWORK))
    container = spaces()
    container.run(lambda: transact(rtnetlink.new_bridge("eth0", mac="02:00:00:00:00:07", mtu=1500)))
    with pytest.raises(Conflict, match="has a device eth0 already"):
        connect(host, container, 2)
    assert links_of(container)["eth0"].kind == "bridge"


def test_the_callers_thread_stays_in_its_namespace(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    container = spaces()

    def attach() -> tuple[str, str]:
        before = os.readlink("/proc/thread-self/ns/net")
        cables.attach(container.descriptor, [an_end("10.88.0.2")], container_id(2))
        return before, os.readlink("/proc/thread-self/ns/net")

    before, after = host.run(attach)
    assert before == after


def make_dummy_address(name: str, address: str, prefix: int) -> None:
    transact(rtnetlink.new_bridge(name, mac="02:00:00:00:00:09", mtu=1500))
    with Socket(NETLINK_ROUTE) as connection:
        link = rtnetlink.find_link(connection, name)
        assert link is not None
        connection.transact([rtnetlink.add_address(link.ifindex, address, prefix)])


@pytest.mark.parametrize(
    ("device", "address", "prefix", "message"),
    [
        ("kisttest0", "10.99.0.1", 16, r"has the address 10\.99\.0\.1/16, not 10\.88\.0\.1/16"),
        ("kisttest9", "10.88.7.1", 24, r"overlaps the host's route to 10\.88\.7\.0/24"),
    ],
)
def test_a_bridge_is_not_made_against_what_is_there(
    host: Namespace, device: str, address: str, prefix: int, message: str
) -> None:
    host.run(lambda: make_dummy_address(device, address, prefix))
    with pytest.raises(Conflict, match=message) as caught:
        host.run(lambda: bridges.ensure(NETWORK))
    assert caught.value.hint


def test_a_bridge_of_the_administrators_is_joined_as_it_is_and_stays(host: Namespace, tmp_path: Path) -> None:
    host.run(lambda: make_dummy_address("kisttesthand", "10.97.0.1", 24))

    def options(subnet: str, gateway: str = "") -> NetworkOptions:
        named = {"com.docker.network.bridge.name": "kisttesthand"}
        return NetworkOptions("lab", subnets=(Subnet(subnet, gateway),), options=named)

    with contextlib.closing(Store(str(tmp_path))) as store:
        networks = Catalogue(store, Ground(store.root, None))
        with pytest.raises(Conflict, match=r"has the address 10\.97\.0\.1/24, not 10\.98\.0\.1/24") as caught:
            host.run(lambda: networks.create(options("10.98.0.0/24")))
        assert "--subnet 10.97.0.0/24 --gateway 10.97.0.1" in caught.value.hint
        made = host.run(lambda: networks.create(options("10.97.0.0/24")))
        assert ("kist", "kisttesthand-forward") in chains_of(host)
        host.run(lambda: networks.remove(made))
    assert chains_of(host) == set()
    assert links_of(host)["kisttesthand"].alias == ""


def test_a_device_that_is_no_bridge_is_not_taken(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    other = spaces()
    host.run(
        lambda: transact(
            rtnetlink.new_veth(
                "kisttest0", master=0, mtu=1500, peer="x", peer_mac="02:00:00:00:00:02", peer_netns=other.descriptor
            )
        )
    )
    for call in (lambda: bridges.ensure(NETWORK), lambda: bridges.default_network("kisttest0")):
        with pytest.raises(Conflict, match="is not a bridge"):
            host.run(call)
    host.run(lambda: bridges.remove(NETWORK))
    assert links_of(host)["kisttest0"].kind == "veth"


def test_removing_a_network_leaves_others_and_at_last_nothing(host: Namespace) -> None:
    other = host.run(lambda: bridges.default_network("kisttest1"))
    host.run(lambda: bridges.ensure(BridgeNetwork("test", "kisttest0", (Subnet("10.91.0.0/16", "10.91.0.1"),))))
    for _ in range(2):
        host.run(lambda: bridges.remove(NETWORK))
        assert set(links_of(host)) == {"lo", "kisttest1"}
        assert chains_of(host) == {("kist", "kisttest1-postrouting"), ("kist", "kisttest1-forward")}
    host.run(lambda: bridges.remove(other))
    assert set(links_of(host)) == {"lo"}
    assert chains_of(host) == set()


def test_a_network_that_could_not_have_anothers_bridge_leaves_it_its_rules(host: Namespace) -> None:
    first = BridgeNetwork("one", "kisttest0", (Subnet("10.91.0.0/16", "10.91.0.1"),), internal=True, alias="kist a one")
    other = structs.replace(first, name="two", subnets=(Subnet("10.92.0.0/16", "10.92.0.1"),), alias="kist b two")
    host.run(lambda: bridges.ensure(first))
    with pytest.raises(Conflict, match="has the address"):
        host.run(lambda: bridges.ensure(other))
    host.run(lambda: bridges.remove(other))
    assert chains_of(host) == {("kist", "kisttest0-forward")}
    host.run(lambda: bridges.remove(first))
    assert set(links_of(host)) == {"lo"}
    assert chains_of(host) == set()


def test_without_the_capability_it_says_so(host: Namespace) -> None:
    def unprivileged() -> None:
        process.set_capabilities(0, 0, 0)
        bridges.ensure(NETWORK)

    with pytest.raises(Forbidden, match="cannot set up the bridge kisttest0") as caught:
        host.run(unprivileged)
    assert "CAP_NET_ADMIN" in caught.value.hint


def foreign_chain(table: str, name: str, *, policy: int, hook: int) -> None:
    chain = nftables.BaseChain(name, "filter", hook, 0, ())
    with Socket(NETLINK_NETFILTER) as connection:
        nftables.commit(connection, [nftables.new_table(table)])
        made = nftables.new_chain(table, chain)
        body = made.body.replace(be32(5, nftables.POLICY_ACCEPT), be32(5, policy))
        nftables.commit(connection, [made._replace(body=body)])


def test_rules_that_cannot_be_set_name_cause_and_fix(host: Namespace) -> None:
    host.run(lambda: foreign_chain("kist", "kisttest0-forward", policy=nftables.POLICY_ACCEPT, hook=1))
    with pytest.raises(Unavailable, match="packet rules of kisttest0") as caught:
        host.run(lambda: bridges.ensure(NETWORK))
    assert "nf_tables" in caught.value.hint


def test_another_firewalls_dropping_is_seen(host: Namespace) -> None:
    assert host.run(rules.blocking_chains) == ()
    host.run(lambda: bridges.ensure(NETWORK))
    host.run(lambda: foreign_chain("kisttest", "INPUT", policy=nftables.POLICY_DROP, hook=1))
    assert host.run(rules.blocking_chains) == ()
    host.run(lambda: foreign_chain("kisttest", "FORWARD", policy=nftables.POLICY_DROP, hook=nftables.HOOK_FORWARD))
    assert host.run(rules.blocking_chains) == ("ip kisttest FORWARD",)
    let_through = "nft insert rule ip kisttest FORWARD iifname 'kist*' accept"
    host.run(lambda: subprocess.run(["sh", "-c", let_through], check=True))
    assert host.run(rules.blocking_chains) == ()


def test_a_batch_is_all_or_nothing(host: Namespace) -> None:
    def half() -> None:
        with Socket(NETLINK_NETFILTER) as connection:
            chain = nftables.BaseChain("kisttest0-forward", "filter", nftables.HOOK_FORWARD, 0, ())
            nftables.commit(connection, [nftables.new_table("kist")])
            nftables.commit(
                connection, [nftables.new_chain("kist", chain), nftables.delete_chain("kist", "kisttest-absent")]
            )

    with pytest.raises(FileNotFoundError, match="nf_tables chain kisttest-absent"):
        host.run(half)
    assert chains_of(host) == set()


def test_the_kernels_own_words_are_in_the_error(host: Namespace) -> None:
    with pytest.raises(OSError, match="default route by") as caught:
        host.run(lambda: transact(rtnetlink.add_default_route("192.0.2.9")))
    assert caught.value.errno == errno.ENETUNREACH
    assert str(caught.value.strerror).startswith("Network is unreachable: ")


def test_the_lock_of_a_namespace_keeps_others_out(host: Namespace, spaces: Callable[[], Namespace]) -> None:
    def try_lock() -> None:
        descriptor = netns.current()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)

    def hold() -> None:
        with netns.locked():
            with pytest.raises(BlockingIOError):
                host.run(try_lock)
            spaces().run(try_lock)
        host.run(try_lock)

    host.run(hold)


def test_errors_are_kists_own(host: Namespace) -> None:
    missing = BridgeNetwork("test", "kist-a-name-too-long", (Subnet("10.88.0.0/16", "10.88.0.1"),))
    with pytest.raises(KistError, match="kist-a-name-too-long"):
        host.run(lambda: bridges.ensure(missing))
