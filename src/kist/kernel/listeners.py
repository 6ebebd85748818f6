"""Sockets that hold ports of this machine, and who has them (/proc/net/tcp and its kin, /proc/PID/fd)."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_FILES = ("tcp", "tcp6", "udp", "udp6")
_LISTENS = "0A"  # TCP_LISTEN
_ANY = frozenset({"0.0.0.0", "::"})
_COMMAND = 60


class Listener(NamedTuple):
    """A socket that listens, or is bound to a udp port."""

    protocol: str
    address: str
    port: int
    inode: int

    def holds(self, protocol: str, address: str, port: int) -> bool:
        """Whether nobody else can have this port while it is there.

        A socket on all addresses of IPv6 may be one on those of IPv4 too.
        """
        if (self.protocol, self.port) != (protocol, port):
            return False
        if (":" in self.address) != (":" in address):
            return self.address == "::" or address == "::"
        return self.address == address or bool({self.address, address} & _ANY)


class Holder(NamedTuple):
    """A process that has a socket; ``command`` is its command line, shortened."""

    pid: int
    command: str


def listening() -> list[Listener]:
    """All of them, in the network namespace of the calling thread."""
    found: list[Listener] = []
    for name in _FILES:
        try:
            with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
                found += parse(name, file.read().splitlines()[1:])
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return found


def parse(name: str, lines: Iterable[str]) -> Iterator[Listener]:
    """The listeners in a file's lines; ``name`` is the file's."""
    protocol = name.removesuffix("6")
    for line in lines:
        fields = line.split()
        if len(fields) < 10 or (protocol == "tcp" and fields[3] != _LISTENS):
            continue
        address, _, port = fields[1].partition(":")
        yield Listener(protocol, _address(address), int(port, 16), int(fields[9]))


def _address(text: str) -> str:
    """Words of 32 bits as the machine has them in memory, each as a number."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def holder(inodes: Iterable[int]) -> Holder | None:
    """A process that has one of these sockets; None where there is none, or none that the caller may look into."""
    wanted = frozenset(f"socket:[{inode}]" for inode in inodes if inode)
    if not wanted:
        return None
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _has_any(entry, wanted):
            return Holder(int(entry), _command(entry))
    return None


def _has_any(pid: str, wanted: frozenset[str]) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as descriptors:
            return any(_link(each.path) in wanted for each in descriptors)
    except OSError:
        return False  # it has ended, or is somebody else's


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _command(pid: str) -> str:
    for name in ("cmdline", "comm"):
        try:
            with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
                text = file.read().replace("\0", " ").strip()
        except OSError:
            text = ""
        if text:
            return text if len(text) <= _COMMAND else text[: _COMMAND - 1] + "…"
    return "?"
