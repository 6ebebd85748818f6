"""A monitor's listening socket, ``monitor.sock`` in the container's run directory."""

from __future__ import annotations

import os

from kist.kernel import lean
from kist.kernel.lean import socket
from kist.runtime import loop as events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SOCKET = "monitor.sock"
# The name of a socket is limited to 107 bytes, a run directory is not.
_LONGEST = 100


class Door:
    """Takes connections; ``on_connection`` gets each.

    Whoever cannot connect finds the end on disk: the socket's name goes when that has been written.
    """

    def __init__(self, loop: events.Loop, directory: str, on_connection: Callable[[socket.socket], None]) -> None:
        self._loop = loop
        self._directory = directory
        self._on_connection = on_connection
        self._listener: socket.socket | None = None

    @property
    def descriptor(self) -> int:
        """The listening descriptor; -1 while closed."""
        return self._listener.fileno() if self._listener is not None else -1

    def open(self) -> None:
        """Listen, in place of a monitor that was here before."""
        self._listener = listen(self._directory, SOCKET, socket.SOCK_STREAM)
        self._watch()

    def take(self, descriptor: int) -> None:
        """Go on with the descriptor of a monitor that died; what connected meanwhile waits in it."""
        self._listener = socket.socket(fileno=descriptor)
        self._watch()

    def close(self) -> None:
        """Take no more connections."""
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None
            unlink(f"{self._directory}/{SOCKET}")

    def _watch(self) -> None:
        assert self._listener is not None
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), events.READ, self._accept)

    def _accept(self, _events: int) -> None:
        assert self._listener is not None
        try:
            connection = lean.accept(self._listener)
        except OSError:
            return  # who wanted to connect has gone
        self._on_connection(connection)


def listen(directory: str, name: str, kind: int) -> socket.socket:
    """A listening socket of this name, in place of one that was left there."""
    path = f"{directory}/{name}"
    unlink(path)
    listener = socket.socket(socket.AF_UNIX, kind)
    if len(path) < _LONGEST:
        listener.bind(path)
    else:
        above = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        listener.bind(f"/proc/self/fd/{above}/{name}")
        os.close(above)
    listener.listen(64)
    return listener


def connect(directory: str, name: str, kind: int) -> socket.socket:
    """A connection to who listens there."""
    path = f"{directory}/{name}"
    connection = socket.socket(socket.AF_UNIX, kind)
    try:
        if len(path) < _LONGEST:
            connection.connect(path)
        else:
            above = os.open(directory, os.O_PATH | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{above}/{name}")
            finally:
                os.close(above)
    except OSError:
        connection.close()
        raise
    return connection


def unlink(path: str) -> None:
    """Take a name away that may not be there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
