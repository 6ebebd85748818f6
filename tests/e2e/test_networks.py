"""Networks that users make: in real containers, with what the kernel has for them."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from harness import until
from kist.engine import Engine
from kist.errors import Conflict, Forbidden, InvalidInput, KistError, NotFound, Unavailable, Unsupported
from kist.kernel import netns, process, rtnetlink
from kist.kernel.netlink import NETLINK_ROUTE, Socket
from kist.network import addresses, bridges, plan
from kist.network.addresses import bare
from kist.spec.container import Container, ContainerOptions, ExecOptions
from kist.spec.network import Network, NetworkOptions, Subnet
from kist.spec.networking import Endpoint, Networking, PortBinding

ROOT = os.geteuid() == 0
IFNAME = "com.docker.network.endpoint.ifname"
SETTINGS = "com.docker.network.endpoint.sysctls"


@contextlib.contextmanager
def a_network(engine: Engine, name: str = "lab", **asked: object) -> Iterator[Network]:
    """A network that is removed at the end, with the containers that are on it."""
    made = engine.create_network(NetworkOptions(name, **asked))  # type: ignore[arg-type]
    try:
        yield engine.network(made.id)
    finally:
        for container in engine.containers(all=True):
            if any(each.network == name for each in container.options.networking.endpoints):
                engine.remove(container, force=True)
        with contextlib.suppress(NotFound):
            engine.remove_network(name)


def run(
    engine: Engine, image: str, name: str, *endpoints: Endpoint, ports: tuple[PortBinding, ...] = (), **options: object
) -> Container:
    """A container that sleeps, on these networks."""
    networking = Networking(endpoints=endpoints, ports=ports)
    made = engine.create(
        ContainerOptions(
            image=image,
            name=name,
            command=("sleep", "60"),
            network=endpoints[0].network if endpoints else "bridge",
            networking=networking,
            **options,  # type: ignore[arg-type]
        )
    )
    engine.start(made)
    return engine.container(made)


def shell(engine: Engine, container: Container, script: str) -> str:
    return engine.exec(container, ExecOptions(command=("sh", "-c", script))).stdout.strip()


def reaches(engine: Engine, container: Container, address: str) -> bool:
    return shell(engine, container, f"ping -c 1 -W 1 {bare(address)} >/dev/null 2>&1 && echo yes") == "yes"


def devices(engine: Engine, container: Container) -> list[str]:
    return sorted(shell(engine, container, "ls /sys/class/net").split())


def routes(engine: Engine, container: Container) -> str:
    return shell(engine, container, "ip route | grep ^default")


def wrong_devices(engine: Engine, *, repair: bool = False) -> list[str]:
    """What the check finds of devices: another engine's rules may be on their way, beside it."""
    return [each.message for each in engine.check(repair=repair).problems if each.kind == "interface"]


def remove_device(container: Container, name: str) -> None:
    """Take a device away from a container that runs."""
    first = container.state.pid
    descriptor = netns.of_process(first, process.start_time(first))
    with netns.socket_inside(descriptor) as connection:
        connection.transact([rtnetlink.delete_link(name)])
    os.close(descriptor)


def bridge_of(engine: Engine, network: Network) -> str:
    return plan.bridge_of(network, engine.data_root)


def test_a_device_has_its_own_kernel_settings(engine: Engine, busybox: str):
    settings = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.neigh.IFNAME.delay_first_probe_time=7"
    with a_network(engine):
        one = run(engine, busybox, "one", Endpoint("lab", driver_options={SETTINGS: settings, IFNAME: "up"}))
        looked = "cd /proc/sys/net/ipv4; cat conf/up/log_martians neigh/up/delay_first_probe_time conf/lo/log_martians"
        assert shell(engine, one, looked).split() == ["1", "7", "0"]
        with pytest.raises(InvalidInput, match=r"the kernel does not take net\.ipv4\.conf\.eth0\.nosuch=1"):
            run(engine, busybox, "two", Endpoint("lab", driver_options={SETTINGS: "net.ipv4.conf.IFNAME.nosuch=1"}))


