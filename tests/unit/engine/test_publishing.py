import errno
import os
import socket
import subprocess
import sys

import msgspec
import pytest

from kist.engine import publishing
from kist.errors import Conflict, Forbidden, InvalidInput, Unsupported
from kist.spec.container import Container, ContainerOptions, ContainerState
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.spec.networking import Networking, PortBinding, PublishedPort
from kist.spec.owner import Owner


def container(*ports: PortBinding, publish_all: bool = False, exposed: tuple[str, ...] = ()) -> Container:
    options = ContainerOptions(image="x", networking=Networking(ports=ports, publish_all=publish_all))
    config = ContainerConfig(exposed_ports={port: {} for port in exposed})
    return Container("a" * 64, "web", Digest("sha256:" + "0" * 64), 0, options, config, ())


@pytest.mark.parametrize(
    ("text", "expected"), [("", [0]), ("0", [0]), ("8080", [8080]), ("8000-8002", [8000, 8001, 8002])]
)
def test_host_ports(text: str, expected: list[int]) -> None:
    assert list(publishing.host_ports(PortBinding(80, host_port=text))) == expected


@pytest.mark.parametrize("text", ["http", "-1", "70000", "9-8", "1-", "-", "1-2-3"])
def test_a_host_port_that_is_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid hostPort: " + text):
        publishing.host_ports(PortBinding(80, host_port=text))


def test_what_is_published() -> None:
    made = container(PortBinding(80, host_port="8080"), publish_all=True, exposed=("80/tcp", "53/udp", "443"))
    asked = publishing.wanted(made, "10.88.0.2")
    assert [(each["port"], each["protocol"], each["host_ports"], each["address"]) for each in asked] == [
        (80, "tcp", [8080], "10.88.0.2"),
        (53, "udp", [0], "10.88.0.2"),
        (443, "tcp", [0], "10.88.0.2"),
    ]


@pytest.mark.parametrize(
    ("ports", "error", "words"),
    [
        ((PortBinding(80, "sctp"),), Unsupported, "80/sctp"),
        ((PortBinding(80, host_port="x"),), InvalidInput, "Invalid hostPort: x"),
        ((PortBinding(80, host_ip="localhost"),), InvalidInput, "invalid IP address: localhost"),
        ((PortBinding(80, host_ip="127.1"),), InvalidInput, "invalid IP address: 127.1"),
        ((PortBinding(80, host_ip="[::1]"),), InvalidInput, "invalid IP address"),
        (
            (PortBinding(80, host_ip="0:0::1", host_port="8080"), PortBinding(81, host_ip="::1", host_port="8080")),
            InvalidInput,
            "published twice",
        ),
        ((PortBinding(80, host_port="8080"), PortBinding(81, host_port="8080")), InvalidInput, "published twice"),
    ],
)
def test_what_cannot_be_published(ports: tuple[PortBinding, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        publishing.check(container(*ports).options)


def test_an_image_may_expose_ranges_and_anything_else() -> None:
    exposed = ("8000-8002/tcp", "8001", "53/UDP", "web", "", "0-3", "9-8", "70000", "1-2-3", "5/sctp")
    made = container(publish_all=True, exposed=exposed)
    assert publishing.exposed(made) == [(5, "sctp"), (53, "udp"), (8000, "tcp"), (8001, "tcp"), (8002, "tcp")]
    asked = publishing.wanted(made, "10.88.0.2")
    assert [(each["port"], each["protocol"]) for each in asked] == [
        (53, "udp"), (8000, "tcp"), (8001, "tcp"), (8002, "tcp"),
    ]  # fmt: skip


def test_a_name_that_was_stored_as_an_address_is_refused_at_the_start() -> None:
    with pytest.raises(InvalidInput, match="localhost") as caught:
        publishing.wanted(container(PortBinding(80, host_ip="localhost")), "10.88.0.2")
    assert "127.0.0.1" in str(caught.value.hint)
    assert publishing.wanted(container(PortBinding(80)), "10.88.0.2", host_ip="0::1")[0]["host_ip"] == "::1"


def test_one_host_port_for_two_protocols_or_addresses() -> None:
    ports = (
        PortBinding(53, "tcp", host_port="53"), PortBinding(53, "udp", host_port="53"),
        PortBinding(53, "udp", "127.0.0.2", "53"),
    )  # fmt: skip
    publishing.check(container(*ports).options)


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.EADDRINUSE, Conflict, "Bind for 0.0.0.0:80 failed: port is already allocated"),
        (errno.EADDRNOTAVAIL, InvalidInput, "no such address"),
        (errno.EACCES, Forbidden, "are the administrator's"),
    ],
)
def test_a_port_that_cannot_be_had(number: int, error: type[Exception], words: str) -> None:
    found = publishing.failure("0.0.0.0:80", number)
    assert isinstance(found, error)
    assert words in found.message


