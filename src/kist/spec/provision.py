"""What a client gives to a build while it goes on: secrets, ssh agents, directories, and perhaps a terminal.

The build says what it wants of it, one stream for each thing, when it wants it (``docs/decisions/0042``).
"""

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Literal, Protocol

from kist.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

Kind = Literal["secret", "ssh", "context", "shell"]
LARGEST_SECRET = 500 << 10
"""Bytes of a secret, at most (as BuildKit has it)."""
SECRET_HEAD = 4
"""Bytes before a secret on its stream: its length, big-endian, for a stream may break."""


class Provision(Protocol):
    """What there is, by name, and how it is had."""

    @property
    def secrets(self) -> AbstractSet[str]:
        """The ids of secrets."""
        ...

    @property
    def agents(self) -> AbstractSet[str]:
        """The ids of ssh agents."""
        ...

    @property
    def contexts(self) -> AbstractSet[str]:
        """The names of directories."""
        ...

    @property
    def terminal(self) -> bool:
        """Whether there is a terminal for the shell of a failed step."""
        ...

    def open(self, kind: Kind, name: str) -> "socket":
        """A stream of one thing, blocking, which is the caller's to close.

        Of a secret its length and its bytes, of a context a tar archive of it, of an agent a connection to it, of a
        shell the terminal that it is to have.

        Raises:
            NotFound: there is no such thing.
            KistError: it cannot be had; the client's own words.
            Unavailable: the client has gone.
        """
        ...

    def watch_size(self, listener: "Callable[[int, int], None] | None") -> None:
        """Have the terminal's height and width told, as they are and whenever they change; with None, no more."""

    def check(self) -> None:
        """Raise ``Unavailable`` where the client has gone, and with it what it would give."""


class Nothing:
    """What a client gives that gives nothing."""

    secrets: AbstractSet[str] = frozenset()
    agents: AbstractSet[str] = frozenset()
    contexts: AbstractSet[str] = frozenset()
    terminal = False

    def open(self, kind: Kind, name: str) -> "socket":
        """There is nothing.

        Raises:
            NotFound: always.
        """
        raise NotFound(f"nobody gives the build the {kind} {name}")

    def watch_size(self, listener: "Callable[[int, int], None] | None") -> None:
        """There is no terminal."""

    def check(self) -> None:
        """Nobody can have gone."""


NOTHING = Nothing()
