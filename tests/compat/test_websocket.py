"""Attaching by websocket (RFC 6455), with frames made by hand: what a web terminal or a dashboard relies on."""

import base64
import contextlib
import hashlib
import os
import struct
import time
from collections.abc import Iterator

import pytest

from harness import until
from kist.spec.docker.versions import API_VERSION

from .conftest import Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ALL = "stream=1&stdin=1&stdout=1&stderr=1"
KEY = base64.b64encode(b"sixteen bytes!!!").decode()


class WebSocket:
    """The client's end, after its handshake."""

    def __init__(self, server: Server, container: str, query: str, version: str = "v1.51") -> None:
        self.connection = server.connect()
        path = f"/{version}/containers/{container}/attach/ws?{query}"
        self.connection.sendall(handshake(path))
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, self._rest = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}

    def _more(self) -> bytes:
        part = self.connection.recv(65536)
        assert part, "the connection ended"
        return part

    def send(self, opcode: int, data: bytes, *, final: bool = True, masked: bool = True) -> None:
        self.connection.sendall(make_frame(opcode, data, final=final, masked=masked))

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._rest += self._more()
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def receive(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload."""
        first, second = self._take(2)
        assert not second & 0x80, "a server's frames have no mask"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._take(8))
        return first & 0x0F, self._take(size)

    def receive_all(self, kind: int = BINARY) -> bytes:
        """The payload of all messages up to the server's close, which must be an orderly one."""
        parts = []
        while (got := self.receive())[0] == kind:
            parts.append(got[1])
        assert got == (CLOSE, struct.pack(">H", 1000))
        return b"".join(parts)

    def receive_until(self, words: bytes) -> bytes:
        received = b""
        while words not in received:
            received += self.receive()[1]
        return received

    def ends(self) -> bool:
        """Whether nothing comes any more, and the connection is closed."""
        return not self._rest and not self.connection.recv(1)


def make_frame(opcode: int, data: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    size = len(data)
    mask = os.urandom(4)
    bit = 0x80 if masked else 0
    if size < 126:
        length = bytes([bit | size])
    else:
        length = struct.pack(">BH", bit | 126, size) if size <= 0xFFFF else struct.pack(">BQ", bit | 127, size)
    head = bytes([(0x80 if final else 0) | opcode]) + length
    if not masked:
        return head + data
    pad = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def handshake(path: str, **changes: str | None) -> bytes:
    headers: dict[str, str | None] = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return ("\r\n".join([f"GET {path} HTTP/1.1", *lines]) + "\r\n\r\n").encode()


@contextlib.contextmanager
def joined(server: Server, container: str, query: str = ALL, version: str = "v1.51") -> Iterator[WebSocket]:
    made = WebSocket(server, container, query, version)
    with made.connection:
        assert made.status == 101
        yield made


@pytest.fixture
def created(server: Server) -> Iterator[str]:
    """A container whose input is one client's, and that prints it on both streams."""
    made = server.create("sh", "-c", "cat; echo done >&2", OpenStdin=True, StdinOnce=True)
    yield made
    server.remove(made)


def test_the_handshake_is_answered_as_the_standard_says(server: Server, created: str) -> None:
    with joined(server, created) as client:
        accept = base64.b64encode(hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        assert client.headers["sec-websocket-accept"] == accept.decode()
        assert client.headers["upgrade"] == "websocket"
        assert client.headers["api-version"] == API_VERSION


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"Upgrade": None}, 400, "not a websocket handshake"),
        ({"Upgrade": "tcp"}, 400, "not a websocket handshake"),
        ({"Connection": "close"}, 400, "not a websocket handshake"),
        ({"Sec_WebSocket_Version": "99"}, 426, "only version 13"),
        ({"Sec_WebSocket_Version": None}, 426, "only version 13"),
        ({"Sec_WebSocket_Key": "short"}, 400, "16 bytes"),
        ({"Sec_WebSocket_Key": None}, 400, "16 bytes"),
        ({"Origin": "https://example.org"}, 403, "a browser's page"),
        ({"Origin": "http://x"}, 403, "a browser's page"),
        ({"Origin": "null"}, 403, "a browser's page"),
    ],
)
def test_what_is_no_handshake_or_a_browsers_is_refused(
    server: Server, created: str, changes: dict[str, str | None], status: int, words: str
) -> None:
    with server.connect() as connection:
        connection.sendall(handshake(f"/containers/{created}/attach/ws?{ALL}", **changes))
        received = connection.recv(65536)
    assert int(received.split()[1]) == status
    assert words in received.decode()
    assert (b"Sec-WebSocket-Version: 13" in received) == (status == 426)


