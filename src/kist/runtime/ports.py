"""Published ports, carried in user space by the container's monitor: they need no engine, and work on loopback too.

Imported only by the monitors of containers that publish something.
"""

from __future__ import annotations

import errno

from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime.allowance import Allowance, most
from kist.runtime.tcp_relay import TcpRelay
from kist.runtime.udp_relay import Peers, UdpRelay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BACKLOG = 1024
_ATTEMPTS = 16
_ANYWHERE = ("0.0.0.0", "::")


class Ports:
    """All published ports of one container.

    Attributes:
        published: ``{"port", "protocol", "host_ip", "host_port"}`` of each listening socket.
        taken: what was wanted, with the one port that was taken of those to choose from: for a successor.

    Args:
        loop: the monitor's.
        descriptors: how many those who connect may have; udp's clients have half of them at most, where there are any.
    """

    def __init__(self, loop: events.Loop, descriptors: int = 0) -> None:
        self._loop = loop
        self._allowance = Allowance(descriptors or most())
        self._peers: Peers | None = None
        self._relays: list[tuple[TcpRelay | UdpRelay, dict[str, Any]]] = []
        self.published: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []

    @property
    def carried(self) -> list[tuple[str, str, int, str, int]]:
        """``(host address, protocol, port, container's address, port)`` of each listening socket."""
        both = zip(self.published, self._relays, strict=True)
        return [
            (told["host_ip"], told["protocol"], told["host_port"], *_target(wanted, told["host_ip"]))
            for told, (_, wanted) in both
        ]

    def close(self) -> None:
        """Stop listening, and end what is carried."""
        for relay, _ in self._relays:
            relay.close()
        self._relays = []
        self.published = []

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
        wanted = wanted | {"host_ports": [number]}
        self.taken.append(wanted)
        told = {key: wanted[key] for key in ("port", "protocol")}
        for listening in sockets:
            host_ip: str = listening.getsockname()[0]
            self._relays.append((self._relay(listening, wanted["protocol"], _target(wanted, host_ip)), wanted))
            self.published.append(told | {"host_ip": host_ip, "host_port": number})

    def _relay(self, listening: socket.socket, protocol: str, target: tuple[str, int]) -> TcpRelay | UdpRelay:
        self._allowance.left -= 1
        if protocol == "tcp":
            return TcpRelay(self._loop, listening, target, self._allowance)
        if self._peers is None:
            self._peers = Peers(self._loop, self._allowance.left // 2)
            self._allowance.left -= self._peers.most
        return UdpRelay(self._loop, listening, target, self._peers)

    def aim(self, address: str, address6: str) -> None:
        """The container is reached at these addresses now; connections that are open stay."""
        for wanted in self.taken:
            wanted |= {"address": address, "address6": address6}
        for told, (relay, wanted) in zip(self.published, self._relays, strict=True):
            relay.aim(_target(wanted, told["host_ip"]))


def _target(wanted: dict[str, Any], host_ip: str) -> tuple[str, int]:
    """Where in the container: at its address of the family in which somebody comes, or at the one that it has."""
    own: str = wanted["address"]
    other: str = wanted.get("address6", "")
    return (other or own) if ":" in host_ip else (own or other), wanted["port"]


def _listen(wanted: dict[str, Any]) -> tuple[list[socket.socket], int]:
    """Sockets on the first of the ports that is free on every address, and that port. Nothing but bind(2) decides."""
    addresses = [wanted["host_ip"]] if wanted["host_ip"] else list(_ANYWHERE)
    ports = wanted["host_ports"]
    # What is free for the first address may be taken on the second.
    choices = [0] * _ATTEMPTS if ports == [0] else ports
    failed: OSError | None = None
    for number in choices:
        try:
            return _listen_on(addresses, number, wanted["protocol"])
        except OSError as error:
            failed = error
            if ports == [0] and error.errno != errno.EADDRINUSE:
                break
    assert failed is not None
    shown = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
    address = f"[{failed.filename}]" if ":" in failed.filename else failed.filename
    raise OSError(failed.errno, failed.strerror, f"{address}:{shown}") from failed


def _listen_on(addresses: list[str], number: int, protocol: str) -> tuple[list[socket.socket], int]:
    """The same for one port; ``filename`` of an error is the address."""
    sockets: list[socket.socket] = []
    for address in addresses:
        try:
            listening = _bound(address, number, protocol)
        except OSError as error:
            if address == "::" and sockets and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
                continue  # a machine without IPv6
            for other in sockets:
                other.close()
            error.filename = address
            raise
        sockets.append(listening)
        number = listening.getsockname()[1]
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
