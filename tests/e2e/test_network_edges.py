"""What a network namespace keeps when something goes wrong, or was written otherwise: bridges, devices, answers."""

import os
import socket
import subprocess
from collections.abc import Iterator

import msgspec
import pytest

from harness import until
from kist.errors import Unavailable
from kist.kernel import netns, process, rtnetlink
from kist.kernel.netlink import NETLINK_ROUTE, Request, Socket
from kist.network import addresses, bridges, cables, parents, plan
from kist.network.devices import UNFINISHED, End
from kist.network.parents import ParentNetwork
from kist.network.plan import BridgeNetwork
from kist.runtime.loop import Loop
from kist.runtime.ports import Ports
from kist.spec.network import Subnet
from kist.spec.networking import NetworkAttachment
from machines import SECONDS, Namespace, transact

pytestmark = pytest.mark.root("makes network namespaces")

NETWORK = BridgeNetwork("test", "kisttest0", (Subnet("10.88.0.0/16", "10.88.0.1"),))
ID = "0002" + "e2" * 30


@pytest.fixture
def host() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


@pytest.fixture
def container() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


def test_a_udp_port_answers_from_whichever_ipv6_address_was_asked(host: Namespace) -> None:
    asked = ("fd00:b::9", "fe80::9", "::1")

    def answered(loop: Loop, server: socket.socket, client: socket.socket) -> bytes:
        client.send(b"who")
        loop.turn(SECONDS)
        data, peer = server.recvfrom(100)
        server.sendto(data, peer)
        loop.turn(SECONDS)
        return client.recv(100)

    def ask_all() -> list[bytes]:
        with Socket(NETLINK_ROUTE) as connection:
            connection.transact([rtnetlink.set_up(1, "lo"), rtnetlink.add_address(1, "fd00:a::1", 128)])
            connection.transact([rtnetlink.add_address(1, address, 64) for address in asked[:2]])
        for address in asked:
            until(lambda address=address: _hears_itself(address))
        loop, found = Loop(), []
        ports = Ports(loop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(SECONDS)
            told = {"port": server.getsockname()[1], "protocol": "udp", "address": "127.0.0.1"}
            ports.publish(told | {"host_ip": "::", "host_ports": [53]})
            for address in asked:
                with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                    client.settimeout(SECONDS)
                    client.connect((address, 53, 0, _scope(address)))
                    found.append(answered(loop, server, client))
        ports.close()
        loop.close()
        return found

    assert host.run(ask_all) == [b"who"] * 3


def _scope(address: str) -> int:
    return 1 if address.startswith("fe80") else 0


def _hears_itself(address: str) -> bool:
    """Whether the kernel has made the route to an address by now, which it does when it comes to it."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as hearing:
        hearing.settimeout(0.05)
        hearing.bind((address, 0, 0, _scope(address)))
        try:
            hearing.sendto(b"here", hearing.getsockname())
            return hearing.recv(10) == b"here"
        except OSError:
            return False


def test_a_bridge_has_its_address_however_that_was_spelt_when_the_network_was_stored(host: Namespace) -> None:
    stored = BridgeNetwork("test", "kisttest0", (Subnet("fd00:c:0::/64", "fd00:c:0::1"),))
    host.run(lambda: bridges.ensure(stored))
    host.run(lambda: bridges.ensure(stored))


def test_attach_that_fails_leaves_no_device_and_the_way_out_that_was_there(
    host: Namespace, container: Namespace
) -> None:
    first = NetworkAttachment("test", "10.88.0.2/16", "10.88.0.1", addresses.mac_for("10.88.0.2"))
    host.run(lambda: cables.attach(container.descriptor, [End(first, NETWORK)], ID))
    before, ways = container.run(_devices), container.run(_ways_out)
    shared = ParentNetwork("lan", "macvlan", "kisttestlan", made=True, mode="bridge")
    host.run(lambda: parents.ensure(shared))
    # The IPv4 way out is set, and then nobody has the address of the other.
    wanted = NetworkAttachment(
        "lan", "192.0.2.9/24", "192.0.2.1", "", address6="fd00:d::9/64", gateway6="fd00:e::1", priority=1
    )
    with pytest.raises(Unavailable, match="cannot connect the container"):
        host.run(lambda: cables.attach(container.descriptor, [End(wanted, shared)], ID, beside=[first]))
    assert container.run(_devices) == before
    assert container.run(_ways_out) == ways == ["10.88.0.1"]
    host.run(lambda: bridges.remove_link("kisttestlan"))


@pytest.mark.parametrize("device", ["", "up"])
def test_a_stale_end_goes_before_the_new_one_and_what_the_container_has_made_stays(
    host: Namespace, container: Namespace, device: str
) -> None:
    """Also where the namespace of its bridge cannot be reached, and lives on because somebody has it."""
    mac = addresses.mac_for("10.88.0.2")
    end = End(NetworkAttachment("test", "10.88.0.2/16", "10.88.0.1", mac, device=device), NETWORK)
    gone, inner = Namespace(), Namespace()
    gone.run(lambda: cables.attach(container.descriptor, [end], ID))
    # Those of a container in the container, and a pair of its own with our hardware address.
    container.run(lambda: transact(_a_cable("eth1", inner, "02:00:00:00:00:09")))
    container.run(lambda: transact(_a_cable("own0", container, mac, other="own1")))
    before = container.run(_devices)
    for _ in range(2):
        host.run(lambda: cables.attach(container.descriptor, [end], ID, beside=[]))
        assert set(container.run(_devices)) == set(before)
        assert container.run(_ways_out) == ["10.88.0.1"]
        assert host.run(lambda: bridges.cables(["kisttest0"])) == [plan.cable_name(ID, "test")]
    assert device or "eth0" in before
    for space in (gone, inner):
        space.close()


def test_the_end_of_a_connecting_that_was_killed_goes_and_those_of_other_networks_stay(
    host: Namespace, container: Namespace
) -> None:
    mac = "02:00:00:00:00:07"  # which somebody has asked for on both
    kept = NetworkAttachment("test", "10.88.0.2/16", "10.88.0.1", mac)
    host.run(lambda: cables.attach(container.descriptor, [End(kept, NETWORK)], ID))
    lan = ParentNetwork("lan", "macvlan", "kisttestlan", made=True, mode="bridge")
    wanted = NetworkAttachment("lan", "192.0.2.9/24", "", mac)
    host.run(lambda: _make_device(lan, container, "eth1", mac))
    end = End(wanted, lan)
    host.run(lambda: cables.attach(container.descriptor, [end], ID, beside=[kept]))
    assert sorted(container.run(_devices)) == ["eth0", "eth1", "lo"]
    assert host.run(lambda: cables.is_attached(container.descriptor, end))
    # Who has a device may give it other addresses, as a client of DHCP does.
    elsewhere = End(msgspec.structs.replace(wanted, address="192.0.2.77/24"), lan)
    assert host.run(lambda: cables.is_attached(container.descriptor, elsewhere))
    container.run(lambda: _mark("eth1"))
    assert not host.run(lambda: cables.is_attached(container.descriptor, end))
    host.run(lambda: bridges.remove_link("kisttestlan"))


@pytest.mark.parametrize("made_again", [False, True])
def test_a_bridge_whose_maker_was_killed_before_it_had_its_alias_is_the_networks(
    host: Namespace, made_again: bool
) -> None:
    subnets = (Subnet("10.77.0.0/24", "10.77.0.1"),)
    ours = BridgeNetwork("lab", "kist-0123456789", subnets, alias="kist 01234567 lab")
    theirs = BridgeNetwork("other", "lab0", (), alias="kist 01234567 other")  # which somebody has named
    for each in (ours, theirs):
        host.run(lambda name=each.bridge: transact(rtnetlink.new_bridge(name, mac="", mtu=1500)))
        if made_again:
            host.run(lambda each=each: bridges.ensure(each))  # type: ignore[misc]
    marked = [("kist-0123456789", ours.alias)] if made_again else []
    assert host.run(lambda: bridges.marked("kist 01234567")) == marked
    for each in (ours, theirs):
        host.run(lambda each=each: bridges.remove(each))  # type: ignore[misc]
    assert host.run(_devices) == ["lo", "lab0"]


def test_a_parent_that_somebody_has_named_stays_whatever_its_name(host: Namespace) -> None:
    host.run(lambda: transact(rtnetlink.new_bridge("kist0", mac="", mtu=1500)))
    named = ParentNetwork("lan", "macvlan", "kist0", mode="bridge", alias="kist 01234567 lan")
    host.run(lambda: parents.remove(named))
    assert host.run(_devices) == ["lo", "kist0"]


def _a_cable(name: str, space: Namespace, mac: str, other: str = "eth0") -> Request:
    return rtnetlink.new_veth(name, master=0, mtu=1500, peer=other, peer_mac=mac, peer_netns=space.descriptor)


def _make_device(network: ParentNetwork, space: Namespace, name: str, mac: str) -> None:
    with Socket(NETLINK_ROUTE) as connection:
        parents.make_device(connection, network, name, mac, space.descriptor)


def _mark(name: str) -> None:
    with Socket(NETLINK_ROUTE) as connection:
        link = rtnetlink.find_link(connection, name)
        assert link is not None
        connection.transact([rtnetlink.set_alias(link.ifindex, UNFINISHED)])


def _devices() -> list[str]:
    with Socket(NETLINK_ROUTE) as connection:
        return [link.name for link in rtnetlink.links(connection)]


def _ways_out() -> list[str]:
    with open("/proc/thread-self/net/route", encoding="ascii") as file:
        rows = [line.split() for line in file.read().splitlines()[1:]]
    return [socket.inet_ntoa(bytes.fromhex(row[2])[::-1]) for row in rows if row[1] == "00000000"]


def test_the_namespace_of_a_process_is_not_that_of_another_with_its_number() -> None:
    own = os.getpid()
    os.close(netns.of_process(own, process.start_time(own)))
    with pytest.raises(ProcessLookupError, match="another one by now"):
        netns.of_process(own, process.start_time(own) - 1)
    child = subprocess.Popen(["true"])
    started = process.start_time(child.pid)
    child.wait()
    with pytest.raises(ProcessLookupError):
        netns.of_process(child.pid, started)
