"""The part of a container's name server that every monitor has: its sockets, and what its end takes away.

The server itself begins with the first question: an idle container that never asks is not to pay for it. Its modules
are there by then where the keeper has rehearsed it (``kist.runtime.rehearsal``).
"""

from __future__ import annotations

import os

from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.runtime.names.server import Server

FILE = "names.json"
"""In a container's run directory: what ``kist.runtime.names.registry`` reads."""
UDP, TCP = "names-udp", "names-tcp"
"""How a keeper calls the sockets."""


class Served:
    """The name server of one container.

    Args:
        loop: where the sockets are watched.
        run_directory: of the container.
        udp, tcp: descriptors of the sockets, bound in the container's network namespace; they are taken.
    """

    __slots__ = ("_loop", "_run_directory", "_server", "_tcp", "_udp")

    def __init__(self, loop: events.Loop, run_directory: str, udp: int, tcp: int) -> None:
        self._loop = loop
        self._run_directory = run_directory
        self._udp = socket.socket(fileno=udp)
        self._tcp = socket.socket(fileno=tcp)
        self._server: Server | None = None
        for each in (self._udp, self._tcp):
            each.setblocking(False)
            loop.watch(each.fileno(), events.READ, self._asked, on_error=self.close)

    @property
    def held(self) -> dict[str, int]:
        """The descriptors, for the keeper."""
        return {UDP: self._udp.fileno(), TCP: self._tcp.fileno()}

    def close(self) -> None:
        """The container has ended."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in (self._udp, self._tcp):
            self._loop.forget(each.fileno())
            each.close()

    def _asked(self, _: int) -> None:
        """The first question: the server takes the sockets over, with what has come."""
        try:
            from kist.runtime.names.registry import Registry  # noqa: PLC0415 - see the module's docstring
            from kist.runtime.names.resolve import Resolver  # noqa: PLC0415
            from kist.runtime.names.server import Server  # noqa: PLC0415
            from kist.runtime.names.upstreams import Upstreams  # noqa: PLC0415
        except ImportError as error:
            # The program has been taken away under a running container, which has no names from now on.
            messages.complain(OSError(0, f"no names are answered: {error}"))
            self.close()
            return
        registry = Registry(f"{self._run_directory}/{FILE}")
        self._server = Server(self._loop, self._udp, self._tcp, Resolver(self._loop, registry, Upstreams()))


def withdraw(run_directory: str, identifier: str) -> None:
    """Take the names of a container that has ended from its networks.

    Args:
        run_directory: of the container.
        identifier: its id.
    """
    try:
        networks = messages.read_json(f"{run_directory}/{FILE}")["networks"]
    except (OSError, ValueError, KeyError):
        return  # it had none, or is being removed by who takes them away too
    for network in networks:
        try:
            os.unlink(f"{network['directory']}/{identifier}")
        except OSError:
            continue  # the network has gone, or another was first
