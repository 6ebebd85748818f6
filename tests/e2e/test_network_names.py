"""Containers find each other by names on networks that users make: at once, and with no engine."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from dns import ask, lookup, question, records
from harness import BUSYBOX, Cli, kill_and_see, until
from kist.kernel import faults
from kist.runtime.names import message

pytestmark = pytest.mark.root("looks into a container's network")


class Lab:
    """A command line with a network ``lab``, and one container on it that asks."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.networks: list[str] = []
        self.make("lab")
        self.asker = self.start("asker")
        self.pid = self.pid_of("asker")

    def make(self, name: str, *options: str) -> None:
        self.cli.good("network", "create", *options, name)
        self.networks.append(name)

    def start(self, name: str, *options: str, network: str = "lab") -> str:
        return self.cli.good("run", "-d", "--name", name, "--network", network, *options, BUSYBOX, "sleep", "1000")

    def pid_of(self, name: str) -> int:
        return int(self.cli.good("inspect", "-f", "{{.State.Pid}}", name))

    def address(self, name: str, network: str = "lab", field: str = "IPAddress") -> str:
        return self.cli.good("inspect", "-f", f'{{{{(index .NetworkSettings.Networks "{network}").{field}}}}}', name)

    def find(self, name: str, kind: int = message.A) -> list[str] | None:
        return lookup(self.pid, name, kind)

    def state(self, identifier: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            (self.cli.directory / "run" / "containers" / identifier / "state.json").read_bytes()
        )
        return found

    def entries(self) -> list[str]:
        """The ids of the containers that files tell of."""
        return [name for _, _, names in os.walk(self.cli.directory / "run" / "networks") for name in names]

    def close(self) -> None:
        left = self.cli.good("ps", "-aq").split()
        if left:
            self.cli.good("rm", "-f", *left)
        for network in self.networks:
            self.cli.good("network", "rm", network)
        assert self.entries() == []
        assert os.listdir(self.cli.directory / "run" / "networks") == []


@pytest.fixture
def lab(swept: Cli) -> Iterator[Lab]:
    made = Lab(swept)
    yield made
    made.close()


def test_a_container_has_names(lab: Lab) -> None:
    identifier = lab.start("web", "--network-alias", "www", "--hostname", "webhost")
    address = lab.address("web")
    for name in ("web", "WEB.", "www", identifier[:12], "webhost", "web.lab", "www.lab"):
        assert lab.find(name.rstrip(".")) == [address]
    assert lab.find("web", message.AAAA) == []
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    assert lab.find(reverse, message.PTR) == ["web.lab"]
    assert lab.cli.good("exec", "asker", "ping", "-c", "1", "-W", "3", "web").count("1 packets received") == 1


def test_several_of_one_name_take_turns(lab: Lab) -> None:
    for number in range(3):
        lab.start(f"worker{number}", "--network-alias", "worker")
    answers = [lab.find("worker") for _ in range(6)]
    assert {frozenset(each or ()) for each in answers} == {frozenset(lab.address(f"worker{n}") for n in range(3))}
    assert {each[0] for each in answers if each} == {lab.address(f"worker{n}") for n in range(3)}


def test_who_comes_is_found_and_who_goes_is_not_by_the_next_question(lab: Lab) -> None:
    for _ in range(5):
        assert lab.find("guest") is None
        lab.start("guest")
        assert lab.find("guest") == [lab.address("guest")]
        lab.cli.good("rm", "-f", "guest")


def test_a_container_is_found_before_its_command_runs(lab: Lab) -> None:
    out = lab.cli.good("run", "--rm", "--network", "lab", "--name", "self", BUSYBOX, "nslookup", "-type=a", "self")
    assert "Name:\tself" in out


def test_a_name_goes_with_its_container_where_no_engine_runs(lab: Lab) -> None:
    identifier = lab.start("short")
    assert lab.find("short") is not None
    kill_and_see(lab.cli.engine_pid())
    kill_and_see(int(str(lab.state(identifier)["pid"])))
    until(lambda: lab.find("short") is None)
    assert lab.find("asker") is not None


def test_connected_and_disconnected_containers_are_told_at_once(lab: Lab) -> None:
    lab.make("other")
    lab.start("far", network="other")
    assert lab.find("far") is None
    lab.cli.good("network", "connect", "--alias", "asked", "other", "asker")
    assert lab.find("far") == [lab.address("far", "other")]
    assert lookup(lab.pid_of("far"), "asked") == lookup(lab.pid_of("far"), "asker") == [lab.address("asker", "other")]
    lab.cli.good("network", "disconnect", "other", "asker")
    assert lab.find("far") is None
    assert lookup(lab.pid_of("far"), "asker") is None
    assert lab.find("asker") == [lab.address("asker")]


def test_a_container_that_is_renamed_has_its_new_name_at_once(lab: Lab) -> None:
    lab.start("web", "--network-alias", "www")
    address = lab.address("web")
    assert lab.find("web") == [address]
    lab.cli.good("rename", "web", "shop")
    assert lab.find("shop") == lab.find("www") == [address]
    assert lab.find("web") is None