def test_containers_on_a_network_reach_each_other_and_those_elsewhere_do_not(engine: Engine, busybox: str):
    with a_network(engine) as lab, a_network(engine, "other"):
        one, two = (run(engine, busybox, name, Endpoint("lab")) for name in ("one", "two"))
        away, usual = run(engine, busybox, "away", Endpoint("other")), run(engine, busybox, "usual")
        try:
            held = two.networks[0]
            assert addresses.overlapping(lab.subnets[0].subnet, [held.address])
            assert (held.network, held.network_id, held.gateway) == ("lab", lab.id, lab.subnets[0].gateway)
            assert reaches(engine, one, held.address)
            assert not reaches(engine, away, held.address)
            assert not reaches(engine, usual, held.address)
            told = {member.name: member.address for member in engine.network("lab").members}
            assert told == {"one": one.networks[0].address, "two": held.address}
        finally:
            engine.remove(usual, force=True)


def test_a_network_is_found_by_name_and_id_and_filtered(engine: Engine):
    with a_network(engine, labels={"team": "survey"}, internal=True) as lab:
        assert [engine.network(name).id for name in ("lab", lab.id, lab.id[:8])] == [lab.id] * 3
        names = [network.name for network in engine.networks()]
        assert names == ["bridge", "host", "lab", "none"]
        for wanted in ({"type": ["custom"]}, {"label": ["team=survey"]}, {"id": [lab.id[:9]]}, {"dangling": ["true"]}):
            assert [network.name for network in engine.networks(wanted)] == ["lab"]
        with pytest.raises(Conflict, match="network with name lab already exists"):
            engine.create_network(NetworkOptions("lab"))
    with pytest.raises(NotFound, match="network lab not found"):
        engine.network("lab")


def test_fixed_addresses_ranges_and_reserved_ones(engine: Engine, busybox: str):
    subnet = Subnet("10.231.7.0/24", "10.231.7.254", "10.231.7.64/27", {"printer": "10.231.7.64"})
    with a_network(engine, subnets=(subnet,)):
        first = run(engine, busybox, "first", Endpoint("lab"))
        fixed = run(engine, busybox, "fixed", Endpoint("lab", ip="10.231.7.9", mac="02:42:0a:e7:07:09"))
        assert first.networks[0].address == "10.231.7.65/24"
        assert (fixed.networks[0].address, fixed.networks[0].mac) == ("10.231.7.9/24", "02:42:0a:e7:07:09")
        assert "default via 10.231.7.254" in routes(engine, first)
        assert reaches(engine, first, "10.231.7.9")
        for address, error in (("10.231.7.9", Conflict), ("10.231.8.9", InvalidInput)):
            with pytest.raises(error):
                run(engine, busybox, "late", Endpoint("lab", ip=address))
            engine.remove("late", force=True)


def test_ipv6_within_a_network(engine: Engine, busybox: str):
    with a_network(engine, ipv6=True) as lab:
        one = run(engine, busybox, "one", Endpoint("lab"))
        two = run(
            engine, busybox, "two", Endpoint("lab", ip6=addresses.first_address(lab.subnets[1].subnet)[:-1] + "99")
        )
        assert [subnet.version for subnet in lab.subnets] == [4, 6]
        assert two.networks[0].address6.endswith("::99/64")
        target = bare(two.networks[0].address6)
        assert shell(engine, one, f"ping6 -c 1 -W 3 {target} >/dev/null && echo yes") == "yes"
        assert lab.subnets[1].gateway in shell(engine, one, "ip -6 route | grep ^default")
        gateway = lab.subnets[1].gateway
        assert shell(engine, one, f"ping6 -c 1 -W 3 {gateway} >/dev/null && echo yes") == "yes"
        with pytest.raises(InvalidInput, match="has no IPv6 addresses"):
            run(engine, busybox, "four", Endpoint("bridge", ip6="fd00::7"))
        engine.remove("four")


