from typing import Any

import pytest

from kist.engine import links, network_options
from kist.errors import Conflict, InvalidInput
from kist.spec.container import Container, ContainerOptions, ContainerState
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.spec.networking import Endpoint, NetworkAttachment, Networking, PortBinding


def on(network: str, **wanted: Any) -> Networking:
    return Networking(endpoints=(Endpoint(network, **wanted),))


IFNAME = "com.docker.network.endpoint.ifname"
SETTINGS = "com.docker.network.endpoint.sysctls"
IMAGE = Digest("sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("network", "wanted", "words"),
    [
        ("bridge", Networking(extra_hosts=("db",)), "add-host: 'db'"),
        ("bridge", Networking(dns=("ns.example.org",)), "'ns.example.org' for --dns"),
        ("bridge", on("bridge", ip="10.88"), "'10.88' for --ip"),
        ("bridge", on("bridge", ip6="10.0.0.1"), "'10.0.0.1' for --ip6"),
        ("bridge", on("bridge", link_local_ips=("here",)), "'here' for --link-local-ip"),
        ("bridge", on("bridge", aliases=("db",)), "only supported for user-defined networks"),
        ("bridge", on("bridge", mac="02:42"), "invalid MAC address: '02:42'"),
        ("bridge", on("bridge", mac="zz:42:ac:11:00:02"), "invalid MAC address"),
        ("bridge", on("bridge", mac="03:42:ac:11:00:02"), "one of a group"),
        ("bridge", on("bridge", mac="00:00:00:00:00:00"), "no device has it"),
        ("bridge", on("bridge", driver_options={IFNAME: "a/b"}), "'a/b' for the option ifname"),
        ("bridge", on("bridge", driver_options={IFNAME: "lan%d"}), "'lan%d' for the option ifname"),
        ("bridge", on("bridge", driver_options={IFNAME: "sixteencharacter"}), "no device has such a name"),
        ("bridge", on("bridge", driver_options={SETTINGS: "net.ipv4.conf.IFNAME.x"}), "write NAME=VALUE"),
        ("bridge", on("bridge", driver_options={SETTINGS: "net.ipv4.conf.eth0.x=1"}), f"the option {SETTINGS}"),
        ("bridge", on("bridge", driver_options={SETTINGS: "net.ipv4.conf.IFNAME/../x=1"}), f"the option {SETTINGS}"),
        ("bridge", on("bridge", driver_options={SETTINGS: "net.core.conf.IFNAME.x=1"}), f"the option {SETTINGS}"),
        ("bridge", Networking(links=("a:b:c",)), "bad format for links: 'a:b:c'"),
        ("host", Networking(links=("db",)), "host type networking can't be used with links"),
        ("none", on("none", ip="10.88.0.9"), "the network none"),
        ("container:web", Networking(dns=("192.0.2.1",)), "dns and the network mode"),
        ("container:web", Networking(extra_hosts=("a:192.0.2.1",)), "custom host-to-IP mapping"),
        ("container:web", Networking(ports=(PortBinding(80),)), "port publishing and the container type network mode"),
        ("container:web", Networking(exposed_ports=("80/tcp",)), "port exposing"),
        ("container:web", on("container:web", mac="02:42:ac:11:00:02"), "mac-address"),
    ],
)
def test_what_cannot_be_right_is_refused(network: str, wanted: Networking, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        network_options.check(ContainerOptions(image="x", network=network, networking=wanted))
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_published_ports_have_no_effect_on_the_hosts_network() -> None:
    ports = Networking(ports=(PortBinding(80),))
    told = {name: network_options.warnings(ContainerOptions(image="x", network=name, networking=ports))
            for name in ("host", "bridge")}  # fmt: skip
    assert "discarded" in told["host"][0]
    assert not told["bridge"]


@pytest.mark.parametrize("mac", ["02:42:ac:11:00:02", "02-42-AC-11-00-02"])
def test_a_hardware_address_in_either_spelling(mac: str) -> None:
    network_options.check(ContainerOptions(image="x", networking=on("bridge", mac=mac)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("db", ("db", "db")), ("/db", ("db", "db")), ("db:store", ("db", "store")), ("/db:/web/store", ("db", "store"))],
)
def test_a_link(text: str, expected: tuple[str, str]) -> None:
    assert links.read_link(text) == expected


def _target(*, running: bool = True, network: str = "bridge") -> Container:
    attached = (NetworkAttachment(network, "10.88.0.2/16", "10.88.0.1", ""),) if network else ()
    return Container(
        "a" * 64,
        "postgres",
        IMAGE,
        0,
        ContainerOptions(image="x", networking=Networking(ports=(PortBinding(9187),))),
        ContainerConfig(env=("PATH=/bin", "PGDATA=/data"), exposed_ports={"5432/tcp": {}, "53/udp": {}}),
        (),
        ContainerState(status="running" if running else "exited"),
        attached,
    )


def test_a_linked_container_gives_its_address_ports_and_environment() -> None:
    found = links.resolve(["postgres:my-db"], lambda _: _target())
    assert links.hosts_entry(found[0]) == ("10.88.0.2", f"my-db {'a' * 12} postgres")
    assert links.environment("web", found) == (
        "MY_DB_NAME=/web/my-db",
        "MY_DB_PORT=tcp://10.88.0.2:5432",
        "MY_DB_PORT_5432_TCP=tcp://10.88.0.2:5432",
        "MY_DB_PORT_5432_TCP_ADDR=10.88.0.2",
        "MY_DB_PORT_5432_TCP_PORT=5432",
        "MY_DB_PORT_5432_TCP_PROTO=tcp",
        "MY_DB_PORT_9187_TCP=tcp://10.88.0.2:9187",
        "MY_DB_PORT_9187_TCP_ADDR=10.88.0.2",
        "MY_DB_PORT_9187_TCP_PORT=9187",
        "MY_DB_PORT_9187_TCP_PROTO=tcp",
        "MY_DB_PORT_53_UDP=udp://10.88.0.2:53",
        "MY_DB_PORT_53_UDP_ADDR=10.88.0.2",
        "MY_DB_PORT_53_UDP_PORT=53",
        "MY_DB_PORT_53_UDP_PROTO=udp",
        "MY_DB_ENV_PGDATA=/data",
    )


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (_target(running=False), "non running"),
        (_target(network=""), "no network"),
        (_target(network="lab"), "that one on lab"),
    ],
)
def test_what_cannot_be_linked_to(target: Container, words: str) -> None:
    with pytest.raises(Conflict, match=words):
        links.resolve(["postgres"], lambda _: target)


@pytest.mark.parametrize("network", ["host", "none"])
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"ip": "10.2.3.4"}, "--ip"),
        ({"mac": "92:d0:c6:0a:29:33"}, "--mac-address"),
        ({"aliases": ("x",)}, "--network-alias"),
        ({"ip6": "fd00::2", "aliases": ("x",)}, "--ip6, --network-alias"),
    ],
)
def test_without_a_bridge_what_was_asked_for_is_refused_by_its_name(network: str, asked: dict, told: str) -> None:
    options = ContainerOptions(
        image="x", network=network, networking=Networking(endpoints=(Endpoint(network, **asked),))
    )
    with pytest.raises(InvalidInput, match=f"conflicting options: {told} and the network {network}$"):
        network_options.check(options)
