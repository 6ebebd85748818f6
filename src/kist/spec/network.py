"""Networks: what is asked for, and what they are."""

import msgspec


class Subnet(msgspec.Struct, frozen=True, omit_defaults=True):
    """Addresses of a network.

    Attributes:
        subnet: ``10.89.0.0/22`` or ``fd00:1::/64``.
        gateway: of them, the one that what leaves goes to; empty for none.
        ip_range: the part that containers get addresses of; empty for all.
        reserved: addresses that containers do not get, by what has them.
    """

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    reserved: dict[str, str] = {}

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """A running container on a network, with its addresses and their prefix lengths."""

    container: str
    name: str
    address: str = ""
    address6: str = ""
    mac: str = ""


class SubnetUsage(msgspec.Struct, frozen=True):
    """How many addresses of a subnet nobody can get any more, and how many a container can still get."""

    subnet: str
    in_use: int
    available: int


class Network(msgspec.Struct, frozen=True, omit_defaults=True):
    """A network, as ``network inspect`` and ``network ls`` see it.

    Attributes:
        id: 64 hexadecimal digits.
        driver: ``bridge``, ``macvlan``, ``ipvlan``, ``host`` or ``null``.
        created_at: nanoseconds since the epoch.
        subnets: at most one of IPv4 in use, and one of IPv6.
        ipv4, ipv6: which addresses its containers have.
        internal: nothing leads out of it.
        attachable: Docker's word for something that all networks are here.
        options: of the driver, as they were given.
        ipam_options: as they were given.
        owner: a user of the host; 0 for the engine's own.
        members: the containers that run on it; told by ``inspect`` alone.
        usage: of its subnets; told by ``inspect`` alone, and not to guests.
    """

    id: str
    name: str
    driver: str = "bridge"
    created_at: int = 0
    subnets: tuple[Subnet, ...] = ()
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    ipam_options: dict[str, str] = {}
    owner: int = 0
    members: tuple[Member, ...] = ()
    usage: tuple[SubnetUsage, ...] = ()

    @property
    def predefined(self) -> bool:
        """Whether every engine has it, and nobody makes or removes it."""
        return self.name in PREDEFINED


PREDEFINED = {"bridge": "bridge", "host": "host", "none": "null"}
"""The networks that every engine has, and their drivers."""


class NetworkOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a new network is to be; fields are as in ``Network``.

    Attributes:
        subnets: with empty fields for what the engine is to choose.
    """

    name: str
    driver: str = "bridge"
    subnets: tuple[Subnet, ...] = ()
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    ipam_options: dict[str, str] = {}
