"""Who is on a container's networks, as files tell it.

``names.json`` in the container's run directory says which networks the container is on, and with that whose names it
may know::

    {"networks": [{"name": "mynet", "directory": "/run/kist/networks/…", "links": {"db": "mysql"}}],
     "fixed": {"host.docker.internal": ["10.88.0.1"]},
     "servers": ["192.0.2.53"], "resolver": null, "forwards": true}

A network's directory has a file for each container on it, whose name is the container's id: ``{"names": ["db",
"4f1c…"], "addresses": ["10.89.0.2", "fd00::2"]}``. All are written aside and renamed. They are looked at with each
question, and read again where they have changed: nobody has to tell two hundred monitors of each start.
"""

from __future__ import annotations

import os
import time

from kist.kernel.lean import socket
from kist.runtime import messages
from kist.runtime.names import message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

Stamp = tuple[int, int, int]

# Times of files go by ticks of the kernel's, of 10 ms at most: within one, a second change looks like the first.
_TICKS = 25_000_000


class Seen:
    """A file or directory, and whether what was read of it is what there is now."""

    __slots__ = ("_first", "_settled", "_stamp")

    def __init__(self) -> None:
        self._stamp: Stamp | None = None
        self._first = 0
        self._settled = False

    def is_new(self, stamp: Stamp | None, now: int) -> bool:
        """Whether to read it (again): it is another one, or was so young that it may have changed unseen since.

        Args:
            stamp: of the file as it is; None for none.
            now: ``time.monotonic_ns()`` from before anything is read.
        """
        if stamp != self._stamp:
            self._stamp, self._first, self._settled = stamp, now, False
            return True
        if self._settled:
            return False
        self._settled = now - self._first >= _TICKS
        return True


class Entry:
    """A container on a network: its names, its packed addresses, and the names that these are asked for by."""

    __slots__ = ("names", "packed", "reverse", "seen")

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.packed: list[bytes] = []
        self.reverse: list[bytes] = []
        self.seen = Seen()

    def read(self, path: str) -> None:
        """Take what the file says; one that has just gone, or is none of ours, says nothing."""
        try:
            found = messages.read_json(path)
            names, addresses = found["names"], found["addresses"]
        except (OSError, ValueError, KeyError, TypeError):
            names, addresses = [], []
        self.names = [each for name in names if (each := _wire(name))]
        self.packed = [each for address in addresses if (each := pack(address))]
        self.reverse = [message.reverse_name(each) for each in self.packed]


class Network:
    """One network of the container.

    Args:
        told: its element of ``names.json``.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.suffix = _wire(told["name"])
        self.directory: str = told["directory"]
        self.links: dict[str, str] = told.get("links") or {}
        self._seen = Seen()
        self.entries: dict[str, Entry] = {}

    def look(self, now: int) -> bool:
        """Read again what may have changed; whether there was anything to read."""
        if not self._seen.is_new(_stamp(self.directory), now):
            return False
        found: dict[str, Entry] = {}
        try:
            with os.scandir(self.directory) as files:
                for file in files:
                    if not file.name.startswith("."):
                        found[file.name] = self._entry(file.name, file.path, now)
        except FileNotFoundError:
            found = {}
        self.entries = found
        return True

    def _entry(self, name: str, path: str, now: int) -> Entry:
        entry = self.entries.get(name) or Entry()
        if entry.seen.is_new(_stamp(path), now):
            entry.read(path)
        return entry


class Registry:
    """All names that one container may know.

    Args:
        path: of its ``names.json``.

    Attributes:
        told: what that says; empty until it has been read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = Seen()
        self.told: dict[str, Any] = {}
        self._networks: list[Network] = []
        self._addresses: dict[bytes, list[bytes]] = {}
        self._pointers: dict[bytes, list[bytes]] = {}

    def look(self) -> bool:
        """Take notice of what has changed since the last look; whether anything may have."""
        now = time.monotonic_ns()
        changed = self._seen.is_new(_stamp(self._path), now) and self._read()
        for network in self._networks:
            changed = network.look(now) or changed
        if changed:
            self._arrange()
        return changed

    def addresses(self, name: bytes) -> list[bytes] | None:
        """The packed addresses of a name, of four and of sixteen bytes; None for a name that is none of ours."""
        return self._addresses.get(name)

    def pointers(self, name: bytes) -> list[bytes] | None:
        """The names of an address, by its reverse name; None for one that is nobody's here."""
        return self._pointers.get(name)

    def _read(self) -> bool:
        try:
            self.told = messages.read_json(self._path)
        except (OSError, ValueError):
            return False  # the container is being removed: what was known is good for its last questions
        before = {network.directory: network for network in self._networks}
        self._networks = []
        for told in self.told.get("networks", ()):
            network = Network(told)
            if known := before.get(network.directory):
                known.suffix, known.links = network.suffix, network.links
                network = known
            self._networks.append(network)
        return True

    def _arrange(self) -> None:
        """Make the tables that questions are answered from: the first network that has a name counts.

        Before them what is fixed, for nobody on a network is to be taken for the host, but for links of its own.
        """
        self._addresses, self._pointers = {}, {}
        own = {alias for network in self._networks for alias in network.links}
        for text, addresses in self.told.get("fixed", {}).items():
            if text not in own:
                self._addresses[_wire(text)] = [each for one in addresses if (each := pack(one))]
        for network in self._networks:
            known = names_of(network.entries)
            for alias, target in network.links.items():
                if (name := _wire(alias)) and (packed := known.get(_wire(target))):
                    known[name] = packed
            for name, packed in known.items():
                self._addresses.setdefault(name, packed)
                self._addresses.setdefault(_within(name, network.suffix), packed)
            for entry in network.entries.values():
                for each in entry.reverse:
                    names = [_within(name, network.suffix) for name in entry.names[:1]]
                    self._pointers.setdefault(each, []).extend(names)


def names_of(entries: Mapping[str, Entry]) -> dict[bytes, list[bytes]]:
    """Each name of a network and the addresses of all that have it."""
    found: dict[bytes, list[bytes]] = {}
    for identifier in sorted(entries):
        for name in dict.fromkeys(entries[identifier].names):
            found.setdefault(name, []).extend(entries[identifier].packed)
    return found


def of_length(packed: Iterable[bytes], length: int) -> list[bytes]:
    """Those of four bytes, or of sixteen."""
    return [each for each in packed if len(each) == length]


def pack(address: str) -> bytes:
    """The bytes of an address; empty for what is none."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError, TypeError):
        return b""


def _wire(name: str) -> bytes:
    """A name for the wire; empty for one that nobody can ask for."""
    try:
        return message.encode_name(name)
    except (ValueError, AttributeError):
        return b""


def _within(name: bytes, suffix: bytes) -> bytes:
    return name[:-1] + suffix if suffix else name


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
