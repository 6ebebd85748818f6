"""Published ports in nf_tables: which port of the host is which of a container, as elements of maps.

Two maps for each family tell it, one for ports on one address of the host and one for ports on all of them; the rules
that look there are ``kist.network.portmap``'s. Monitors put their containers' elements in and take them away, so this
module imports next to nothing (see ``kist.kernel.lean``), and speaks netlink for itself. Layouts and numbers:
include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h.
"""

from __future__ import annotations

import errno
import os
import struct

from kist.kernel import lean_netlink
from kist.kernel.attributes import attribute, attributes, members, nested, text
from kist.kernel.lean import socket
from kist.kernel.lean_netlink import ACK, CREATE, DUMP, ERROR, FAMILY_SIZE, Connection, message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Element = tuple[str, str, bytes, bytes]
    Message = tuple[int, int, bytes]

TABLE = "kist-ports"
ON_ADDRESS = "published"
ANYWHERE = "published-anywhere"
BRIDGES = "bridges"
CHAINS = ("prerouting", "output")
FAMILIES = {"ip": socket.AF_INET, "ip6": socket.AF_INET6}
PROTOCOLS = {"tcp": 6, "udp": 17}

_SUBSYSTEM = 10
_BEGIN, _END = 16, 17
_DELTABLE, _DELCHAIN, _DELRULE, _DELSET = (_SUBSYSTEM << 8 | number for number in (2, 5, 8, 11))
_NEWSETELEM, _GETSETELEM, _DELSETELEM = (_SUBSYSTEM << 8 | number for number in (12, 13, 14))
_UNLESS_USED = 0x100
_PROTOCOL, _PORT = struct.Struct("B3x"), struct.Struct("!H2x")  # each part of a key fills whole registers
_NAME_SIZE = 16  # IFNAMSIZ
_MOST = 400  # elements in one message: an attribute has at most 64 KiB
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})


def element(host_ip: str, protocol: str, host_port: int, address: str, port: int) -> Element | None:
    """An element as ``(family, map, key, data)``; None where the kernel cannot do it: loopback, or two families.

    Args:
        host_ip: the address of the host; ``0.0.0.0`` or ``::`` for all of its family.
        protocol: ``tcp`` or ``udp``.
        host_port: the port of the host.
        address: the container's.
        port: the container's.
    """
    family = "ip6" if ":" in host_ip else "ip"
    if not address or (":" in address) != (family == "ip6"):
        return None
    data = socket.inet_pton(FAMILIES[family], address) + _PORT.pack(port)
    kind = _PROTOCOL.pack(PROTOCOLS[protocol])
    if host_ip in _EVERYWHERE:
        return family, ANYWHERE, kind + _PORT.pack(host_port), data
    own = socket.inet_pton(FAMILIES[family], host_ip)
    if own[0] == 127 if family == "ip" else own == bytes(15) + b"\1":
        return None
    return family, ON_ADDRESS, kind + own + _PORT.pack(host_port), data


def port_of(made: Element) -> tuple[str, str, int]:
    """Protocol, address and port of the host that an element is for; the address is ``0.0.0.0`` or ``::`` for all."""
    family, name, key, _ = made
    protocol = next((word for word, number in PROTOCOLS.items() if number == key[0]), str(key[0]))
    size = 16 if family == "ip6" else 4
    own = key[4 : 4 + size] if name == ON_ADDRESS else bytes(size)
    return protocol, socket.inet_ntop(FAMILIES[family], own), int(_PORT.unpack(key[-4:])[0])


def target_of(made: Element) -> tuple[str, int]:
    """The container's address and port that an element leads to."""
    family, _, _, data = made
    return socket.inet_ntop(FAMILIES[family], data[:-4]), int(_PORT.unpack(data[-4:])[0])


