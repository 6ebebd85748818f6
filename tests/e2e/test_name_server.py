"""The name server of a container, 127.0.0.11: its monitor answers, whoever else is killed."""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from dns import NameServer, ask, question
from harness import BUSYBOX, Cli, kill_and_see, until
from kist.kernel import netns
from kist.runtime.names import message

pytestmark = pytest.mark.root("a name server on the bridge's address, and looks into a container's network")

T = TypeVar("T")
TOLD = "192.0.2.9"
LOOKUP = ("nslookup", "-type=a", "anything.test")


class Case:
    """A container on the bridge that asks a server of the tests', and the command line that made it."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        first = cli.good("run", "-d", BUSYBOX, "sleep", "1000")
        self.gateway = cli.good("inspect", "--format", "{{.NetworkSettings.Networks.bridge.Gateway}}", first)
        cli.good("rm", "-f", first)
        self.upstream = NameServer(self.gateway, TOLD)
        self.name = cli.good("run", "-d", "--dns", self.gateway, BUSYBOX, "sleep", "1000")

    def close(self) -> None:
        self.cli.good("rm", "-f", self.name)
        self.upstream.close()

    def state(self) -> dict[str, object]:
        path = self.cli.directory / "run" / "containers" / self.name / "state.json"
        found: dict[str, object] = json.loads(path.read_bytes())
        return found

    def monitor(self) -> int:
        return int(str(self.state()["monitor"]))

    def inside(self, work: Callable[[], T]) -> T:
        """Do something in the container's network."""
        descriptor = netns.of_process(*(int(str(self.state()[key])) for key in ("pid", "pid_start")))
        try:
            return netns.inside(descriptor, work)
        finally:
            os.close(descriptor)

    def resolves(self) -> bool:
        """Whether the container finds any name, by a question that nobody has asked before."""
        before = len(self.upstream.asked)
        data = question(f"n{before}.test", number=before)

        found = ask(int(str(self.state()["pid"])), data)
        return socket.inet_aton(TOLD) in found and len(self.upstream.asked) > before


@pytest.fixture
def case(swept: Cli) -> Iterator[Case]:
    made = Case(swept)
    yield made
    made.close()


def test_a_container_asks_its_monitor_which_asks_the_servers_that_it_was_given(case: Case) -> None:
    assert TOLD in case.cli.good("exec", case.name, *LOOKUP)
    assert case.cli.good("exec", case.name, "cat", "/etc/resolv.conf").startswith("nameserver 127.0.0.11\n")
    asked = len(case.upstream.asked)
    case.cli.good("exec", case.name, *LOOKUP)
    assert len(case.upstream.asked) == asked, "an answer that is good for minutes is kept"


def test_questions_come_by_tcp_too(case: Case) -> None:
    data = question("large.test")

    def pipeline() -> bytes:
        with socket.create_connection(("127.0.0.11", 53), 10) as client:
            client.sendall((len(data).to_bytes(2, "big") + data) * 3)
            found = b""
            while len(found) < 3 * (2 + len(data) + 16):
                found += client.recv(4096)
            return found

    assert case.inside(pipeline).count(socket.inet_aton(TOLD)) == 3
    assert len(case.upstream.asked) == 1


def test_a_container_may_have_a_name_server_of_its_own_on_all_addresses(case: Case) -> None:
    own = case.inside(lambda: NameServer("0.0.0.0", "192.0.2.77"))
    try:
        assert "192.0.2.77" in case.cli.good("exec", case.name, "nslookup", "-type=a", "own.test", "127.0.0.1")
        assert case.resolves()
    finally:
        own.close()


def test_a_server_in_the_container_is_asked_by_itself(case: Case) -> None:
    out = case.cli.good("run", "--rm", "--dns", "127.0.0.1", "--dns", case.gateway, BUSYBOX, "cat", "/etc/resolv.conf")
    assert out.splitlines()[:2] == ["nameserver 127.0.0.1", "nameserver 127.0.0.11"]


def test_names_outlive_the_engine(case: Case) -> None:
    kill_and_see(case.cli.engine_pid())
    assert case.resolves()


def test_a_monitor_that_is_killed_is_replaced_by_one_that_answers(case: Case) -> None:
    for _ in range(3):
        assert case.resolves()
        before = case.monitor()
        kill_and_see(before)
        assert case.resolves(), "what is asked meanwhile waits in the socket"
        until(lambda before=before: case.monitor() != before)


def test_a_question_that_a_dead_monitor_has_not_read_is_answered(case: Case) -> None:
    before = case.monitor()
    os.kill(before, signal.SIGSTOP)
    client = case.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with client:
        client.settimeout(10)
        client.connect(("127.0.0.11", 53))
        client.send(question("late.test"))
        kill_and_see(before)
        assert socket.inet_aton(TOLD) in client.recv(4096)


def test_a_container_that_has_lost_monitor_and_keeper_has_names_again(case: Case) -> None:
    state = case.state()
    kill_and_see(case.cli.engine_pid())
    kill_and_see(int(str(state["keeper"][0])))  # type: ignore[index]
    kill_and_see(case.monitor())
    case.cli.good("ps")
    until(lambda: case.monitor() != int(str(state["monitor"])))
    assert case.resolves()
    kill_and_see(case.monitor())
    assert case.resolves(), "its keeper has what the engine made anew"


def test_names_are_there_after_a_restart_by_policy(case: Case) -> None:
    script = "until nslookup -type=a anything.test; do sleep 0.05; done; exit 1"
    name = case.cli.good("run", "-d", "--restart", "on-failure:2", "--dns", case.gateway, BUSYBOX, "sh", "-c", script)
    assert case.cli.good("wait", name) == "1"
    until(lambda: case.cli.good("logs", name).count(TOLD) >= 3)
    case.cli.good("rm", name)


def test_a_build_step_asks_the_same_server(swept: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {BUSYBOX}\nRUN cat /etc/resolv.conf; netstat -lnu; grep -q '^nameserver 127.0.0.11$' /etc/resolv.conf\n"
    )
    done = swept("build", "--progress", "plain", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "127.0.0.11:" in done.stderr + done.stdout


def test_who_has_no_network_has_no_name_server(swept: Cli) -> None:
    for network in ("none", "host"):
        assert "127.0.0.11" not in swept.good("run", "--rm", "--network", network, BUSYBOX, "cat", "/etc/resolv.conf")


def test_an_answer_has_the_same_form_whoever_asks(case: Case) -> None:
    for _ in range(2):
        found = ask(int(str(case.state()["pid"])), question("CaSe.test", number=77))
        assert message.answers(found, question("CaSe.test", number=77))
        assert b"\x04CaSe\x04test\0" in found