def test_a_network_with_ipv6_alone(engine: Engine, busybox: str):
    with a_network(engine, ipv4=False, ipv6=True):
        one, two = (run(engine, busybox, name, Endpoint("lab")) for name in ("one", "two"))
        assert one.networks[0].address == ""
        target = bare(two.networks[0].address6)
        assert shell(engine, one, f"ping6 -c 1 -W 3 {target} >/dev/null && echo yes") == "yes"
        assert target in shell(engine, two, "cat /etc/hosts")


def test_nothing_leads_out_of_an_internal_network(engine: Engine, busybox: str):
    with a_network(engine, "inner", internal=True), a_network(engine, "lab"):
        one, two = (run(engine, busybox, name, Endpoint("inner")) for name in ("one", "two"))
        third = run(engine, busybox, "third", Endpoint("lab"))
        assert routes(engine, one) == ""
        assert reaches(engine, one, two.networks[0].address)
        gateway = engine.network("inner").subnets[0].gateway
        shell(engine, one, f"ip route add default via {gateway}")
        assert not reaches(engine, one, third.networks[0].address)
        assert not reaches(engine, third, one.networks[0].address)


def test_containers_that_are_not_to_talk_reach_the_gateway_alone(engine: Engine, busybox: str):
    with a_network(engine, options={"com.docker.network.bridge.enable_icc": "false"}) as lab:
        one, two = (run(engine, busybox, name, Endpoint("lab")) for name in ("one", "two"))
        assert not reaches(engine, one, two.networks[0].address)
        assert reaches(engine, one, lab.subnets[0].gateway)


def test_a_container_on_several_networks_leaves_by_the_one_with_priority(engine: Engine, busybox: str):
    with a_network(engine, "aaa") as first, a_network(engine, "bbb") as second, a_network(engine, "ccc", internal=True):
        plain = run(engine, busybox, "plain", Endpoint("bbb"), Endpoint("ccc", aliases=("x",)), Endpoint("aaa"))
        assert [each.network for each in plain.networks] == ["bbb", "ccc", "aaa"]
        assert devices(engine, plain) == ["eth0", "eth1", "eth2", "lo"]
        assert f"default via {first.subnets[0].gateway} dev eth2" in routes(engine, plain)
        chosen = run(engine, busybox, "chosen", Endpoint("aaa"), Endpoint("bbb", priority=5))
        assert f"default via {second.subnets[0].gateway} dev eth1" in routes(engine, chosen)
        for attached in plain.networks:
            assert bare(attached.address) in shell(engine, plain, "ip -4 addr; cat /etc/hosts")


def test_a_running_container_is_connected_and_disconnected(engine: Engine, busybox: str):
    with a_network(engine, "aaa") as first, a_network(engine, "bbb") as second:
        one, two = run(engine, busybox, "one", Endpoint("bbb")), run(engine, busybox, "two", Endpoint("aaa"))
        assert not reaches(engine, one, two.networks[0].address)
        engine.connect_network(
            "aaa", "one", Endpoint("aaa", ip=str(addresses.parse_subnet(first.subnets[0].subnet)[77]))
        )
        now = engine.container("one")
        assert bare(now.networks[1].address).endswith(".77")
        assert devices(engine, now) == ["eth0", "eth1", "lo"]
        assert reaches(engine, now, two.networks[0].address)
        assert first.subnets[0].gateway in routes(engine, now)
        assert now.networks[1].address.partition("/")[0] in shell(engine, now, "cat /etc/hosts")
        with pytest.raises(Forbidden, match="endpoint with name one already exists in network aaa"):
            engine.connect_network("aaa", "one")
        engine.disconnect_network("aaa", "one")
        now = engine.container("one")
        assert [each.network for each in now.networks] == ["bbb"]
        assert devices(engine, now) == ["eth0", "lo"]
        assert second.subnets[0].gateway in routes(engine, now)
        assert not reaches(engine, now, two.networks[0].address)
        with pytest.raises(Forbidden, match="is not connected to network aaa"):
            engine.disconnect_network("aaa", "one")
        engine.disconnect_network("aaa", "one", force=True)
        engine.disconnect_network("bbb", "one")
        assert (devices(engine, now), routes(engine, now)) == (["lo"], "")
        engine.connect_network("bbb", "one")
        assert second.subnets[0].gateway in routes(engine, now)