def test_there_must_be_such_a_container(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(handshake("/containers/nosuch/attach/ws?stream=1"))
        received = connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 404")
    assert b"No such container: nosuch" in received


def test_the_clients_close_ends_the_input_and_the_output_goes_on(server: Server, created: str) -> None:
    with joined(server, created) as client:
        server.good("POST", f"/containers/{created}/start")
        client.send(BINARY, b"binary ")
        client.send(TEXT, "text é ".encode())
        client.send(TEXT, b"in ", final=False)
        client.send(0, b"pieces\n")
        client.send(CLOSE, struct.pack(">H", 1000))
        printed = client.receive_all()
        assert client.ends()
    assert sorted(printed.splitlines()) == sorted(["binary text é in pieces".encode(), b"done"])


def test_a_megabyte_goes_in_and_comes_out(server: Server, created: str) -> None:
    with joined(server, created) as client:
        server.good("POST", f"/containers/{created}/start")
        client.send(BINARY, b"x" * 1_000_000)
        client.send(CLOSE, b"")
        assert client.receive_all() == b"x" * 1_000_000 + b"done\n"


def test_a_ping_is_answered(server: Server, created: str) -> None:
    with joined(server, created) as client:
        client.send(PING, b"are you there")
        assert client.receive() == (PONG, b"are you there")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (make_frame(BINARY, b"", final=True)[:1] + b"\x7f" + b"\xff" * 8, 1009),
        (make_frame(TEXT, b"\xff\xfe"), 1007),
        (make_frame(0, b"continues nothing"), 1002),
        (make_frame(3, b"no such kind"), 1002),
        (make_frame(PING, b"x" * 126), 1002),
        (b"\xf2\x81abcdx", 1002),
    ],
    ids=["too long", "no UTF-8", "continues nothing", "unknown", "long ping", "reserved bits"],
)
def test_what_breaks_the_protocol_ends_it_with_a_reason(server: Server, created: str, sent: bytes, code: int) -> None:
    with joined(server, created) as client:
        client.connection.sendall(sent)
        kind, payload = client.receive()
        assert (kind, struct.unpack(">H", payload[:2])[0]) == (CLOSE, code)
    assert server.ask("GET", f"/containers/{created}/json").value["State"]["Status"] == "created"


def test_messages_were_text_before_api_1_28(server: Server) -> None:
    made = server.create("sh", "-c", "echo -e 'h\\xc3\\xa9 \\xff'")
    with joined(server, made, "stream=1&stdout=1", version="v1.27") as client:
        server.good("POST", f"/containers/{made}/start")
        assert client.receive_all(TEXT).decode() == "hé \N{REPLACEMENT CHARACTER}\n"
    server.remove(made)


def test_the_streams_are_chosen_from_api_1_42_on(server: Server) -> None:
    made = server.create("sh", "-c", "echo out; echo err >&2")
    with (
        joined(server, made, "stream=1&stdout=1") as chosen,
        joined(server, made, "stream=1&stdout=1", version="v1.41") as everything,
    ):
        server.good("POST", f"/containers/{made}/start")
        assert chosen.receive_all() == b"out\n"
        assert sorted(everything.receive_all().split()) == [b"err", b"out"]
    server.remove(made)


def test_the_log_comes_first_and_alone_without_stream(server: Server) -> None:
    made = server.run("sh", "-c", "echo before; cat; echo after", OpenStdin=True)
    until(lambda: b"before" in server.ask("GET", f"/containers/{made}/logs?stdout=1").body)
    with joined(server, made, f"logs=1&{ALL}") as client:
        client.receive_until(b"before\n")
    with joined(server, made, "logs=1&stdout=1") as client:
        assert client.receive_all() == b"before\n"
    with joined(server, made, "stdout=1") as client:
        assert client.receive_all() == b""
    server.remove(made)


def test_one_of_several_clients_says_good_bye_and_the_others_stay(server: Server) -> None:
    made = server.run("sh", "-c", "read line; echo $line", Tty=True, OpenStdin=True)
    with joined(server, made) as leaving, joined(server, made) as staying:
        leaving.send(CLOSE, struct.pack(">H", 1001))
        assert leaving.receive()[0] == CLOSE
        assert leaving.ends()
        staying.send(BINARY, b"heard\r")
        assert staying.receive_all().count(b"heard") == 2  # the terminal's echo, and the command's
    server.remove(made)


@pytest.mark.parametrize(
    ("query", "keys"),
    [("detachKeys=ctrl-p,x", b"\x10x"), ("detachKeys=q", b"q")],
)
def test_the_keys_that_detach_leave_the_container_running(server: Server, query: str, keys: bytes) -> None:
    made = server.run("sleep", "1000", Tty=True, OpenStdin=True)
    with joined(server, made, f"{ALL}&{query}") as client:
        client.send(BINARY, b"typed")
        client.receive_until(b"typed")
        client.send(BINARY, keys + b"never")
        assert client.receive_all() == b""
    assert server.good("GET", f"/containers/{made}/json")["State"]["Running"]
    filters = f'{{"container":["{made}"],"event":["detach"]}}'
    events = server.ask("GET", f"/events?since=1&until={time.time()}&filters={filters}")
    assert len(events.lines) == 1
    server.remove(made)


def test_clients_that_vanish_leave_nothing_behind(server: Server) -> None:
    made = server.run("sleep", "1000", OpenStdin=True)
    server.good("GET", "/containers/json")
    before = server.descriptors
    for _ in range(5):
        idle = WebSocket(server, made, ALL)
        stuffed = WebSocket(server, made, ALL)
        stuffed.connection.settimeout(0.2)
        with contextlib.suppress(TimeoutError):  # nobody reads it in the container
            for _ in range(20):
                stuffed.send(BINARY, b"x" * 100_000)
        idle.connection.close()
        stuffed.connection.close()
    assert server.settles_at(before)
    server.remove(made)


def test_a_client_that_does_not_read_holds_nobody_up(server: Server) -> None:
    made = server.create("sh", "-c", "yes | head -c 4000000")
    with joined(server, made, "stream=1&stdout=1") as lazy:
        server.good("POST", f"/containers/{made}/start")
        assert server.ask("GET", "/_ping").status == 200
        assert len(lazy.receive_all()) == 4_000_000
    server.remove(made)
