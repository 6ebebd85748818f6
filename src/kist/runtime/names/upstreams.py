"""The name servers that are asked of all that is not on a container's networks."""

from __future__ import annotations

import os

from kist.kernel.lean import socket
from kist.runtime.names.registry import Seen, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

PORT = 53
_RESOLV_CONF = "/etc/resolv.conf"
# resolv.conf(5): as many as a resolver asks.
_MOST = 3

Place = tuple[int, tuple[object, ...]]
"""An address family, and an address of it as sockets take it."""


class Upstreams:
    """Whom to ask, by what ``names.json`` says and the host's own resolv.conf.

    Args:
        path: of the latter.
        port: where they listen.
    """

    def __init__(self, path: str = _RESOLV_CONF, port: int = PORT) -> None:
        self._path = path
        self._port = port
        self._seen = Seen()
        self._host: list[str] = []

    def look(self, now: int) -> None:
        """Read the host's servers again where the file has changed: a laptop goes from network to network."""
        try:
            found = os.stat(self._path)
            stamp = found.st_ino, found.st_mtime_ns, found.st_size
        except OSError:
            stamp = None
        if self._seen.is_new(stamp, now):
            self._host = _servers(_read(self._path))

    def servers(self, told: dict[str, Any]) -> list[Place]:
        """In order of preference; none at all where nothing is passed on.

        Args:
            told: ``names.json``: ``forwards``, whether anything is; ``servers`` in place of the host's; ``resolver``
                where we are in a network from which the host's loopback addresses are not reached: the address of a
                server there that asks them, or empty.
        """
        if not told.get("forwards"):
            return []
        names = told.get("servers")
        if names is None:
            names = self._host
            if (resolver := told.get("resolver")) is not None:
                names = [each for each in names if is_reachable(each)] or [resolver]
        return [place for name in names[:_MOST] if (place := place_of(name, self._port)) is not None]


def place_of(server: str, port: int = PORT) -> Place | None:
    """Where a server is to be asked, an address with or without a device (``fe80::1%eth0``); None for none."""
    address, _, device = server.partition("%")
    packed = pack(address)
    if not packed:
        return None
    if len(packed) == 4:
        return socket.AF_INET, (address, port)
    try:
        scope = int(device) if device.isdecimal() else socket.if_nametoindex(device) if device else 0
    except OSError:
        return None
    return socket.AF_INET6, (address, port, 0, scope)


def is_reachable(server: str) -> bool:
    """Whether a server of the host's can be asked from another network than the host's own."""
    packed = pack(server.partition("%")[0])
    if len(packed) == 4:
        return packed[0] not in {0, 127}
    # Neither ::, ::1 nor fe80::/10, which needs a device that is not there.
    return bool(packed) and packed[:15] != bytes(15) and not (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80)


def _servers(text: str) -> list[str]:
    split: Iterable[list[str]] = (line.split() for line in text.splitlines() if not line[:1].isspace())
    return [parts[1] for parts in split if len(parts) > 1 and parts[0] == "nameserver"]


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""
