"""Messages of the domain name system as clients and servers send them, and the files that a name server reads."""

import contextlib
import json
import os
import socket as sockets
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

from kist.kernel import netns, process
from kist.runtime import messages
from kist.runtime.names import message
from kist.runtime.names.registry import Registry


def question(name: str, kind: int = message.A, *, flags: int = 0x0100, opt: bytes = b"", number: int = 7) -> bytes:
    """A client's message."""
    head = struct.pack("!6H", number, flags, 1, 0, 0, 1 if opt else 0)
    return head + spelt(name) + struct.pack("!HH", kind, message.IN) + opt


def spelt(name: str) -> bytes:
    """A name for the wire, in the case that it has."""
    return b"".join(bytes((len(label),)) + label for label in name.encode().split(b".")) + b"\0"


def response(asked: bytes, *records: tuple[bytes, int, int, bytes], code: int = 0, authorities: int = 0) -> bytes:
    """What a server says: records with their owner, type, TTL and data; the last ``authorities`` of them are such."""
    flags = 0x8180 | code
    head = asked[:2] + struct.pack("!5H", flags, 1, len(records) - authorities, authorities, 0)
    body = b"".join(
        owner + struct.pack("!HHIH", kind, message.IN, ttl, len(data)) + data for owner, kind, ttl, data in records
    )
    return head + asked[12:] + body


class Room:
    """The files of a container and its networks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = Registry(str(root / "names.json"))

    def tell(self, *networks: str, links: dict[str, str] | None = None, **more: object) -> None:
        told = [{"name": name, "directory": str(self.root / name), "links": links or {}} for name in networks]
        messages.write_json(str(self.root / "names.json"), {"networks": told, "forwards": True, **more})

    def enter(self, network: str, identifier: str, names: Sequence[str], addresses: Sequence[str]) -> None:
        (self.root / network).mkdir(exist_ok=True)
        aside = self.root / network / f".{identifier}"
        aside.write_text(json.dumps({"names": names, "addresses": addresses}))
        aside.rename(self.root / network / identifier)

    def addresses(self, name: str) -> list[str] | None:
        self.registry.look()
        found = self.registry.addresses(message.encode_name(name))
        return None if found is None else [".".join(map(str, each)) for each in found]

    def name_of(self, *packed: int) -> list[bytes] | None:
        self.registry.look()
        return self.registry.pointers(message.reverse_name(bytes(packed)))


class NameServer:
    """A name server for everything, over UDP and TCP: each name has this address.

    Args:
        address: where it listens, on port 53; of the network namespace of the thread that makes it.
        told: the address that it gives.
    """

    def __init__(self, address: str, told: str) -> None:
        self._told = sockets.inet_aton(told)
        self.asked: list[bytes] = []
        self._udp = sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM)
        self._udp.bind((address, 53))
        self._tcp = sockets.create_server((address, 53))
        self._threads = [threading.Thread(target=self._hear), threading.Thread(target=self._accept)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop."""
        # A thread that waits for a socket does not see that it is closed.
        for each in (self._udp, self._tcp):
            with contextlib.suppress(OSError):  # ENOTCONN, and yet who waits is woken
                each.shutdown(sockets.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _hear(self) -> None:
        while True:
            data, client = self._udp.recvfrom(4096)
            if not data:
                return
            self._udp.sendto(self._answer(data), client)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                with connection:
                    answer = self._answer(connection.recv(4096)[2:])
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, data: bytes) -> bytes:
        self.asked.append(data)
        end = data.index(b"\0", 12) + 5
        asked = data[:end]
        if data[end - 4 : end - 2] != b"\0\1":
            return response(asked)
        return response(asked, (b"\xc0\x0c", message.A, 300, self._told))


def ask(pid: int, data: bytes, timeout: float = 10) -> bytes:
    """What the name server of a process's network says to a question."""

    def asking() -> bytes:
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as client:
            client.settimeout(timeout)
            client.connect(("127.0.0.11", 53))
            client.send(data)
            return client.recv(4096)

    descriptor = netns.of_process(pid, process.start_time(pid))
    try:
        return netns.inside(descriptor, asking)
    finally:
        os.close(descriptor)


def lookup(pid: int, name: str, kind: int = message.A) -> list[str] | None:
    """The addresses (or names) of a name, as the name server of a process's network tells; None where there is none."""
    found = ask(pid, question(name, kind))
    if message.response_code(found) != message.NOERROR:
        return None
    return [_shown(kind, data) for data in records(found)]


def records(data: bytes) -> list[bytes]:
    """The data of an answer's records, which are all of the name that was asked for."""
    place, found = data.index(b"\0", 12) + 5, []
    for _ in range(int.from_bytes(data[6:8], "big")):
        _, _, _, length = struct.unpack_from("!HHIH", data, place + 2)
        found.append(data[place + 12 : place + 12 + length])
        place += 12 + length
    return found


def _shown(kind: int, data: bytes) -> str:
    if kind == message.PTR:
        labels, place = [], 0
        while length := data[place]:
            labels.append(data[place + 1 : place + 1 + length].decode())
            place += 1 + length
        return ".".join(labels)
    return sockets.inet_ntop(sockets.AF_INET if len(data) == 4 else sockets.AF_INET6, data)
