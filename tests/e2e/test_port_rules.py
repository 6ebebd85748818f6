"""Published ports through the kernel: a host, a client beside it, and containers, in namespaces of the tests' own."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import Cli, a_cli, busybox_tar
from kist.kernel import netns, nftables, port_elements, rtnetlink
from kist.kernel.netlink import NETLINK_NETFILTER, Socket
from machines import Namespace, fetch, join, server, transact

pytestmark = pytest.mark.root("rules of the host are root's")

HOST, CLIENT = "192.0.2.1", "192.0.2.2"
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
        return Namespace(netns.of_process(int(self.good("inspect", "-f", "{{.State.Pid}}", name))))

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


def test_a_container_sees_the_clients_own_address(site: Site) -> None:
    inside = site.run("-p", "8080:80")
    with server(inside, "0.0.0.0", 80) as (_, peers):
        assert seen(site.client, HOST, 8080, peers) == CLIENT
        assert seen(site.host, HOST, 8080, peers) == HOST
        # Loopback is the monitor's, and so is what a container sends to the port of its own bridge.
        assert seen(site.host, "127.0.0.1", 8080, peers) == "10.88.0.1"
        assert seen(inside, HOST, 8080, peers) == "10.88.0.1"
    assert site.ports_line() == "carried by the kernel, with the client's address"