@pytest.mark.root("makes devices of the machine's")
@pytest.mark.parametrize("driver", ["bridge", "macvlan"])
def test_a_connect_that_fails_at_its_last_step_leaves_the_container_as_it_was(
    engine: Engine, busybox: str, driver: str
):
    ports = (PortBinding(80, host_ip="127.0.0.1"),)
    with a_network(engine, "aaa", driver=driver), a_network(engine, "bbb"):
        one = run(engine, busybox, "one", Endpoint("bbb"), ports=ports)
        way = routes(engine, one)
        # Which the monitor writes when ports are led elsewhere.
        path = f"{engine.run_root}/containers/{one.id}/plan.json"
        os.rename(path, f"{path}.kept")
        os.mkdir(path)
        with pytest.raises(KistError):
            engine.connect_network("aaa", "one", Endpoint("aaa", priority=1))
        now = engine.container("one")
        assert [each.network for each in now.networks] == ["bbb"]
        assert (devices(engine, now), routes(engine, now)) == (["eth0", "lo"], way)
        with pytest.raises(KistError):
            engine.disconnect_network("bbb", "one")
        assert devices(engine, engine.container("one")) == ["eth0", "lo"]
        os.rmdir(path)
        os.rename(f"{path}.kept", path)
        assert not wrong_devices(engine)
        engine.connect_network("aaa", "one")
        assert [each.network for each in engine.container("one").networks] == ["bbb", "aaa"]


def test_a_stopped_container_is_connected_when_it_starts(engine: Engine, busybox: str):
    with a_network(engine, "aaa"), a_network(engine, "bbb"):
        made = engine.create(ContainerOptions(image=busybox, name="late", command=("sleep", "60"), network="bbb"))
        engine.connect_network("aaa", made)
        engine.start(made)
        assert [each.network for each in engine.container(made).networks] == ["bbb", "aaa"]
        engine.stop(made, timeout=0)
        engine.disconnect_network("aaa", made)
        engine.start(made)
        assert [each.network for each in engine.container(made).networks] == ["bbb"]


def test_what_has_no_network_of_its_own_is_not_connected(engine: Engine, busybox: str):
    with a_network(engine):
        for mode in ("none", "host"):
            made = engine.create(ContainerOptions(image=busybox, command=("true",), network=mode))
            try:
                with pytest.raises(Forbidden, match=r"container (cannot be connected|sharing network namespace)"):
                    engine.connect_network("lab", made)
            finally:
                engine.remove(made)
    with pytest.raises(InvalidInput, match="network moon not found"):
        engine.create(ContainerOptions(image=busybox, command=("true",), network="moon"))


def test_a_network_in_use_stays_and_a_stopped_containers_is_not_pruned(engine: Engine, busybox: str):
    with a_network(engine), a_network(engine, "unused"), a_network(engine, "stopped"):
        one = run(engine, busybox, "one", Endpoint("lab"))
        made = engine.create(ContainerOptions(image=busybox, command=("true",), network="stopped"))
        try:
            with pytest.raises(Forbidden, match=f'has active endpoints \\(name:"one" id:"{one.id[:12]}"\\)'):
                engine.remove_network("lab")
            assert engine.prune_networks(dry_run=True).deleted == ("unused",)
            assert engine.prune_networks().deleted == ("unused",)
            assert engine.prune_networks().deleted == ()
        finally:
            engine.remove(made)
        for name in ("bridge", "host", "none"):
            with pytest.raises(Forbidden, match="pre-defined network"):
                engine.remove_network(name)


