"""What killed processes may leave in the kernel and on disk: each kind is found, told by its kind, and taken away."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import disks
from harness import BUSYBOX, Cli, a_cli, give_busybox, until
from kist.kernel import cgroup, leftovers, nftables, port_elements, rtnetlink
from kist.kernel.netlink import NETLINK_NETFILTER, NETLINK_ROUTE, Socket
from kist.network import firewall, plan
from machines import Namespace, transact

pytestmark = pytest.mark.root("looks at the machine's own devices, mounts and control groups")

NOBODY = "f" * 64  # the id of no container
GONE = "kistgone0"  # a device that there is not


@dataclass(frozen=True)
class Site:
    """A host with an engine, a network, a container that runs on it and one that does not run."""

    host: Namespace
    cli: Cli
    running: str
    stopped: str

    @property
    def data(self) -> Path:
        return self.cli.directory / "data"

    @property
    def runs(self) -> Path:
        return self.cli.directory / "run"

    def good(self, *words: str) -> str:
        return self.host.run(lambda: self.cli.good(*words))

    def problems(self, *options: str) -> set[tuple[str, str]]:
        """What the check tells: kinds and subjects. Control groups are the machine's, so other tests' are left out."""
        done = self.host.run(lambda: self.cli("system", "check", "--json", *options))
        told = {(each["kind"], each["subject"]) for each in json.loads(done.stdout)["problems"]}
        return {(kind, subject) for kind, subject in told if kind != "cgroup" or subject == f"kist/{self.stopped}"}

    def link(self, name: str) -> rtnetlink.Link | None:
        def look() -> rtnetlink.Link | None:
            with Socket(NETLINK_ROUTE) as connection:
                return rtnetlink.find_link(connection, name)

        return self.host.run(look)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host, directory = Namespace(), tmp_path_factory.mktemp("leftovers")
    with contextlib.ExitStack() as stack:
        cli = host.run(lambda: stack.enter_context(a_cli(directory)))
        try:
            host.run(lambda: give_busybox(cli))
            host.run(lambda: cli.good("network", "create", "lab"))
            running = host.run(
                lambda: cli.good("run", "-d", "-p", "8098:80", "--network", "lab", BUSYBOX, "sleep", "1000")
            )
            stopped = host.run(lambda: cli.good("create", "--network", "lab", BUSYBOX, "sleep", "1000"))
            yield Site(host, cli, running, stopped)
        finally:
            host.run(stack.close)
    host.close()


# Each leaves something behind, and gives the kind and the subject that the check is to tell, and whether it is there.
Left = tuple[str, str, Callable[[], bool]]


def a_control_group(site: Site) -> Left:
    hierarchies = cgroup.detect()
    (places,) = (places for name, places in leftovers.groups(hierarchies, "kist").items() if name == site.running)
    for place in places:
        Path(place).with_name(site.stopped).mkdir()
    return "cgroup", f"kist/{site.stopped}", lambda: site.stopped in leftovers.groups(hierarchies, "kist")


def a_cable(site: Site) -> Left:
    (network,) = json.loads(site.good("network", "inspect", "lab"))
    bridge = site.link(f"kist-{network['Id'][:10]}")
    assert bridge is not None
    made = rtnetlink.new_veth(
        GONE, master=bridge.ifindex, mtu=1400, peer="up0", peer_mac="02:00:00:00:00:02", peer_netns=site.host.descriptor
    )
    site.host.run(lambda: transact(made))
    return "interface", GONE, lambda: site.link(GONE) is not None


def a_bridge(site: Site) -> Left:
    site.host.run(lambda: transact(rtnetlink.new_bridge(GONE, mac="02:00:00:00:00:03", mtu=1400)))
    made = site.link(GONE)
    assert made is not None
    site.host.run(lambda: transact(rtnetlink.set_alias(made.ifindex, f"{plan.alias_of(str(site.data))} nobodys")))
    return "interface", GONE, lambda: site.link(GONE) is not None


def a_container_without_its_cable(site: Site) -> Left:
    name = plan.cable_name(site.running, "lab")
    site.host.run(lambda: transact(rtnetlink.delete_link(name)))
    return "interface", site.running, lambda: site.link(name) is None


def rules_of_a_bridge(site: Site) -> Left:
    def chains() -> list[str]:
        with Socket(NETLINK_NETFILTER) as connection:
            return [chain.name for chain in nftables.list_chains(connection) if chain.name.startswith(GONE)]

    def make() -> None:
        with Socket(NETLINK_NETFILTER) as connection:
            nftables.ensure(connection, firewall.TABLE, [firewall.way_out_chain(GONE)])

    site.host.run(make)
    return "rules", f"{GONE}-input", lambda: bool(site.host.run(chains))


def a_rule_of_a_port(site: Site) -> Left:
    made = port_elements.element("0.0.0.0", "tcp", 8099, "10.88.0.99", 80)
    assert made is not None

    def put() -> None:
        with contextlib.closing(port_elements.Rules()) as rules:
            rules.put([made], NOBODY[:12], [GONE], b"")

    def there() -> bool:
        with contextlib.closing(port_elements.Rules()) as rules:
            return bool(rules.of(NOBODY[:12]))

    site.host.run(put)
    return "rules", "0.0.0.0:8099/tcp", lambda: site.host.run(there)


def flushed_rules_of_a_bridge(site: Site) -> Left:
    """A firewall's reload that takes the chains away, and leaves the ports' tables."""
    (network,) = json.loads(site.good("network", "inspect", "lab"))
    name = f"kist-{network['Id'][:10]}-forward"

    def there() -> bool:
        with Socket(NETLINK_NETFILTER) as connection:
            return any(chain.name == name for chain in nftables.list_chains(connection))

    def remove() -> None:
        with Socket(NETLINK_NETFILTER) as connection:
            nftables.remove(connection, firewall.TABLE, [name])

    site.host.run(remove)
    return "rules", "lab", lambda: not site.host.run(there)


def a_flushed_rule_of_a_port(site: Site) -> Left:
    def of_the_port() -> list[tuple[str, str, bytes, bytes]]:
        with contextlib.closing(port_elements.Rules()) as rules:
            return rules.of(site.running[:12])

    def remove() -> None:
        found = of_the_port()
        assert found
        with contextlib.closing(port_elements.Rules()) as rules:
            rules.remove(found)

    site.host.run(remove)
    return (
        "rules",
        site.good("inspect", "-f", "{{.Name}}", site.running).strip("/"),
        lambda: not site.host.run(of_the_port),
    )


def an_address(site: Site) -> Left:
    def rows(query: str, *values: str) -> list[object]:
        with contextlib.closing(sqlite3.connect(site.data / "kist.db")) as database, database:
            return database.execute(query, values).fetchall()

    rows("INSERT INTO addresses VALUES ('lab', '10.231.255.9', ?)", NOBODY)
    return "address", NOBODY, lambda: bool(rows("SELECT 1 FROM addresses WHERE container = ?", NOBODY))


def a_mount(site: Site) -> Left:
    place = site.data / "tmp" / "left"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    return "mount", str(place), lambda: os.path.ismount(place)


def a_disk(site: Site) -> Left:
    """A file that a loop device shows goes with the mount, and the device with it."""
    image, place = site.data / "tmp" / "disk.img", site.data / "tmp" / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)

    return "mount", str(place), lambda: os.path.ismount(place) or str(image) in disks.on_loop_devices()


def a_half_made_file(site: Site) -> Left:
    ended = subprocess.Popen(["true"])
    ended.wait()
    path = site.runs / f"state.json.{ended.pid}"
    path.write_text("{")
    return "file", str(path), path.exists


def a_socket(site: Site) -> Left:
    path = site.runs / "keeper-left.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    return "file", str(path), path.exists


def a_directory(site: Site) -> Left:
    path = site.data / "containers" / NOBODY
    path.mkdir()
    return "directory", NOBODY, path.exists


def a_snapshot(site: Site) -> Left:
    path = site.data / "snapshots" / "999999"
    path.mkdir()
    return "snapshot", str(path), path.exists


KINDS = (
    a_control_group, a_cable, a_bridge, a_container_without_its_cable, rules_of_a_bridge, a_rule_of_a_port,
    flushed_rules_of_a_bridge, a_flushed_rule_of_a_port, an_address,
    a_mount, a_disk, a_half_made_file, a_socket, a_directory, a_snapshot,
)  # fmt: skip


@pytest.mark.parametrize("leave", KINDS, ids=lambda kind: kind.__name__)
def test_it_is_found_and_taken_away(site: Site, leave: Callable[[Site], Left]) -> None:
    kind, subject, there = leave(site)
    assert there()
    try:
        assert site.problems() == {(kind, subject)}
        assert there(), "a look changes nothing"
    finally:
        site.problems("--repair")
    until(lambda: not there())  # a loop device goes when the last who has it open lets it go
    assert site.problems() == set()


def test_all_that_a_container_has_in_the_kernel_carries_its_name(site: Site) -> None:
    """Whoever looks at a machine by hand sees whose it is."""

    def seen() -> tuple[set[str], set[str]]:
        with Socket(NETLINK_ROUTE) as connection:
            devices = {link.name for link in rtnetlink.links(connection)}
        with Socket(NETLINK_NETFILTER) as connection:
            return devices, {chain.table for chain in nftables.list_chains(connection)}

    devices, tables = site.host.run(seen)
    assert {name for name in devices if not name.startswith("kist")} <= {"lo", "sit0", "ip6tnl0", "tunl0"}
    assert plan.cable_name(site.running, "lab") in devices
    assert {firewall.TABLE, port_elements.TABLE} <= tables
    assert {table for table in tables if not table.startswith("kist")} == set()