class Rules:
    """A way to nf_tables in the network namespace of this process.

    It is to be closed when nobody waits: the kernel then clears up what was removed, which takes it some 16 ms.
    """

    def __init__(self) -> None:
        self.connection = Connection()

    def close(self) -> None:
        """Give the descriptor back."""
        self.connection.close()

    def put(
        self,
        elements: Sequence[Element],
        comment: str,
        bridges: Iterable[str],
        structure: bytes,
        *,
        fresh: bool = False,
    ) -> None:
        """Put elements in, in one transaction; what a killed process has left of the same ports is replaced.

        Args:
            elements: from ``element``.
            comment: what ``nft list`` shows with them.
            bridges: the devices that their container is on.
            structure: messages that make the tables, for when they are not there.
            fresh: whether they were not there a moment ago, so that it is not tried without.

        Raises:
            OSError: nothing was changed.
        """
        keys = (os.fsencode(bridge).ljust(_NAME_SIZE, b"\0") for bridge in bridges)
        names = nested(3, *(nested(1, nested(1, attribute(1, key))) for key in keys))
        families = dict.fromkeys(family for family, _, _, _ in elements)
        added = [(_NEWSETELEM, CREATE, _body(family, BRIDGES) + names) for family in families]
        added += [(_NEWSETELEM, CREATE, body) for body in _bodies(elements, comment)]
        try:
            self._commit(added, structure if fresh else b"")
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.EBUSY, errno.EEXIST}:
                raise
            if error.errno != errno.ENOENT:
                self._remove_each(elements)
            self._commit(added, structure)

    def remove(self, elements: Sequence[Element]) -> None:
        """Take elements away, as far as they are there, and a table when no element is left in it.

        Raises:
            OSError: the kernel refuses.
        """
        if not elements:
            return
        try:
            self._commit([(_DELSETELEM, 0, body) for body in _bodies(elements)])
        except FileNotFoundError:
            self._remove_each(elements)
        for family in FAMILIES:
            if self._is_empty(family, ON_ADDRESS) and self._is_empty(family, ANYWHERE):
                self._remove_table(family)

    def _remove_each(self, elements: Iterable[Element]) -> None:
        for each in elements:
            try:
                self._commit([(_DELSETELEM, 0, body) for body in _bodies([each])])
            except FileNotFoundError:
                continue  # somebody has flushed the rules

    def _remove_table(self, family: str) -> None:
        table = lean_netlink.family(FAMILIES[family]) + text(1, TABLE)
        requests: list[Message] = [(_DELRULE, 0, table)]
        requests += [(_DELCHAIN, 0, table + text(3, name)) for name in CHAINS]
        requests += [(_DELSET, 0, _body(family, BRIDGES))]
        # Somebody may have put an element in by now; then all of it stays.
        requests += [(_DELSET, _UNLESS_USED, _body(family, name)) for name in (ON_ADDRESS, ANYWHERE)]
        try:
            self._commit([*requests, (_DELTABLE, 0, table)])
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.EBUSY}:
                raise

    def all(self) -> list[tuple[str, Element]]:
        """All elements, each with its comment."""
        places = [(family, name) for family in FAMILIES for name in (ON_ADDRESS, ANYWHERE)]
        return [told for place in places for answer in self._dump(*place)[0] for told in _decoded(*place, answer)]

    def of(self, comment: str) -> list[Element]:
        """All elements with this comment."""
        return [element for known, element in self.all() if known == comment]

    def _is_empty(self, family: str, name: str) -> bool:
        """Whether a map is there and has no elements."""
        answers, there = self._dump(family, name)
        return there and not any(attributes(answer[FAMILY_SIZE:]).get(3) for answer in answers)

    def _dump(self, family: str, name: str) -> tuple[list[bytes], bool]:
        """What tells a map's elements, and whether there is such a map."""
        answers, failed = self.connection.dump(message(_GETSETELEM, DUMP, _body(family, name), 1))
        return answers, not failed

    def _commit(self, requests: Sequence[Message], first: bytes = b"") -> None:
        """Do all of it or nothing; ``first`` is whole messages.

        Raises:
            OSError: of what failed.
        """
        subsystem = lean_netlink.family(0, _SUBSYSTEM)
        last = len(requests) + 1
        batch = [message(_BEGIN, 0, subsystem, 1), first]
        batch += [
            message(kind, flags | (ACK if number == last else 0), body, number)
            for number, (kind, flags, body) in enumerate(requests, 2)
        ]
        batch.append(message(_END, 0, subsystem, last + 1))
        self.connection.send(b"".join(batch))
        failed = 0
        for kind, number, answer in self.connection.answers():
            if kind == ERROR:
                failed = failed or lean_netlink.error_of(answer)
                # What is refused as a whole is answered at its beginning alone.
                if number == last or (failed and number == 1):
                    break
        if failed:
            raise OSError(failed, os.strerror(failed), f"nf_tables table {TABLE}")


def _decoded(family: str, name: str, answer: bytes) -> Iterator[tuple[str, Element]]:
    """The elements of an answer, each with its comment."""
    for _, one in members(attributes(answer[FAMILY_SIZE:]).get(3, b"")):
        parts = attributes(one)
        key, data = (attributes(parts.get(kind, b"")).get(1, b"") for kind in (1, 2))
        yield os.fsdecode(parts.get(6, b"")[2:-1]), (family, name, key, data)


def _body(family: str, name: str) -> bytes:
    return lean_netlink.family(FAMILIES[family]) + text(1, TABLE) + text(2, name)


def _bodies(elements: Iterable[Element], comment: str = "") -> list[bytes]:
    """Bodies of messages; without a comment they name what is to be removed."""
    told = attribute(6, bytes((0, len(comment) + 1)) + os.fsencode(comment) + b"\0") if comment else b""
    groups: dict[tuple[str, str], list[bytes]] = {}
    for family, name, key, data in elements:
        members = nested(1, attribute(1, key))
        if comment:
            members += nested(2, attribute(1, data)) + told
        groups.setdefault((family, name), []).append(nested(1, members))
    return [
        _body(family, name) + nested(3, *found[at : at + _MOST])
        for (family, name), found in groups.items()
        for at in range(0, len(found), _MOST)
    ]