def test_a_network_that_was_removed_is_missed_at_the_start_and_can_be_made_again(engine: Engine, busybox: str):
    with a_network(engine):
        made = engine.create(ContainerOptions(image=busybox, command=("true",), network="lab"))
        engine.remove_network("lab")
        with pytest.raises(NotFound, match="network lab not found"):
            engine.start(made)
        engine.create_network(NetworkOptions("lab"))
        engine.start(made)
        assert engine.wait(made) == 0


def test_an_address_pool_that_runs_out_says_so_and_gives_back(engine: Engine, busybox: str):
    with a_network(engine, subnets=(Subnet("10.231.9.0/30"),)):
        one = run(engine, busybox, "one", Endpoint("lab"))
        assert one.networks[0].address == "10.231.9.2/30"
        with pytest.raises(Unavailable, match=r"no free address in 10\.231\.9\.0/30: all 2 are in use"):
            run(engine, busybox, "two", Endpoint("lab"))
        engine.remove(one, force=True)
        engine.start("two")
        assert engine.container("two").networks[0].address == "10.231.9.2/30"


def test_a_start_that_fails_on_a_second_network_leaves_nothing_leased(engine: Engine, busybox: str):
    with a_network(engine, "aaa", subnets=(Subnet("10.231.10.0/30"),)), a_network(engine, "bbb"):
        run(engine, busybox, "one", Endpoint("aaa"))
        with pytest.raises(Unavailable):
            run(engine, busybox, "two", Endpoint("bbb"), Endpoint("aaa"))
        assert engine.network("bbb").members == ()
        engine.remove_network("bbb")
        engine.create_network(NetworkOptions("bbb"))


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"subnets": (Subnet("10.231.11.0/24"),)}, Forbidden, "Pool overlaps with other one"),
        ({"subnets": (Subnet("127.3.0.0/16"),)}, InvalidInput, "127.3.0.0/16 is not for networks"),
        ({"subnets": (Subnet("10.231.12.0/24", "10.231.13.1"),)}, InvalidInput, "gateway 10.231.13.1"),
        ({"subnets": (Subnet("fd00:7::/64"),)}, InvalidInput, "--ipv6 is off"),
        ({"ipv4": False}, InvalidInput, "IPv4 or IPv6 must be enabled"),
        ({"driver": "overlay"}, NotFound, "could not find plugin overlay"),
        ({"driver": "host"}, Forbidden, "only one instance"),
        ({"options": {"com.docker.network.driver.mtu": "x"}}, InvalidInput, "invalid MTU"),
        ({"options": {"com.docker.network.driver.mtu": "1279"}, "ipv6": True}, InvalidInput, "IPv6 needs 1280"),
        ({"options": {"com.docker.network.bridge.name": "kist0"}}, InvalidInput, "Kist calls bridges so"),
        ({"options": {"com.docker.network.bridge.name": "kist-0123456789"}}, InvalidInput, "Kist calls bridges so"),
        ({"options": {"com.docker.network.bridge.host_binding_ipv4": "here"}}, InvalidInput, "invalid IP address"),
    ],
)
def test_a_network_that_cannot_be_is_refused(
    engine: Engine, asked: dict[str, object], error: type[KistError], words: str
):
    before = {network.name for network in engine.networks()}
    if words.startswith("Pool"):
        with a_network(engine, "taken", subnets=(Subnet("10.231.11.0/25"),)), pytest.raises(error, match=words):
            engine.create_network(NetworkOptions("lab", **asked))  # type: ignore[arg-type]
    else:
        with pytest.raises(error, match=words):
            engine.create_network(NetworkOptions("lab", **asked))  # type: ignore[arg-type]
    assert {network.name for network in engine.networks()} == before


def test_a_subnet_that_the_host_routes_elsewhere_is_refused(engine: Engine):
    theirs = engine.network("bridge").subnets[0].subnet
    with pytest.raises(Conflict, match=f"overlaps the host's route to {theirs}") as caught:
        engine.create_network(NetworkOptions("lab", subnets=(Subnet(theirs),)))
    assert "--subnet" in caught.value.hint


