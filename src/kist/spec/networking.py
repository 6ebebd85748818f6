"""A container's place in the network, as it is asked for and as it is."""

import msgspec


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


class Networking(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked for, beside the network itself.

    Attributes:
        aliases: further names of the container on its network.
        ip, ip6: fixed addresses; empty for any.
        link_local_ips: further addresses.
        mac: a fixed hardware address; empty for one made of the address.
        links: ``CONTAINER`` or ``CONTAINER:ALIAS``.
        extra_hosts: ``NAME:ADDRESS`` lines of /etc/hosts.
        dns, dns_search, dns_options: lines of /etc/resolv.conf in place of the host's.
        ports: published ones.
        publish_all: publish every exposed port on a port that is free.
        exposed_ports: ``80/tcp``, beside those of the image.
        driver_options: of the endpoint.
    """

    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac: str = ""
    links: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    publish_all: bool = False
    exposed_ports: tuple[str, ...] = ()
    driver_options: dict[str, str] = {}


NOTHING = Networking()
"""Nothing is asked for: names and addresses are as the network has them."""


class PublishedPort(msgspec.Struct, frozen=True):
    """A port that is published now: where the host listens (``0.0.0.0`` and ``::`` for everywhere)."""

    port: int
    protocol: str
    host_ip: str
    host_port: int


class NetworkAttachment(msgspec.Struct, frozen=True):
    """A container's end on a network.

    Attributes:
        network: its name.
        address: ``10.88.0.2/16``.
        gateway: the bridge's address.
        mac: the device's.
        resolver: a name server on the way out, where containers cannot reach the host's own; empty for none.
    """

    network: str
    address: str
    gateway: str
    mac: str
    resolver: str = ""
