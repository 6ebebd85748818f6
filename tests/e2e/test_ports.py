"""Published ports of real containers: reached, shown, kept when processes die, refused when taken."""

import json
import os
import resource
import signal
import socket
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import BUSYBOX, Cli, a_cli, give_busybox, until
from kist.engine import Engine
from kist.errors import Conflict, InvalidInput
from kist.spec.container import Container, ContainerOptions
from kist.spec.networking import Networking, PortBinding

SERVE = "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"


@pytest.fixture
def web(engine: Engine, busybox: str) -> Iterator[Container]:
    ports = (PortBinding(80, host_ip="127.0.0.1"),)
    made = engine.create(
        ContainerOptions(image=busybox, command=("sh", "-c", SERVE), networking=Networking(ports=ports))
    )
    try:
        engine.start(made)
        yield engine.container(made)
    finally:
        engine.remove(made, force=True)


def page(container: Container) -> str:
    port = container.state.ports[0].host_port
    found: list[str] = []

    def fetched() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                found.append(answer.read().decode())
        except OSError:
            return False
        return True

    until(fetched)
    return found[0]


def test_a_published_port_is_reached_and_shown(engine: Engine, web: Container):
    assert page(web) == "hello\n"
    port = web.state.ports[0]
    assert (port.port, port.protocol, port.host_ip) == (80, "tcp", "127.0.0.1")
    engine.stop(web, timeout=0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port.host_port), 5)


class FromAShell(Cli):
    """With few descriptors at first, and more for who asks, as most logins have it."""

    @property
    def command(self) -> list[str]:
        return ["prlimit", "--nofile=512:1500", *super().command]


def test_who_carries_connections_may_open_more_than_the_container(tmp_path: Path) -> None:
    with a_cli(tmp_path, FromAShell) as kist:
        give_busybox(kist)
        kist.good("run", "-d", "--name", "web", "-p", "127.0.0.1::80", BUSYBOX, "sleep", "1000")
        for again in (False, True):
            if again:
                kist.good("restart", "-t", "0", "web")
            found = kist.good("inspect", "-f", "{{.Id}} {{.State.Pid}}", "web").split()
            monitor = _monitor(f"{tmp_path}/run/containers/{found[0]}")
            assert resource.prlimit(monitor, resource.RLIMIT_NOFILE) == (1500, 1500)
            assert resource.prlimit(int(found[1]), resource.RLIMIT_NOFILE) == (512, 1500)
            assert kist.good("exec", "web", "sh", "-c", "ulimit -n") == "512"


def test_it_outlives_the_monitor(engine: Engine, web: Container):
    assert page(web) == "hello\n"
    directory = f"{engine.run_root}/containers/{web.id}"
    killed = _monitor(directory)
    os.kill(killed, signal.SIGKILL)
    until(lambda: _monitor(directory) != killed)
    assert page(web) == "hello\n"
    assert engine.container(web).state.ports == web.state.ports


def _monitor(directory: str) -> int:
    with open(f"{directory}/state.json", encoding="utf-8") as file:
        return int(json.load(file)["monitor"])


def test_a_port_that_is_taken(engine: Engine, busybox: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ports = (PortBinding(80, host_ip="127.0.0.1", host_port=str(number)),)
        made = engine.create(ContainerOptions(image=busybox, command=("true",), networking=Networking(ports=ports)))
        try:
            with pytest.raises(
                Conflict, match=f"Bind for 127.0.0.1:{number} failed: port is already allocated"
            ) as caught:
                engine.start(made)
            # An ordinary user's engine may not look into processes outside its user namespace.
            named = f" by process {os.getpid()} (" in caught.value.message
            assert named or (os.geteuid() and f"'sport = :{number}'" in caught.value.hint)
            assert not engine.container(made).state.running
        finally:
            engine.remove(made)


def test_a_port_of_another_container_is_named_by_it(engine: Engine, busybox: str, web: Container) -> None:
    number = str(web.state.ports[0].host_port)
    ports = (PortBinding(80, host_ip="127.0.0.1", host_port=number),)
    made = engine.create(ContainerOptions(image=busybox, command=("true",), networking=Networking(ports=ports)))
    try:
        with pytest.raises(Conflict, match=f"port is already allocated by the container {web.name}"):
            engine.start(made)
    finally:
        engine.remove(made)


def test_of_many_who_want_a_port_at_once_one_gets_it(engine: Engine, busybox: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = str(free.getsockname()[1])
    asked = Networking(ports=(PortBinding(80, host_ip="127.0.0.1", host_port=number),))
    made = [engine.create(ContainerOptions(image=busybox, command=("sleep", "60"), networking=asked)) for _ in range(8)]

    def start(container: Container) -> str:
        try:
            engine.start(container)
        except Conflict as refused:
            return refused.message
        return ""

    try:
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(start, made))
        assert sorted(engine.container(each).state.running for each in made) == [False] * 7 + [True]
        refusals = [each for each in said if each]
        assert len(refusals) == 7
        assert all(f"Bind for 127.0.0.1:{number} failed: port is already allocated" in each for each in refusals)
        # Whoever lost may try again when the port is given back.
        winner = made[said.index("")]
        engine.stop(winner, timeout=0)
        engine.start(made[said.index(refusals[0])])
    finally:
        for each in made:
            engine.remove(each, force=True)


def test_an_address_that_the_machine_has_not(engine: Engine, busybox: str):
    ports = (PortBinding(80, host_ip="192.0.2.1"),)
    made = engine.create(ContainerOptions(image=busybox, command=("true",), networking=Networking(ports=ports)))
    try:
        with pytest.raises(InvalidInput, match="this machine has no such address"):
            engine.start(made)
    finally:
        engine.remove(made)


def test_all_exposed_ports(engine: Engine, busybox: str):
    asked = Networking(publish_all=True, exposed_ports=("80/tcp", "53/udp"))
    made = engine.create(ContainerOptions(image=busybox, command=("sleep", "60"), networking=asked))
    try:
        engine.start(made)
        found = engine.container(made).state.ports
        assert {(port.port, port.protocol) for port in found} == {(80, "tcp"), (53, "udp")}
        assert all(port.host_port for port in found)
        assert {port.host_ip for port in found} <= {"0.0.0.0", "::"}
    finally:
        engine.remove(made, force=True)