@pytest.mark.root("looks at the machine's own devices")
def test_a_bridge_that_was_deleted_is_made_again_with_its_cables(engine: Engine, busybox: str):
    with a_network(engine) as lab:
        one = run(engine, busybox, "one", Endpoint("lab"))
        device = bridge_of(engine, lab)
        assert os.path.isdir(f"/sys/class/net/{device}")
        with Socket(NETLINK_ROUTE) as connection:
            link = rtnetlink.find_link(connection, device)
            assert link is not None
            assert link.alias == f"{plan.alias_of(engine.data_root)} lab"
            connection.transact([rtnetlink.delete_link(device)])
        two = run(engine, busybox, "two", Endpoint("lab"))
        assert reaches(engine, two, lab.subnets[0].gateway)
        told = [each.message for each in engine.check().problems if each.subject == one.id]
        assert told == ["one runs, and is not connected to all of its networks (lab)"]
        assert engine.reload_networks([one.id]) == ("one",)
        assert reaches(engine, two, one.networks[0].address)
        assert reaches(engine, one, lab.subnets[0].gateway)
    assert not os.path.isdir(f"/sys/class/net/{device}")


@pytest.mark.root("makes devices of the machine's")
def test_one_that_cannot_be_connected_when_an_engine_begins_is_so_when_it_can_be(
    engine: Engine, busybox: str, caplog: pytest.LogCaptureFixture
):
    # A subnet of no pool: another engine would take it while nobody has it.
    with a_network(engine, subnets=(Subnet("10.231.19.0/24"),)) as lab, Socket(NETLINK_ROUTE) as connection:
        one = run(engine, busybox, "one", Endpoint("lab"))
        connection.transact([rtnetlink.delete_link(bridge_of(engine, lab))])
        connection.transact([rtnetlink.new_bridge("kisttheirs", mac="", mtu=1500)])
        theirs = rtnetlink.find_link(connection, "kisttheirs")
        assert theirs is not None
        subnet = addresses.parse_subnet(lab.subnets[0].subnet)
        connection.transact([rtnetlink.add_address(theirs.ifindex, str(subnet[5]), subnet.prefixlen)])
        try:
            with Engine(engine.data_root, engine.run_root) as other:
                assert "one runs, and is not on all of its networks: the subnet" in caplog.text
                assert wrong_devices(other)
                connection.transact([rtnetlink.delete_link("kisttheirs")])
                until(lambda: not wrong_devices(other))
        finally:
            bridges.remove_link("kisttheirs")
        assert reaches(engine, one, lab.subnets[0].gateway)


@pytest.mark.root("makes a device that nobody knows of")
def test_a_device_of_a_network_that_is_gone_is_found_and_removed(engine: Engine):
    with a_network(engine) as lab:
        device = bridge_of(engine, lab)
        engine.store.networks.remove(lab)
        found = [problem for problem in engine.check().problems if problem.subject == device]
        assert [problem.kind for problem in found] == ["interface"]
        engine.check(repair=True)
        assert not os.path.isdir(f"/sys/class/net/{device}")
        assert not wrong_devices(engine)


@pytest.mark.root("looks at the machine's own devices")
def test_a_network_whose_name_is_longer_than_a_devices_alias_is_a_network(engine: Engine):
    with a_network(engine, "n" * 300) as lab:
        device = bridge_of(engine, lab)
        assert os.path.isdir(f"/sys/class/net/{device}")
        assert not wrong_devices(engine)
    assert not os.path.isdir(f"/sys/class/net/{device}")


def test_an_ipv6_gateway_is_the_same_however_it_is_written(engine: Engine, busybox: str):
    subnet = Subnet("FD78:0:0:7::/64", "FD78:0:0:7::0:1")
    with a_network(engine, subnets=(subnet,), ipv4=False, ipv6=True):
        one, two = (run(engine, busybox, name, Endpoint("lab")) for name in ("one", "two"))
        assert [each.networks[0].address6 for each in (one, two)] == ["fd78:0:0:7::2/64", "fd78:0:0:7::3/64"]


