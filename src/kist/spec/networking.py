"""A container's place in the network, as it is asked for and as it is."""

from collections.abc import Iterable, Iterator

import msgspec

LARGEST_PORT = 0xFFFF


class PortBinding(msgspec.Struct, frozen=True):
    """A published port.

    Attributes:
        port: in the container.
        protocol: ``tcp``, ``udp`` or ``sctp``.
        host_ip: where the host listens; empty for everywhere.
        host_port: a number or a range such as ``8000-8010`` to choose from; empty for any that is free.
    """

    port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: str = ""


def is_port(text: str) -> bool:
    """Whether it is the number of a port."""
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= LARGEST_PORT


def read_exposed(names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The ports that an image exposes, and their protocols: ``80``, ``53/udp``, and a range is that many ports.

    An image may hold anything there: what is neither number nor range is no port.
    """
    for name in names:
        numbers, _, protocol = name.partition("/")
        first, dash, last = numbers.partition("-")
        if is_port(first) and is_port(last if dash else first):
            for number in range(int(first), int(last if dash else first) + 1):
                yield number, protocol.lower() or "tcp"


def joins_alone(mode: str) -> bool:
    """Whether a container of this network mode is on no network with an end of its own."""
    return mode in {"host", "none"} or mode.startswith("container:")


class Endpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a container is to have on one network.

    Attributes:
        network: its name.
        aliases: further names of the container there.
        ip, ip6: fixed addresses; empty for any.
        link_local_ips: further addresses.
        mac: a fixed hardware address; empty for one made of the address.
        links: ``CONTAINER[:ALIAS]``, what others there are called by this container.
        driver_options: of the endpoint.
        priority: the way out is by the network with the highest one, of equal ones by the first in the alphabet.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac: str = ""
    links: tuple[str, ...] = ()
    driver_options: dict[str, str] = {}
    priority: int = 0


class Networking(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked for, beside the kind of network.

    Attributes:
        endpoints: the networks that it is on; none with ``host``, ``none`` and ``container:NAME``.
        links: ``CONTAINER`` or ``CONTAINER:ALIAS``.
        extra_hosts: ``NAME:ADDRESS`` lines of /etc/hosts.
        dns, dns_search, dns_options: lines of /etc/resolv.conf in place of the host's.
        ports: published ones.
        publish_all: publish every exposed port on a port that is free.
        exposed_ports: ``80/tcp``, beside those of the image.
    """

    endpoints: tuple[Endpoint, ...] = ()
    links: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    publish_all: bool = False
    exposed_ports: tuple[str, ...] = ()

    def endpoint(self, network: str) -> Endpoint:
        """What is asked for on this network; nothing where the container is not on it."""
        return next((each for each in self.endpoints if each.network == network), Endpoint(network))


NOTHING = Networking()
"""Nothing is asked for: names and addresses are as the network has them."""


class PublishedPort(msgspec.Struct, frozen=True):
    """A port that is published now: where the host listens (``0.0.0.0`` and ``::`` for everywhere)."""

    port: int
    protocol: str
    host_ip: str
    host_port: int


class NetworkAttachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A container's end on a network.

    Attributes:
        network, network_id: its name and id.
        address: ``10.88.0.2/16``; empty where the network has no IPv4.
        gateway: who forwards what leaves the network; empty for nobody (an internal network).
        address6, gateway6: the same of IPv6.
        mac: the device's.
        device: its name in the container where one is asked for, with ``%d`` for a number; empty for ``eth%d``.
        priority: see ``Endpoint``.
        link_local: further addresses.
        resolver: a name server on the way out, where containers cannot reach the host's own; empty for none.
        host: the host's own address as the container reaches it; empty where it does not.
        internal: whether nothing leads out of the network.
        names: the directory with a file for each container on the network; empty where it has no names.
        settings: of the kernel for the device, which is ``IFNAME`` in their names.
    """

    network: str
    address: str = ""
    gateway: str = ""
    mac: str = ""
    resolver: str = ""
    network_id: str = ""
    address6: str = ""
    gateway6: str = ""
    device: str = ""
    priority: int = 0
    link_local: tuple[str, ...] = ()
    host: str = ""
    internal: bool = False
    names: str = ""
    settings: dict[str, str] = {}