@pytest.mark.parametrize("point", ["network connect: wrote the record", "network connect: connected"])
def test_an_engine_that_is_killed_while_it_connects_is_made_up_for(lab: Lab, point: str) -> None:
    lab.make("other")
    lab.start("far", network="other")
    lab.cli.stop_engine()
    trap = lab.cli.directory / "trap"
    armed = {**lab.cli.environment, faults.VARIABLE: str(trap)}
    trap.write_text(point)
    words = [*lab.cli.command, "network", "connect", "other", "asker"]
    subprocess.run(words, env=armed, capture_output=True, timeout=60, check=False)
    assert not trap.exists(), "nobody came by"
    lab.cli.good("ps")
    assert lab.find("far") == [lab.address("far", "other")]
    assert lookup(lab.pid_of("far"), "asker") == [lab.address("asker", "other")]


def test_a_link_is_a_name_of_ones_own(lab: Lab) -> None:
    lab.start("mysql")
    lab.start("linked", "--link", "mysql:database")
    assert lookup(lab.pid_of("linked"), "database") == [lab.address("mysql")]
    assert lab.find("database") is None


def test_a_link_follows_a_container_that_is_renamed(lab: Lab) -> None:
    lab.start("mysql")
    lab.start("linked", "--link", "mysql:database", "--link", "asker")
    lab.cli.good("run", "-d", "--name", "old", BUSYBOX, "sleep", "1000")
    lab.cli.good("run", "-d", "--name", "older", "--link", "old:db", BUSYBOX, "sleep", "1000")
    lab.cli.good("rename", "mysql", "maria")
    lab.cli.good("rename", "old", "new")
    assert lookup(lab.pid_of("linked"), "database") == [lab.address("maria")]
    assert lookup(lab.pid_of("linked"), "asker") == [lab.address("asker")]
    lab.cli.good("restart", "-t", "0", "older")
    assert "\tdb" in lab.cli.good("exec", "older", "cat", "/etc/hosts")


def test_a_network_that_leads_nowhere_has_names_and_passes_nothing_on(lab: Lab) -> None:
    lab.make("closed", "--internal")
    lab.start("one", network="closed")
    lab.start("two", network="closed")
    pid = lab.pid_of("one")
    assert lookup(pid, "two") == [lab.address("two", "closed")]
    assert message.response_code(ask(pid, question("example.org"))) == message.SERVFAIL


def test_addresses_of_ipv6_have_names(lab: Lab) -> None:
    lab.make("six", "--ipv6")
    lab.start("one", network="six")
    lab.start("two", network="six")
    pid = lab.pid_of("one")
    address = lab.address("two", "six", "GlobalIPv6Address")
    assert lookup(pid, "two", message.AAAA) == [address]
    digits = socket.inet_pton(socket.AF_INET6, address).hex()
    reverse = ".".join(reversed(digits)) + ".ip6.arpa"
    assert lookup(pid, reverse, message.PTR) == ["two.six"]


def test_the_default_network_has_no_names_of_containers(swept: Cli) -> None:
    swept.good("run", "-d", "--name", "plain", BUSYBOX, "sleep", "1000")
    pid = int(swept.good("inspect", "-f", "{{.State.Pid}}", "plain"))
    found = ask(pid, question("plain"))
    assert message.response_code(found) != message.NOERROR or records(found) == []


def test_the_host_has_names(lab: Lab) -> None:
    gateway = lab.address("asker", field="Gateway")
    for name in ("host.docker.internal", "host.kist.internal"):
        assert lab.find(name) == [gateway]
    assert f"{gateway}\thost.docker.internal host.kist.internal" in lab.cli.good("exec", "asker", "cat", "/etc/hosts")
    hosts = lab.cli.good("run", "--rm", "--network", "host", BUSYBOX, "cat", "/etc/hosts")
    assert "127.0.0.1\thost.docker.internal host.kist.internal" in hosts
    given = ("--add-host", "host.docker.internal:192.0.2.5")
    hosts = lab.cli.good("run", "--rm", *given, BUSYBOX, "cat", "/etc/hosts").splitlines()
    assert [line for line in hosts if "host.docker.internal" in line] == ["192.0.2.5\thost.docker.internal"]
    assert "host" not in lab.cli.good("run", "--rm", "--network", "none", BUSYBOX, "cat", "/etc/hosts").split("\t")


def test_what_a_killed_crowd_has_left_is_tidied_by_the_next_engine(lab: Lab) -> None:
    identifier = lab.start("gone")
    state = lab.state(identifier)
    keeper = state["keeper"]
    assert isinstance(keeper, list)
    kill_and_see(lab.cli.engine_pid())
    for pid in (keeper[0], state["monitor"], state["pid"]):
        kill_and_see(int(str(pid)))
    assert identifier in lab.entries()
    lab.cli.good("ps")
    assert lab.find("gone") is None
    assert identifier not in lab.entries()
