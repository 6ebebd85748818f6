"""Published ports through the kernel: a host, a client beside it, and containers, in namespaces of the tests' own."""

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import Cli, a_cli, busybox_tar, until
from kist.kernel import listeners, netns, nftables, port_elements, process, rtnetlink
from kist.kernel.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, Socket
from kist.kernel.nftables_expressions import accept, be32, input_device
from machines import Namespace, fetch, join, server, transact

pytestmark = pytest.mark.root("rules of the host are root's")

HOST, CLIENT = "192.0.2.1", "192.0.2.2"
HOST6, CLIENT6 = "2001:db8::1", "2001:db8::2"
BUSYBOX = "busybox:test"
FOREIGN = "kisttestfilter"


@dataclass(frozen=True)
class Site:
    """A host with an engine, and a client machine."""

    host: Namespace
    client: Namespace
    cli: Cli

    def good(self, *words: str) -> str:
        return self.host.run(lambda: self.cli.good(*words))

    def run(self, *options: str, name: str = "web") -> Namespace:
        """A container that does nothing; its network namespace."""
        self.good("run", "-d", "--name", name, *options, BUSYBOX, "sleep", "1000")
        return self.inside(name)

    def inside(self, name: str) -> Namespace:
        pid = int(self.good("inspect", "-f", "{{.State.Pid}}", name))
        return Namespace(netns.of_process(pid, process.start_time(pid)))

    def elements(self, name: str) -> int:
        """How many ports of this container the kernel carries."""
        return len(self.host.run(lambda: _elements(self.good("inspect", "-f", "{{.Id}}", name)[:12])))

    def tables(self) -> set[str]:
        def look() -> set[str]:
            with Socket(NETLINK_NETFILTER) as connection:
                return {f"{chain.family} {chain.table}" for chain in nftables.list_chains(connection)}

        return self.host.run(look)

    def ports_line(self) -> str:
        """What ``kist info`` says of them."""
        (line,) = [line for line in self.good("info").splitlines() if line.startswith("Ports:")]
        return line.partition(":")[2].strip()


def _elements(comment: str) -> list[object]:
    way = port_elements.Rules()
    try:
        return [*way.of(comment)]
    finally:
        way.close()


