"""Where an engine listens, as values: each place says how it is reached, and who those are who reach it."""

import enum

import msgspec


class Callers(enum.Enum):
    """Who calls by a place."""

    PEERS = enum.auto()
    """The kernel tells: the engine's user, and guests (``kist.api.guests``) where the socket lets others connect."""
    OWNER = enum.auto()
    """The engine's user, whoever it is: the way there has seen to that."""


class UnixPath(msgspec.Struct, frozen=True):
    """A Unix socket that the engine makes.

    Attributes:
        path: its name; at most 103 bytes.
        group: whose members may connect too, by number; -1 for nobody's but the own user.
    """

    path: str
    group: int = -1


class Handed(msgspec.Struct, frozen=True):
    """Connections that another process hands over (``kist.api.private``)."""


class Place(msgspec.Struct, frozen=True):
    """One place where the engine listens; every connection keeps the place that it came by.

    Attributes:
        where: how it is reached.
        callers: who calls by it.
    """

    where: UnixPath | Handed
    callers: Callers = Callers.PEERS

    @property
    def name(self) -> str:
        """How it is written: ``unix:///run/kist/engine.sock``."""
        return f"unix://{self.where.path}" if isinstance(self.where, UnixPath) else "handed over"


HANDED = Place(Handed())
