"""Published ports: bytes and datagrams through a loop, against servers on loopback."""

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import until
from kist.runtime.loop import Loop
from kist.runtime.ports import Ports
from kist.runtime.udp_relay import Peers, UdpRelay


class Room:
    """A loop in a thread, and servers that stand for a container."""

    def __init__(self) -> None:
        self.loop = Loop()
        self._wake_read, self._wake = os.pipe()
        self._running = True
        self.loop.watch(self._wake_read, 1, lambda _: os.read(self._wake_read, 1))
        self._thread = threading.Thread(target=self._turn)
        self._ports: list[Ports] = []
        self._closes: list[Callable[[], None]] = []

    def _turn(self) -> None:
        while self._running:
            self.loop.turn()

    def publish(self, *wanted: dict[str, Any], descriptors: int = 0) -> list[dict[str, Any]]:
        """Publish ports, start turning, and tell what is published."""
        self._ports.append(Ports(self.loop, descriptors))
        for each in wanted:
            self._ports[-1].publish(each)
        self.start()
        return self._ports[-1].published

    def start(self) -> None:
        """Turn from now on."""
        self._thread.start()

    def close_after(self, close: Callable[[], None]) -> None:
        """Close something when nothing turns any more."""
        self._closes.append(close)

    def close(self) -> None:
        self._running = False
        os.write(self._wake, b"x")
        if self._thread.is_alive():
            self._thread.join()
        for ports in self._ports:
            ports.close()
        for close in self._closes:
            close()
        self.loop.close()
        os.close(self._wake)
        os.close(self._wake_read)


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.close()