def _loopback() -> None:
    transact(rtnetlink.set_up(1, "lo"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    host, client = Namespace(), Namespace()
    host.run(_loopback)
    join(host, HOST, client, CLIENT)
    with contextlib.ExitStack() as stack:
        cli = host.run(lambda: stack.enter_context(a_cli(tmp_path)))
        made = Site(host, client, cli)
        archive = tmp_path / "busybox.tar"
        archive.write_bytes(busybox_tar())
        made.good("import", str(archive), BUSYBOX)
        try:
            yield made
        finally:
            host.run(stack.close)
    host.close()
    client.close()


def seen(space: Namespace, address: str, port: int, seen_by: list[str]) -> str:
    """Connect, and tell as whom the container has seen it."""
    assert fetch(space, address, port) == b"hello"
    return seen_by[-1]


def foreign(name: str, hook: int, *, policy: int = nftables.POLICY_ACCEPT, rules: tuple[bytes, ...] = ()) -> None:
    """A chain of another firewall."""
    chain = nftables.BaseChain(name, "filter", hook, 0, tuple((f"rule {n}", code) for n, code in enumerate(rules)))
    made = nftables.new_chain(FOREIGN, chain)
    body = made.body.replace(be32(5, nftables.POLICY_ACCEPT), be32(5, policy))
    with Socket(NETLINK_NETFILTER) as connection:
        nftables.commit(
            connection,
            [nftables.new_table(FOREIGN), made._replace(body=body), *nftables.new_rules(FOREIGN, chain)],
        )


def flush() -> None:
    """What a firewall's reload does: ``nft flush ruleset``."""
    with Socket(NETLINK_NETFILTER) as connection:
        nftables.commit(
            connection, [nftables.request(_DELTABLE, 0, b"", "all tables", family) for family in ("ip", "ip6")]
        )


_DELTABLE = 10 << 8 | 2


def test_a_container_sees_the_clients_own_address(site: Site) -> None:
    inside = site.run("-p", "8080:80")
    with server(inside, "0.0.0.0", 80) as (_, peers):
        assert seen(site.client, HOST, 8080, peers) == CLIENT
        assert seen(site.host, HOST, 8080, peers) == HOST
        # Loopback is the monitor's, and so is what a container sends to the port of its own bridge.
        assert seen(site.host, "127.0.0.1", 8080, peers) == "10.88.0.1"
        assert seen(inside, HOST, 8080, peers) == "10.88.0.1"
    assert site.ports_line() == "carried by the kernel, with the client's address"


def test_datagrams_too(site: Site) -> None:
    inside = site.run("-p", "5353:53/udp")
    with inside.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listening:
        listening.settimeout(10)
        inside.run(lambda: listening.bind(("0.0.0.0", 53)))
        with site.client.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
            asking.settimeout(10)
            asking.sendto(b"who", (HOST, 5353))
            data, peer = listening.recvfrom(100)
            assert (data, peer[0]) == (b"who", CLIENT)
            listening.sendto(b"you", peer)
            assert asking.recvfrom(100) == (b"you", (HOST, 5353))


def test_who_keeps_sending_datagrams_is_led_to_the_next_container(site: Site) -> None:
    first = site.run("-p", "5353:53/udp", name="first")
    with site.client.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        with listening_at(first) as one:
            asking.sendto(b"a", (HOST, 5353))
            assert one.recv(10) == b"a"
        site.good("rm", "-f", "first")
        site.run(name="stranger")  # has the address that the first one had
        second = site.run("-p", "5353:53/udp", name="second")
        with listening_at(second) as other:
            asking.sendto(b"b", (HOST, 5353))
            assert other.recv(10) == b"b"


@contextlib.contextmanager
def listening_at(space: Namespace) -> Iterator[socket.socket]:
    with space.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as made:
        made.settimeout(10)
        made.bind(("0.0.0.0", 53))
        yield made


def test_a_published_port_opens_no_other(site: Site) -> None:
    inside = site.run("-p", "8080:80")
    site.client.run(lambda: transact(rtnetlink.add_default_route(HOST)))
    address = site.good("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web")
    with server(inside, "0.0.0.0", 80), pytest.raises(TimeoutError):
        fetch(site.client, address, 80, timeout=0.5)
    with server(inside, "0.0.0.0", 81), pytest.raises(ConnectionRefusedError):
        fetch(site.client, HOST, 81)


def test_ports_on_one_address_and_in_ranges(site: Site) -> None:
    inside = site.run("-p", f"{HOST}:8000-8002:80-82", "-p", "127.0.0.1:9000:80")
    assert site.elements("web") == 3
    assert site.good("port", "web").splitlines() == [
        f"80/tcp -> {HOST}:8000", "80/tcp -> 127.0.0.1:9000", f"81/tcp -> {HOST}:8001", f"82/tcp -> {HOST}:8002",
    ]  # fmt: skip
    with server(inside, "0.0.0.0", 82) as (_, peers):
        assert seen(site.client, HOST, 8002, peers) == CLIENT
    with pytest.raises(ConnectionRefusedError):
        fetch(site.client, HOST, 9000)


def test_rules_come_and_go_with_their_container(site: Site) -> None:
    assert not [each for each in site.tables() if "kist-ports" in each]
    site.run("-p", "8080:80")
    site.run("-p", "8081:80", name="other")
    assert {"ip kist-ports", "ip6 kist-ports"} <= site.tables()
    assert (site.elements("web"), site.elements("other")) == (1, 1)
    site.good("rm", "-f", "web")
    assert site.elements("other") == 1
    # No engine is needed for it.
    site.cli.stop_engine()
    state = _state(site, "other")
    os.kill(state["pid"], signal.SIGKILL)
    until(lambda: not [each for each in site.tables() if "kist-ports" in each])


def test_a_start_that_fails_leaves_no_rules(site: Site) -> None:
    done = site.host.run(lambda: site.cli("run", "-p", "8080:80", BUSYBOX, "/no/such/command"))
    assert done.returncode == 127
    assert not [each for each in site.tables() if "kist-ports" in each]


def test_they_outlive_the_monitor(site: Site) -> None:
    inside = site.run("-p", "8080:80")
    killed = _state(site, "web")["monitor"]
    os.kill(killed, signal.SIGKILL)
    with server(inside, "0.0.0.0", 80) as (_, peers):
        assert seen(site.client, HOST, 8080, peers) == CLIENT
        until(lambda: _state(site, "web")["monitor"] != killed)
        until(lambda: _listens(site.host, 8080))
        assert seen(site.client, HOST, 8080, peers) == CLIENT
        assert seen(site.host, "127.0.0.1", 8080, peers) == "10.88.0.1"
    site.good("rm", "-f", "web")
    assert not [each for each in site.tables() if "kist-ports" in each]


def test_the_monitor_carries_what_the_rules_do_not_until_they_are_made_again(site: Site) -> None:
    inside = site.run("-p", "8080:80")
    with server(inside, "0.0.0.0", 80) as (_, peers):
        site.host.run(flush)
        assert seen(site.client, HOST, 8080, peers) == "10.88.0.1"
        assert site.good("network", "reload") == "web"
        assert seen(site.client, HOST, 8080, peers) == CLIENT
        assert "ip kist" in site.tables()
        site.host.run(lambda: foreign("INPUT", nftables.HOOK_INPUT, policy=nftables.POLICY_DROP))
        assert fetch(site.client, HOST, 8080) == b"hello", "a firewall that comes later is not seen at once"
        told = site.host.run(lambda: site.cli("system", "check")).stdout
        assert "rules web: its published ports are carried past the host's firewall" in told
        assert site.good("network", "reload") == "web"
        assert site.elements("web") == 0
        with pytest.raises(TimeoutError):
            fetch(site.client, HOST, 8080, timeout=0.5)
    assert "drops what comes in" in site.ports_line()


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (nftables.HOOK_INPUT, "what comes in"),
        (nftables.HOOK_FORWARD, "what is forwarded"),
    ],
)
def test_a_port_is_never_more_open_than_the_hosts_firewall_has_it(site: Site, hook: int, words: str) -> None:
    site.host.run(lambda: foreign("own", hook, rules=(input_device("lo") + accept(),)))
    inside = site.run("-p", "8080:80")
    why = f"the chain ip {FOREIGN} own has rules for {words}"
    assert site.ports_line() == f"carried by each container's monitor: {why}"
    assert site.elements("web") == 0
    with server(inside, "0.0.0.0", 80) as (_, peers):
        assert seen(site.client, HOST, 8080, peers) == "10.88.0.1"