def test_who_has_a_port_is_named() -> None:
    web = container()
    state = ContainerState("running", ports=(PublishedPort(80, "tcp", "0.0.0.0", 8080),))
    web = msgspec.structs.replace(web, state=state)
    for path in ("0.0.0.0:8080", "127.0.0.1:8080"):
        found = publishing.failure(path, errno.EADDRINUSE, "tcp", publishing.Neighbours([web]))
        assert found.message == f"Bind for {path} failed: port is already allocated by the container web"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        found = publishing.failure(f"0.0.0.0:{number}", errno.EADDRINUSE, "tcp", publishing.Neighbours([web]))
    assert f"port is already allocated by process {os.getpid()} (" in found.message
    assert "stop that process" in found.hint


_WAITS = "import sys; print(flush=True); sys.stdin.read()"


def test_a_container_of_another_engine_is_stopped_there() -> None:
    """Its monitor is found by its title; to stop that process would only bring its successor."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        monitor = subprocess.Popen(
            ["kist-monitor b72f7acd1234", "-c", _WAITS], executable=sys.executable,
            pass_fds=[taken.fileno()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with monitor:
            assert monitor.stdout is not None
            monitor.stdout.readline()
            taken.close()
            found = publishing.failure(f"127.0.0.1:{number}", errno.EADDRINUSE)
            just_started = msgspec.structs.replace(container(), id="b72f7acd1234" + "0" * 52)
            ours = publishing.failure(
                f"127.0.0.1:{number}", errno.EADDRINUSE, "tcp", publishing.Neighbours([just_started])
            )
    assert found.message.endswith("by the container b72f7acd1234 of another engine (yours)")
    assert "that process" not in found.hint
    assert found.hint.endswith("with that engine's KIST_ROOT and KIST_RUN: kist stop b72f7acd1234")
    assert ours.message.endswith("by the container web")


def test_a_guest_hears_of_the_guests_own_alone() -> None:
    own, other = Owner(1000, 1000, name="ada"), Owner(1001, 1001, name="bob")
    theirs = [msgspec.structs.replace(container(), owner=each) for each in (own, other, None)]
    found = publishing.neighbours(theirs[0], theirs)
    assert found == publishing.Neighbours((theirs[0],), processes=False)
    assert publishing.neighbours(theirs[2], theirs) == publishing.Neighbours(tuple(theirs))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refusal = publishing.failure(f"127.0.0.1:{taken.getsockname()[1]}", errno.EADDRINUSE, "tcp", found)
    assert refusal.message.endswith("port is already allocated")


def test_a_port_that_nobody_has_any_more_is_refused_without_a_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    found = publishing.failure(f"127.0.0.1:{number}", errno.EADDRINUSE, "tcp")
    assert found.message == f"Bind for 127.0.0.1:{number} failed: port is already allocated"
    assert f"ss -lntp 'sport = :{number}'" in found.hint