@contextlib.contextmanager
def tcp_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on loopback that handles each connection in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads: list[threading.Thread] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=handle, args=(connection,)))
                threads[-1].start()

        def handle(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                serve(connection)

        accepting = threading.Thread(target=accept)
        accepting.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    accepting.join()
    for thread in threads:
        thread.join()


def echo_at_end(connection: socket.socket) -> None:
    """Answer with everything once the other side has said all: only a half-close gets an answer."""
    received = bytearray()
    while data := connection.recv(1 << 16):
        received += data
    connection.sendall(received)


def wanted(
    port: int, protocol: str = "tcp", host_ip: str = "127.0.0.1", host_ports: list[int] | None = None
) -> dict[str, Any]:
    return {
        "port": port, "protocol": protocol, "host_ip": host_ip, "host_ports": host_ports or [0], "address": "127.0.0.1",
    }  # fmt: skip


def read_all(connection: socket.socket) -> bytes:
    received = bytearray()
    while data := connection.recv(1 << 16):
        received += data
    return bytes(received)


def send_until_it_stands(client: socket.socket) -> int:
    """Send until nobody takes anything for half a second; how much was taken."""
    client.settimeout(0.5)
    sent = 0
    try:
        while sent < 1 << 28:
            sent += client.send(bytes(1 << 16))
    except TimeoutError:
        return sent
    return sent


def test_a_large_transfer_and_a_half_close(room: Room) -> None:
    with tcp_server(echo_at_end) as port:
        published = room.publish(wanted(port))
        told = published[0]
        assert told["port"] == port
        sent = os.urandom(5_000_000)
        with socket.create_connection(("127.0.0.1", told["host_port"])) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == sent


def test_many_clients_at_once(room: Room) -> None:
    with tcp_server(echo_at_end) as port:
        published = room.publish(wanted(port))
        address = ("127.0.0.1", published[0]["host_port"])
        clients = [socket.create_connection(address) for _ in range(100)]
        for number, client in enumerate(clients):
            client.sendall(b"%d" % number)
            client.shutdown(socket.SHUT_WR)
        answers = [read_all(client) for client in clients]
        for client in clients:
            client.close()
        assert answers == [b"%d" % number for number in range(100)]


def test_large_transfers_both_ways_at_once(room: Room) -> None:
    sent, answer = os.urandom(3_000_000), os.urandom(4_000_000)
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        answering = threading.Thread(target=lambda: (connection.sendall(answer), connection.shutdown(socket.SHUT_WR)))
        answering.start()
        received.append(read_all(connection))
        answering.join()

    with tcp_server(serve) as port:
        published = room.publish(wanted(port))
        with socket.create_connection(("127.0.0.1", published[0]["host_port"])) as client:
            reading: list[bytes] = []
            reader = threading.Thread(target=lambda: reading.append(read_all(client)))
            reader.start()
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            reader.join()
    assert reading == [answer]
    assert received == [sent]


def test_who_sends_waits_for_who_reads(room: Room) -> None:
    """What is on its way is bounded by the kernel's buffers and the relay's own; nothing of it is lost."""
    may_read = threading.Event()
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        may_read.wait(20)
        received.append(read_all(connection))

    with tcp_server(serve) as port:
        published = room.publish(wanted(port))
        with socket.create_connection(("127.0.0.1", published[0]["host_port"])) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            sent = send_until_it_stands(client)
            assert sent < 1 << 26
            may_read.set()
            client.shutdown(socket.SHUT_WR)
            client.settimeout(20)
            assert client.recv(1) == b""
    assert len(received[0]) == sent


def test_a_client_that_vanishes_ends_the_other_side(room: Room) -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        try:
            connection.sendall(b"x" * 1_000_000)
            read_all(connection)
        finally:
            ended.set()

    with tcp_server(serve) as port:
        published = room.publish(wanted(port))
        client = socket.create_connection(("127.0.0.1", published[0]["host_port"]))
        assert client.recv(10)
        # With data unread a close is a reset.
        client.close()
        assert ended.wait(10)


def test_nobody_listens_in_the_container(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    published = room.publish(wanted(port))
    with socket.create_connection(("127.0.0.1", published[0]["host_port"])) as client:
        assert read_all(client) == b""


def test_datagrams_find_their_way_back(room: Room) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        published = room.publish(wanted(server.getsockname()[1], "udp"))
        address = ("127.0.0.1", published[0]["host_port"])
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.settimeout(10)
            client.sendto(b"%d" % number, address)
            data, peer = server.recvfrom(100)
            server.sendto(b"answer " + data, peer)
        answers = [client.recv(100) for client in clients]
        for client in clients:
            client.close()
    assert answers == [b"answer 0", b"answer 1", b"answer 2"]


def test_a_burst_of_datagrams_is_carried_in_order(room: Room) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        published = room.publish(wanted(server.getsockname()[1], "udp"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(100):
                client.sendto(b"%d" % number, ("127.0.0.1", published[0]["host_port"]))
            found = [server.recv(100) for _ in range(100)]
    assert found == [b"%d" % number for number in range(100)]


def echo(server: socket.socket, client: socket.socket, text: bytes) -> bytes:
    """What a client that has sent it gets back from a server for datagrams."""
    client.send(text)
    data, peer = server.recvfrom(100)
    server.sendto(data, peer)
    return client.recv(100)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def udp(address: tuple[str, int] | None = None) -> Iterator[socket.socket]:
    """A socket for datagrams, bound on loopback or connected to an address."""
    with socket.socket(socket.AF_INET6 if address and ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.settimeout(10)
        if address is None:
            made.bind(("127.0.0.1", 0))
        else:
            made.connect(address)
        yield made


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1"])
def test_an_answer_comes_from_the_address_that_was_asked(room: Room, address: str) -> None:
    with udp() as server:
        number = room.publish(wanted(server.getsockname()[1], "udp", host_ip=""))[0]["host_port"]
        with udp((address, number)) as client:  # which takes nothing of others
            assert [echo(server, client, text) for text in (b"one", b"two")] == [b"one", b"two"]


def test_one_client_that_asks_two_addresses_hears_from_both(room: Room) -> None:
    with udp() as server, udp() as client:
        number = room.publish(wanted(server.getsockname()[1], "udp", host_ip=""))[0]["host_port"]
        asked = [("127.0.0.1", number), ("127.0.0.9", number)]
        for address in asked:
            client.sendto(address[0].encode(), address)
            data, peer = server.recvfrom(100)
            server.sendto(data, peer)
        answers = [client.recvfrom(100) for _ in asked]
    assert [(data.decode(), number) for data, _ in answers] == [address for _, address in answers] == asked


def test_who_sends_from_many_ports_uses_nothing_up(room: Room) -> None:
    with udp() as server, tcp_server(echo_at_end) as port:
        told = room.publish(wanted(server.getsockname()[1], "udp"), wanted(port), descriptors=40)
        address = ("127.0.0.1", told[0]["host_port"])
        before = descriptors()
        with udp(address) as client:
            assert echo(server, client, b"here") == b"here"
            for _ in range(200):
                with udp(address) as stranger:
                    assert echo(server, stranger, b"x") == b"x"
            assert before < descriptors() <= before + 20
            assert echo(server, client, b"still") == b"still"
        with socket.create_connection(("127.0.0.1", told[1]["host_port"])) as connection:
            connection.sendall(b"and tcp")
            connection.shutdown(socket.SHUT_WR)
            assert read_all(connection) == b"and tcp"


def test_connections_beyond_what_may_be_opened_are_turned_away_until_there_is_room(room: Room) -> None:
    with tcp_server(echo_at_end) as port:
        address = ("127.0.0.1", room.publish(wanted(port), descriptors=9)[0]["host_port"])
        clients = [socket.create_connection(address) for _ in range(6)]
        assert [read_all(client) for client in clients[4:]] == [b"", b""]
        clients[0].sendall(bytes(1 << 20))  # for which there is no pipe
        for client in clients[:4]:
            client.shutdown(socket.SHUT_WR)
        assert [len(read_all(client)) for client in clients[:4]] == [1 << 20, 0, 0, 0]
        for client in clients:
            client.close()

        def served() -> bool:
            with socket.create_connection(address) as client:
                with contextlib.suppress(OSError):
                    client.sendall(b"again")
                    client.shutdown(socket.SHUT_WR)
                    return read_all(client) == b"again"
                return False

        until(served)


def test_a_client_that_is_quiet_is_forgotten(room: Room) -> None:
    peers = Peers(room.loop, patience=200_000_000)
    with udp() as server, udp() as listening:
        address = listening.getsockname()
        made = listening.dup()
        made.setblocking(False)
        relay = UdpRelay(room.loop, made, server.getsockname(), peers)
        room.start()
        before = descriptors()
        with udp(address) as client, udp(address) as other:
            assert echo(server, client, b"here") == b"here"
            assert echo(server, other, b"here") == b"here"
            until(lambda: descriptors() == before + 2)  # the clients' own
            assert echo(server, client, b"again") == b"again"
        room.close_after(relay.close)


def test_a_port_that_is_taken_is_named(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ports = Ports(room.loop)
        with pytest.raises(OSError, match="in use") as caught:
            ports.publish(wanted(81, host_ports=[number]))
        assert ports.published == []
    assert caught.value.errno == errno.EADDRINUSE
    assert caught.value.filename == f"127.0.0.1:{number}"


def test_the_first_free_port_of_a_range(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as other:
            free = other.getsockname()[1]
        ports = Ports(room.loop)
        ports.publish(wanted(80, host_ports=[number, free]))
        assert [each["host_port"] for each in ports.published] == [free]
        assert ports.taken == [wanted(80, host_ports=[free])]
        ports.close()


def test_everywhere_means_both_families_on_one_port(room: Room) -> None:
    ports = Ports(room.loop)
    ports.publish(wanted(80, host_ip=""))
    numbers = {each["host_port"] for each in ports.published}
    assert len(numbers) == 1
    assert [each["host_ip"] for each in ports.published][:1] == ["0.0.0.0"]
    ports.close()
    with socket.create_server(("127.0.0.1", numbers.pop())):
        pass