def test_settings_choose_path_and_address(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "engine.toml"
    config.write_text('[ports]\npath = "user"\naddress = "192.0.2.1"\n', encoding="utf-8")
    site.cli.stop_engine()
    monkeypatch.setenv("KIST_CONFIG", str(config))
    inside = site.run("-p", "8080:80")
    assert site.good("port", "web") == f"80/tcp -> {HOST}:8080"
    assert site.ports_line() == "carried by each container's monitor: engine.toml says so"
    with server(inside, "0.0.0.0", 80) as (_, peers):
        assert seen(site.client, HOST, 8080, peers) == "10.88.0.1"


def test_what_is_left_when_all_are_killed_is_found(site: Site) -> None:
    site.run("-p", "8080:80")
    state = _state(site, "web")
    identifier = site.good("inspect", "-f", "{{.Id}}", "web")
    for pid in (site.cli.engine_pid(), state["keeper"][0], state["monitor"], state["pid"]):
        _kill(pid)
    assert len(site.host.run(lambda: _elements(identifier[:12]))) == 1
    site.good("ps")
    assert not [each for each in site.tables() if "kist-ports" in each]


def test_rules_of_nobody_are_found_and_removed(site: Site) -> None:
    site.run("-p", "8080:80")
    made = port_elements.element("0.0.0.0", "tcp", 8099, "10.88.0.99", 80)
    assert made is not None

    def put() -> None:
        way = port_elements.Rules()
        way.put([made], "nobody", ["kisttest0"], b"")
        way.close()

    site.host.run(put)
    done = site.host.run(lambda: site.cli("system", "check", "--json"))
    found = [each for each in json.loads(done.stdout)["problems"] if each["kind"] == "rules"]
    assert [each["subject"] for each in found] == ["0.0.0.0:8099/tcp"]
    site.host.run(lambda: site.cli("system", "check", "--repair"))
    assert site.host.run(lambda: _elements("nobody")) == []
    assert site.elements("web") == 1


def test_ports_lead_where_their_container_goes(site: Site) -> None:
    site.good("network", "create", "--subnet", "10.99.0.0/24", "lab")
    inside = site.run("-p", "8080:80")
    with server(inside, "0.0.0.0", 80) as (_, peers):
        site.good("network", "connect", "lab", "web")
        site.good("network", "disconnect", "bridge", "web")
        assert seen(site.client, HOST, 8080, peers) == CLIENT
        assert seen(site.host, "127.0.0.1", 8080, peers) == "10.99.0.1"
        site.good("network", "disconnect", "lab", "web")
        assert site.elements("web") == 0
        assert fetch(site.host, "127.0.0.1", 8080) == b""  # nobody is there
        site.good("network", "connect", "bridge", "web")
        assert seen(site.client, HOST, 8080, peers) == CLIENT


def test_ipv6_reaches_a_containers_own_address_or_its_other_one(site: Site) -> None:
    for space, address in ((site.host, HOST6), (site.client, CLIENT6)):
        space.run(lambda address=address: _give6(address))  # type: ignore[misc]
    site.good("network", "create", "--ipv6", "--subnet", "fd00:99::/64", "six")
    inside = site.run("--network", "six", "-p", "8080:80")
    with server(inside, "::", 80) as (_, peers):
        assert seen(site.client, HOST6, 8080, peers) == CLIENT6
        assert seen(site.host, "::1", 8080, peers) == "fd00:99::1"
    four = site.run("-p", "[::]:8081:80", name="four")
    with server(four, "0.0.0.0", 80) as (_, peers):
        gateway = site.good("inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "four")
        assert seen(site.client, HOST6, 8081, peers) == gateway
    assert site.good("port", "four") == "80/tcp -> [::]:8081"


def _give6(address: str) -> None:
    with Socket(NETLINK_ROUTE) as connection:
        name = next(name for name in ("kisttestup", "up0") if rtnetlink.find_link(connection, name))
        link = rtnetlink.find_link(connection, name)
        assert link is not None
        connection.transact([rtnetlink.add_address(link.ifindex, address, 64)])
    until(lambda: _bindable(address))


def _bindable(address: str) -> bool:
    """Whether the address is one that can be used: a new one is looked for on the link first."""
    with socket.socket(socket.AF_INET6) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
        return True


def _state(site: Site, name: str) -> dict[str, Any]:
    identifier = site.good("inspect", "-f", "{{.Id}}", name)
    text = (site.cli.directory / "run" / "containers" / identifier / "state.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _listens(space: Namespace, port: int) -> bool:
    return any(each.port == port for each in space.run(listeners.listening))


def _kill(pid: int) -> None:
    """SIGKILL, and see the end."""
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    select.select([descriptor], [], [], 10)
    os.close(descriptor)
