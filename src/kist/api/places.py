"""Where an engine listens, as values: each place says how it is reached, and who those are who reach it."""

import enum

import msgspec

from kist.spec.listening import TlsFiles
from kist.spec.scope import Scope


class Callers(enum.Enum):
    """Who calls by a place."""

    PEERS = enum.auto()
    """The kernel tells: the engine's user, and guests (``kist.api.guests``) where the socket lets others connect."""
    OWNER = enum.auto()
    """The engine's user, whoever it is: the way there has seen to that."""
    ROLE = enum.auto()
    """Whoever can connect, and nobody gets more by it than the place's scope gives: not root, nor the engine's user."""


class UnixPath(msgspec.Struct, frozen=True):
    """A Unix socket that the engine makes.

    Attributes:
        path: its name; at most 103 bytes.
        group: whose members may connect too, by number; -1 for nobody's but the own user.
        mode: of the socket; 0 for 0600, and for 0660 where there is a group.
        scope: what it gives at most; None for all that the callers have.
    """

    path: str
    group: int = -1
    mode: int = 0
    scope: Scope | None = None

    def __str__(self) -> str:
        return f"unix://{self.path}"


class Tcp(msgspec.Struct, frozen=True):
    """A port where those are served who have a certificate.

    Attributes:
        address: a name or a number.
        port: its number.
        tls: where the certificates are.
    """

    address: str
    port: int
    tls: TlsFiles

    def __str__(self) -> str:
        return f"tcp://[{self.address}]:{self.port}" if ":" in self.address else f"tcp://{self.address}:{self.port}"


class Inherited(msgspec.Struct, frozen=True):
    """A socket that listens already, made by whoever started the engine (sd_listen_fds(3)).

    Attributes:
        descriptor: of this process.
        name: that it was given; may be empty.
        path: where a Unix socket is; empty for one of TCP, or without a name.
        tls: for one of TCP, where the certificates are; None for a Unix socket.
    """

    descriptor: int
    name: str = ""
    path: str = ""
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.path else f"fd://{self.name or self.descriptor}"


class Handed(msgspec.Struct, frozen=True):
    """Connections that another process hands over (``kist.api.private``)."""

    def __str__(self) -> str:
        return "handed over"


Where = UnixPath | Tcp | Inherited | Handed


class Place(msgspec.Struct, frozen=True):
    """One place where the engine listens; every connection keeps the place that it came by.

    Attributes:
        where: how it is reached.
        callers: who calls by it.
    """

    where: Where
    callers: Callers = Callers.PEERS

    @property
    def name(self) -> str:
        """How a client would write it: ``unix:///run/kist/engine.sock``."""
        return str(self.where)

    @property
    def scope(self) -> Scope | None:
        """What it gives at most; None for all that the callers have."""
        return self.where.scope if isinstance(self.where, UnixPath) else None


class FromAfar(msgspec.Struct, frozen=True):
    """Who is at the other end of a connection of TLS.

    Attributes:
        address: and port.
        subject: of the certificate: ``commonName=ada, organizationName=lab``.
    """

    address: str
    subject: str


HANDED = Place(Handed())


def place_at(where: Where) -> Place:
    """A place with the callers that it has: by TLS it is the owner, by a Unix socket whoever the kernel says.

    A socket with a role is anybody's, and an admin is the owner there.
    """
    if isinstance(where, UnixPath) and where.scope is not None:
        return Place(where, Callers.OWNER if where.scope.role == "admin" else Callers.ROLE)
    secured = isinstance(where, Tcp) or (isinstance(where, Inherited) and where.tls is not None)
    return Place(where, Callers.OWNER if secured else Callers.PEERS)
