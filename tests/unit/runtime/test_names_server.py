"""The name server of a container, with its sockets, and servers that it asks."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dns import Room, question, records, response, spelt
from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime.names import forward, message
from kist.runtime.names.registry import Registry
from kist.runtime.names.resolve import Resolver
from kist.runtime.names.server import Server
from kist.runtime.names.upstreams import Upstreams

Answer = Callable[[bytes], list[bytes]]


def bound(kind: int, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    if kind == socket.SOCK_STREAM:
        made.listen(8)
    return made


def _two_of_one_port() -> tuple[socket.socket, socket.socket]:
    while True:
        udp = bound(socket.SOCK_DGRAM)
        try:
            return udp, bound(socket.SOCK_STREAM, udp.getsockname()[1])
        except OSError:  # somebody else has that one
            udp.close()


class Upstream:
    """A name server on a port of its own; ``answer`` gives what it says to a question."""

    def __init__(self, loop: events.Loop, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.udp, self.tcp = _two_of_one_port()
        self.port = self.udp.getsockname()[1]
        self.streamed: list[bytes] = []
        self._loop = loop
        loop.watch(self.udp.fileno(), events.READ, self.hear)
        loop.watch(self.tcp.fileno(), events.READ, self._accept)

    def hear(self, _: int) -> None:
        data, client = self.udp.recvfrom(4096)
        self.asked.append(data)
        for each in self.answer(data):
            self.udp.sendto(each, client)

    def _accept(self, _: int) -> None:
        descriptor, _address = self.tcp._accept()  # type: ignore[attr-defined]
        connection = socket.socket(fileno=descriptor)
        connection.setblocking(False)
        self._loop.watch(descriptor, events.READ, lambda _: self._read(connection))

    def _read(self, connection: socket.socket) -> None:
        self._loop.forget(connection.fileno())
        data = connection.recv(4096)[2:]
        self.streamed.append(data)
        for each in self.answer(data):
            connection.send(len(each).to_bytes(2, "big") + each)
        connection.close()

    def close(self) -> None:
        for each in (self.udp, self.tcp):
            self._loop.forget(each.fileno())
            each.close()


class House:
    """A server, whom it asks, and clients."""

    def __init__(self, root: Path) -> None:
        self.room = Room(root)
        self.loop = events.Loop()
        self.upstream = Upstream(self.loop, lambda data: [good(data)])
        self.udp, self.tcp = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
        resolv_conf = root / "resolv.conf"
        resolv_conf.write_text("nameserver 127.0.0.1\n")
        self.upstreams = Upstreams(str(resolv_conf), self.upstream.port)
        resolver = Resolver(self.loop, Registry(str(root / "names.json")), self.upstreams)
        self.server = Server(self.loop, self.udp, self.tcp, resolver)
        self.clients: list[socket.socket] = []

    def client(self, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        made.connect((self.udp if kind == socket.SOCK_DGRAM else self.tcp).getsockname())
        made.setblocking(False)
        self.clients.append(made)
        return made

    def ask(self, data: bytes) -> bytes:
        client = self.client()
        client.send(data)
        return self.receive(client)

    def receive(self, client: socket.socket) -> bytes:
        """What the client hears next, while everybody is at work."""
        for _ in range(2000):
            try:
                return client.recv(1 << 16)
            except BlockingIOError:
                self.loop.turn(1)
        raise AssertionError("no answer")

    def receive_all(self, client: socket.socket, count: int) -> list[bytes]:
        """So many messages of a stream."""
        data, found = b"", []
        while len(found) < count:
            data += self.receive(client)
            while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2], "big"):
                end = 2 + int.from_bytes(data[:2], "big")
                found.append(data[2:end])
                data = data[end:]
        return found

    def close(self) -> None:
        self.server.close()
        self.upstream.close()
        for each in (self.udp, self.tcp, *self.clients):
            each.close()
        self.loop.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.room.enter("mynet", "1", ["db", "www"], ["10.1.0.2"])
    house.room.enter("mynet", "2", ["web", "www"], ["10.1.0.3", "fd00::3"])
    house.room.tell("mynet")
    yield house
    house.close()


def good(data: bytes, ttl: int = 300) -> bytes:
    return response(data, (b"\xc0\x0c", message.A, ttl, b"\x01\x02\x03\x04"))


def code(data: bytes) -> int:
    return message.response_code(data)


def test_a_container_of_the_network_is_found(house: House) -> None:
    assert records(house.ask(question("DB"))) == [b"\x0a\1\0\2"]
    assert records(house.ask(question("web.mynet", message.AAAA))) == [b"\xfd" + bytes(14) + b"\3"]
    assert house.upstream.asked == []


def test_other_types_of_a_known_name_there_are_none_of(house: House) -> None:
    for kind in (message.AAAA, 15, 65):
        found = house.ask(question("db", kind))
        assert (code(found), records(found)) == (message.NOERROR, [])
    assert house.upstream.asked == []


def test_several_addresses_take_turns(house: House) -> None:
    firsts = [records(house.ask(question("www")))[0] for _ in range(6)]
    assert firsts[0] != firsts[1]
    assert firsts[:2] * 3 == firsts


def test_addresses_are_asked_for_their_names(house: House) -> None:
    found = house.ask(question("2.0.1.10.in-addr.arpa", message.PTR))
    assert records(found) == [message.encode_name("db.mynet")]
    assert house.ask(question("9.0.1.10.in-addr.arpa", message.PTR))[3] & 0xF == message.NOERROR
    assert len(house.upstream.asked) == 1  # nobody's here


def test_what_changes_is_seen_by_the_next_question(house: House) -> None:
    for number in range(2, 12):
        house.room.enter("mynet", "3", ["new"], [f"10.2.0.{number}"])
        assert records(house.ask(question("new"))) == [bytes((10, 2, 0, number))]
        (house.room.root / "mynet" / "3").unlink()
        house.upstream.answer = lambda data: [response(data, code=message.NXDOMAIN)]
        assert code(house.ask(question("new"))) == message.NXDOMAIN


def test_others_are_asked_once_and_the_answer_is_kept(house: House) -> None:
    first = house.ask(question("Example.org", number=9))
    assert first == good(question("Example.org", number=9))
    assert house.ask(question("example.ORG", number=10)) == good(question("example.ORG", number=10))
    again = question("example.ORG", number=11)
    assert house.ask(again) == good(again)
    assert len(house.upstream.asked) == 1
    assert house.upstream.asked[0][2:] == question("Example.org")[2:]


def test_an_answer_that_is_good_for_no_time_is_not_kept(house: House) -> None:
    house.upstream.answer = lambda data: [good(data, 0)]
    house.ask(question("a.b"))
    house.ask(question("a.b"))
    assert len(house.upstream.asked) == 2


def test_who_asks_the_same_at_the_same_time_shares_the_answer(house: House) -> None:
    house.upstream.answer = lambda _: []
    clients = [house.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(question("a.b", number=number))
    while not house.upstream.asked:
        house.loop.turn(1)
    for _ in range(5):
        house.loop.turn(0)
    assert len(house.upstream.asked) == 1
    house.upstream.answer = lambda data: [good(data)]  # to the second try
    assert [house.receive(client)[:2] for client in clients] == [bytes((0, number)) for number in range(5)]
    assert len(house.upstream.asked) == 2
    assert house.upstream.asked[0][:2] != house.upstream.asked[1][:2] or len(set(house.upstream.asked)) == 2


def test_lies_are_not_heard(house: House) -> None:
    def lie(data: bytes) -> list[bytes]:
        other = bytes((data[0] ^ 1, data[1]))
        wrong = response(question("evil.example"), (b"\xc0\x0c", message.A, 300, bytes(4)))
        return [other + good(data)[2:], data[:2] + wrong[2:], b"x", data, good(data)]

    house.upstream.answer = lie
    assert records(house.ask(question("a.b"))) == [b"\1\2\3\4"]


def test_the_next_server_is_asked_where_one_does_not_know(house: House) -> None:
    second = Upstream(house.loop, lambda data: [good(data)])
    house.upstreams.servers = lambda _: [  # type: ignore[method-assign]  # two ports of one address
        (socket.AF_INET, ("127.0.0.1", port)) for port in (house.upstream.port, second.port)
    ]
    house.upstream.answer = lambda data: [response(data, code=message.REFUSED)]
    assert records(house.ask(question("a.b"))) == [b"\1\2\3\4"]
    house.upstream.close()  # now nobody listens there
    assert records(house.ask(question("b.c"))) == [b"\1\2\3\4"]
    second.answer = lambda data: [response(data, code=message.SERVFAIL)]
    assert code(house.ask(question("c.d"))) == message.SERVFAIL
    second.close()


def test_where_nothing_is_passed_on_nothing_is(house: House) -> None:
    house.room.tell("mynet", forwards=False)
    assert code(house.ask(question("example.org"))) == message.SERVFAIL
    assert records(house.ask(question("db"))) == [b"\x0a\1\0\2"]
    assert house.upstream.asked == []
    house.room.tell("mynet")
    house.upstream.answer = lambda data: [good(data)]
    assert records(house.ask(question("example.org"))) == [b"\1\2\3\4"]


def test_a_truncated_answer_is_passed_on_and_asked_for_over_tcp(house: House) -> None:
    large = [(b"\xc0\x0c", message.A, 300, bytes(4))] * 200

    def answer(data: bytes) -> list[bytes]:
        if house.upstream.streamed:
            return [response(data, *large)]
        short = bytearray(good(data))
        short[2] |= 2
        return [bytes(short)]

    house.upstream.answer = answer
    assert message.is_truncated(house.ask(question("a.b")))
    client = house.client(socket.SOCK_STREAM)
    client.send(len(question("a.b")).to_bytes(2, "big") + question("a.b"))
    (found,) = house.receive_all(client, 1)
    assert found == response(question("a.b"), *large)
    assert len(house.upstream.streamed) == 1


def test_an_answer_that_the_client_did_not_ask_to_be_so_large_is_cut_off(house: House) -> None:
    house.upstream.answer = lambda data: [response(data, *[(b"\xc0\x0c", message.A, 300, bytes(4))] * 200)]
    found = house.ask(question("a.b"))
    assert len(found) <= 512
    assert message.is_truncated(found)


def test_many_questions_of_one_stream_are_answered(house: House) -> None:
    client = house.client(socket.SOCK_STREAM)
    asked = [question("db", number=number) for number in range(500)]
    asked[250] = question("example.org", number=250)
    whole = b"".join(len(each).to_bytes(2, "big") + each for each in asked)
    for start in range(0, len(whole), 701):
        client.send(whole[start : start + 701])
        house.loop.turn(0)
    found = house.receive_all(client, len(asked))
    assert sorted(int.from_bytes(each[:2], "big") for each in found) == list(range(500))


def test_a_stream_that_takes_no_answers_is_not_heard_meanwhile(house: House) -> None:
    deaf = house.client(socket.SOCK_STREAM)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    house.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    whole = (len(question("db")).to_bytes(2, "big") + question("db")) * 4000
    taken, idle = 0, 0
    while idle < 50:
        try:
            taken += deaf.send(whole)
            idle = 0
        except BlockingIOError:
            idle += 1
        house.loop.turn(0)
    assert records(house.ask(question("db"))) == [b"\x0a\1\0\2"]
    before = taken
    house.receive(deaf)
    while taken == before:
        house.receive(deaf)
        try:
            taken += deaf.send(whole)
        except BlockingIOError:
            house.loop.turn(0)


def test_streams_are_bounded_and_the_one_that_was_quiet_longest_goes(house: House) -> None:
    clients = []
    for _ in range(40):
        clients.append(house.client(socket.SOCK_STREAM))
        house.loop.turn(1)
    assert house.receive(clients[0]) == b""
    clients[-1].send(b"\0\x14" + question("db"))
    assert records(house.receive_all(clients[-1], 1)[0]) == [b"\x0a\1\0\2"]


def test_nonsense_gets_an_answer_or_none_and_hurts_nobody(house: House) -> None:
    client = house.client()
    client.send(b"")
    client.send(b"too short")
    client.send(response(question("db")))
    client.send(question("db")[:-1])
    assert code(house.receive(client)) == message.FORMERR
    client.send(question("db", flags=0x2800))
    assert code(house.receive(client)) == message.NOTIMP
    assert records(house.ask(question("db"))) == [b"\x0a\1\0\2"]


def test_a_question_of_another_class_is_not_ours(house: House) -> None:
    chaos = question("db")[:-2] + b"\0\3"
    house.upstream.answer = lambda data: [response(data, code=message.REFUSED)]
    assert code(house.ask(chaos)) == message.REFUSED
    assert spelt("db") in house.upstream.asked[0]


# An address that nothing is sent to: refused at once, as all are on a machine that has lost its network.
@pytest.mark.parametrize("servers", [[], ["255.255.255.255"]])
def test_servers_that_vanish_while_many_wait_cost_answers_and_nothing_else(
    house: House, servers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long the test waits for its turn meanwhile: who is tried again has been asked twice.
    monkeypatch.setattr(forward, "_PATIENCE", (600.0,))
    house.loop.forget(house.upstream.udp.fileno())
    clients = [house.client() for _ in range(16)]  # each has room for the answers to its thirty
    for number in range(480):
        clients[number % 16].send(question(f"n{number}.example.org", number=number))
        if number % 32 == 31:
            house.loop.turn(1)
    house.room.tell("mynet", servers=servers)
    assert records(house.ask(question("db"))) == [b"\x0a\1\0\2"]  # by which the change is seen
    house.loop.watch(house.upstream.udp.fileno(), events.READ, house.upstream.hear)
    answers = [house.receive(clients[number % 16]) for number in range(480)]
    assert {int.from_bytes(each[:2], "big") for each in answers} == set(range(480))
    assert [code(each) for each in answers].count(message.SERVFAIL) == 480 - len(house.upstream.asked)
    assert records(house.ask(question("db"))) == [b"\x0a\1\0\2"]


def test_a_stream_that_is_reset_with_a_question_on_its_way_costs_nothing_else(house: House) -> None:
    client = house.client(socket.SOCK_STREAM)
    asked = question("db")
    client.send((len(asked).to_bytes(2, "big") + asked) * 3)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()  # a reset
    assert records(house.ask(asked)) == [b"\x0a\1\0\2"]
    house.loop.turn(0)
    house.loop.turn(0)
    assert records(house.ask(asked)) == [b"\x0a\1\0\2"]


def test_an_error_that_nobody_expects_costs_the_questions_it_meets(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    (house.room.root / "names.json").write_text('{"networks": 7}')
    lost, stream = house.client(), house.client(socket.SOCK_STREAM)
    lost.send(question("db"))
    stream.send(len(question("db")).to_bytes(2, "big") + question("db"))
    assert house.receive(stream) == b""
    house.room.tell("mynet")
    assert records(house.ask(question("db"))) == [b"\x0a\1\0\2"]
    assert "'int' object is not iterable" in capsys.readouterr().err