@pytest.mark.root("makes devices of the machine's")
@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("macvlan", {}),
        ("macvlan", {"macvlan_mode": "private"}),
        ("ipvlan", {}),
        ("ipvlan", {"ipvlan_mode": "l3"}),
    ],
)
def test_networks_on_a_device_of_the_host(engine: Engine, busybox: str, driver: str, options: dict[str, str]):
    with a_network(engine, driver=driver, options=options, subnets=(Subnet("10.231.14.0/24", "10.231.14.1"),)) as lab:
        try:
            one, two = (run(engine, busybox, name, Endpoint("lab")) for name in ("one", "two"))
        except Unsupported as error:
            pytest.skip(str(error))
        assert os.path.isdir(f"/sys/class/net/{bridge_of(engine, lab)}")
        assert reaches(engine, one, two.networks[0].address) == (options.get("macvlan_mode") != "private")
        expected = "dev eth0" if options.get("ipvlan_mode") == "l3" else "default via 10.231.14.1 dev eth0"
        assert expected in routes(engine, one)
        assert not wrong_devices(engine)
        remove_device(one, "eth0")
        assert wrong_devices(engine, repair=True) == ["one runs, and is not connected to all of its networks (lab)"]
        assert not wrong_devices(engine)
        assert expected in routes(engine, one)
        engine.connect_network("bridge", one)
        assert devices(engine, one) == ["eth0", "eth1", "lo"]
        engine.disconnect_network("lab", one)
        assert devices(engine, one) == ["eth1", "lo"]
        engine.remove(one, force=True)
    assert not os.path.isdir(f"/sys/class/net/{bridge_of(engine, lab)}")


@pytest.mark.skipif(ROOT, reason="root has devices of the machine's")
def test_an_ordinary_user_has_no_network_on_a_device_of_the_machines(engine: Engine):
    with pytest.raises(Unsupported, match="driver macvlan are on a device of the machine's"):
        engine.create_network(NetworkOptions("lab", driver="macvlan", options={"parent": "eth0"}))


def test_a_link_on_a_network_of_ones_own_is_a_name_that_follows(engine: Engine, busybox: str):
    with a_network(engine), a_network(engine, "other"):
        asked = Networking(endpoints=(Endpoint("other"), Endpoint("lab")))
        made = ContainerOptions(
            image=busybox, name="postgres", command=("sleep", "60"), network="other", networking=asked
        )
        engine.create(made)
        web = run(engine, busybox, "web", Endpoint("lab", links=("postgres:db",)))
        assert "\tdb" not in shell(engine, web, "cat /etc/hosts")
        engine.start("postgres")
        database = engine.container("postgres")
        assert f"{bare(database.networks[1].address)}\tdb" in shell(engine, web, "cat /etc/hosts")
        assert shell(engine, web, "env | grep ^DB_ || echo none") == "none"


def test_a_restart_keeps_the_networks(engine: Engine, busybox: str):
    with a_network(engine, "aaa"), a_network(engine, "bbb"):
        one = run(engine, busybox, "one", Endpoint("aaa"), Endpoint("bbb"))
        before = {each.network for each in one.networks}
        engine.restart(one, timeout=0)
        assert {each.network for each in engine.container(one).networks} == before
        assert devices(engine, one) == ["eth0", "eth1", "lo"]


def test_a_device_may_have_a_name_of_choice_and_an_mtu(engine: Engine, busybox: str):
    options = {"com.docker.network.driver.mtu": "1300", "com.docker.network.container_iface_prefix": "lan"}
    with a_network(engine, options=options), a_network(engine, "other"):
        named = Endpoint("other", driver_options={IFNAME: "uplink7"})
        one = run(engine, busybox, "one", Endpoint("lab"), named)
        assert devices(engine, one) == ["lan0", "lo", "uplink7"]
        engine.disconnect_network("other", one)
        engine.connect_network("other", one, Endpoint("other", driver_options={IFNAME: "uplink"}))
        assert devices(engine, one) == ["lan0", "lo", "uplink"]
        assert shell(engine, one, "cat /sys/class/net/lan0/mtu") == "1300"
