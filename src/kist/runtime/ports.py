"""Published ports, carried in user space by the container's monitor: they need no engine, and work on loopback too.

Imported only by the monitors of containers that publish something.
"""

from __future__ import annotations

import errno

from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime.tcp_relay import TcpRelay
from kist.runtime.udp_relay import UdpRelay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BACKLOG = 1024
_ANYWHERE = ("0.0.0.0", "::")


class Ports:
    """All published ports of one container.

    Attributes:
        published: ``{"port", "protocol", "host_ip", "host_port"}`` of each listening socket.
        taken: what was wanted, with the one port that was taken of those to choose from: for a successor.
        carried: ``(host address, protocol, port, container's address, port)`` of each listening socket.
    """

    def __init__(self, loop: events.Loop) -> None:
        self._loop = loop
        self._carriers: list[TcpRelay | UdpRelay] = []
        self.published: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.carried: list[tuple[str, str, int, str, int]] = []

    def close(self) -> None:
        """Stop listening, and end what is carried."""
        for carrier in self._carriers:
            carrier.close()
        self._carriers = []

    def publish(self, wanted: dict[str, Any]) -> None:
        """Publish a port.

        Args:
            wanted: ``port``, ``protocol`` and ``address`` of the container, and ``address6`` where it has one of IPv6;
                ``host_ip``, where to listen (empty for everywhere); ``host_ports``, of which the first that is free is
                taken (``[0]``: the kernel's choice).

        Raises:
            OSError: none can be had; ``filename`` is ``ADDRESS:PORT``.
        """
        sockets, number = _listen(wanted)
        self.taken.append(wanted | {"host_ports": [number]})
        carry = TcpRelay if wanted["protocol"] == "tcp" else UdpRelay
        told = {key: wanted[key] for key in ("port", "protocol")}
        for listening in sockets:
            host_ip: str = listening.getsockname()[0]
            target = (_target(wanted, listening.family), wanted["port"])
            self._carriers.append(carry(self._loop, listening, target))
            self.published.append(told | {"host_ip": host_ip, "host_port": number})
            self.carried.append((host_ip, wanted["protocol"], number, *target))


def _target(wanted: dict[str, Any], family: int) -> str:
    """The container's address of the family in which somebody comes, or the one that it has."""
    own: str = wanted["address"]
    other: str = wanted.get("address6", "")
    return (other or own) if family == socket.AF_INET6 else (own or other)


def _listen(wanted: dict[str, Any]) -> tuple[list[socket.socket], int]:
    """Sockets on the first of the ports that is free on every address, and that port."""
    addresses = [wanted["host_ip"]] if wanted["host_ip"] else list(_ANYWHERE)
    failure: OSError | None = None
    for number in wanted["host_ports"]:
        try:
            return _listen_on(addresses, number, wanted["protocol"])
        except OSError as error:
            failure = error
    assert failure is not None
    ports = wanted["host_ports"]
    shown = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
    raise OSError(failure.errno, failure.strerror, f"{addresses[0]}:{shown}") from failure


def _listen_on(addresses: list[str], number: int, protocol: str) -> tuple[list[socket.socket], int]:
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                listening = _bound(address, number, protocol)
            except OSError as error:
                if address == "::" and sockets and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                    continue  # a machine without IPv6
                raise
            sockets.append(listening)
            number = listening.getsockname()[1]
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets, number


def _bound(address: str, number: int, protocol: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    made = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, number))
        if protocol == "tcp":
            made.listen(_BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made
