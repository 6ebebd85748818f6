"""The transport against a peer that talks byte for byte."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kist.client.endpoint import Endpoint
from kist.client.frames import STDOUT, Demultiplexer, frame
from kist.client.pump import Pump
from kist.client.transport import Connection, FileBody
from kist.client.wire import Wire
from kist.errors import Conflict, InvalidInput, KistError, NotFound, StepFailed, Unavailable, Unsupported

OK = b"HTTP/1.1 200 OK\r\n"
WireTo = Callable[[str], Wire]


@pytest.fixture
def wire_to() -> Iterator[WireTo]:
    """Makes wires and closes them."""
    made: list[Wire] = []

    def make(path: str) -> Wire:
        made.append(Wire(Endpoint(path, None)))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


def test_an_answer_may_come_byte_by_byte(peer: Any, wire_to: WireTo) -> None:
    whole = (
        OK + b'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
    )
    with peer.serve(peer.answer(*(whole[i : i + 1] for i in range(len(whole))))) as path:
        assert wire_to(path).call("GET", "/x") == {"a": 1}


def test_a_connection_serves_many_requests(peer: Any, wire_to: WireTo) -> None:
    def talk(connection: socket.socket) -> None:
        for number in range(3):
            assert peer.read_head(connection).startswith(b"GET /%d " % number)
            connection.sendall(OK + b"Content-Length: 1\r\n\r\n%d" % number)

    with peer.serve(talk) as path:
        wire = wire_to(path)
        assert [wire.call("GET", f"/{number}") for number in range(3)] == [0, 1, 2]


def test_a_connection_that_the_engine_closed_is_not_used_again(peer: Any, wire_to: WireTo) -> None:
    first = peer.answer(OK + b"Content-Length: 1\r\n\r\n1")
    with peer.serve(first, peer.answer(OK + b"Content-Length: 1\r\n\r\n2")) as path:
        wire = wire_to(path)
        assert wire.call("GET", "/") == 1
        assert select.select([wire._idle[0]._socket], [], [], 10)[0], "the peer closes"
        assert wire.call("GET", "/") == 2


def test_an_answer_without_length_ends_with_the_connection(peer: Any) -> None:
    with peer.serve(peer.answer(OK + b"\r\n", b"abc", b"def")) as path:
        connection = Connection(path)
        connection.send("GET", "/")
        assert connection.receive("GET").read() == b"abcdef"


def test_interim_answers_are_skipped(peer: Any) -> None:
    with peer.serve(peer.answer(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n")) as path:
        connection = Connection(path)
        connection.send("GET", "/")
        assert connection.receive("GET").status == 200
        connection.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        OK + b"Content-Length: 10\r\n\r\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"220 mail.example.org ESMTP\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_an_answer_that_is_cut_short_or_none_is_told(peer: Any, sent: bytes) -> None:
    with peer.serve(peer.answer(sent)) as path:
        connection = Connection(path)
        connection.send("GET", "/")
        with pytest.raises(Unavailable):
            connection.receive("GET").read()
        connection.close()


def test_bodies_go_out_counted_chunked_and_from_files(peer: Any, wire_to: WireTo, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        head = peer.read_head(connection).lower()
        if b"content-length" in head:
            size = int(head.partition(b"content-length:")[2].split()[0])
            body = b""
            while len(body) < size:
                body += connection.recv(65536)
        else:
            assert b"transfer-encoding: chunked" in head
            body = b""
            while not body.endswith(b"0\r\n\r\n"):
                body += connection.recv(65536)
        seen.append(body)
        connection.sendall(OK + b"Content-Length: 0\r\nConnection: close\r\n\r\n")

    large = os.urandom(300_000)
    file = tmp_path / "file"
    file.write_bytes(b"skip" + large)
    with peer.serve(talk, talk, talk) as path, open(file, "rb") as opened:
        wire = wire_to(path)
        wire.request("POST", "/", body=large)
        wire.request("POST", "/", body=iter([b"ab", b"", b"cde"]))
        wire.request("POST", "/", body=FileBody(opened.fileno(), 4, len(large)))
    assert seen == [large, b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", large]


def test_an_engine_that_refuses_early_is_still_heard(peer: Any, wire_to: WireTo) -> None:
    refused = b'HTTP/1.1 409 Conflict\r\nContent-Length: 21\r\n\r\n{"message":"too big"}'
    with peer.serve(peer.answer(refused)) as path, pytest.raises(Conflict, match="too big"):
        wire_to(path).request("POST", "/", body=(b"x" * 65536 for _ in range(10_000)))


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (404, b'{"message":"No such container: x"}', NotFound, "No such container: x"),
        (500, b'{"message":"m","error":"StepFailed","exit_code":7,"hint":"h"}', StepFailed, "m"),
        (400, b'{"message":"m","error":"Unheard"}', KistError, "m"),
        (400, b"plain text", InvalidInput, "plain text"),
        (404, b'{"message":"page not found"}', Unsupported, "does not know"),
        (500, b"", KistError, "status 500"),
        (500, b"[1]", KistError, "[1]"),
    ],
)
def test_errors_come_back_as_what_they_were(
    peer: Any, wire_to: WireTo, status: int, body: bytes, kind: type[KistError], text: str
) -> None:
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with peer.serve(peer.answer(head + body)) as path:
        with pytest.raises(kind) as caught:
            wire_to(path).call("GET", "/")
        assert type(caught.value) is kind
        assert text in str(caught.value)
        if kind is StepFailed:
            assert (caught.value.exit_code, caught.value.hint) == (7, "h")


def test_json_lines_come_as_they_arrive(peer: Any, wire_to: WireTo) -> None:
    with peer.serve(peer.answer(OK + b"\r\n", b'{"a":1}\n{"b"', b':2}\r\n\r\n{"c":3}')) as path:
        wire = wire_to(path)
        assert list(wire.lines(wire.request("GET", "/"))) == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_a_foreign_endpoint_is_not_started(tmp_path: Path, wire_to: WireTo) -> None:
    with pytest.raises(Unavailable, match="nobody listens"):
        wire_to(str(tmp_path / "none")).call("GET", "/")


def test_an_upgraded_stream_moves_both_ways_at_once(peer: Any, wire_to: WireTo) -> None:
    data = os.urandom(3_000_000)

    def echo(connection: socket.socket) -> None:
        peer.read_head(connection)
        # the first output comes in one piece with the head
        connection.sendall(
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + frame(STDOUT, b"hi")
        )
        while piece := connection.recv(65536):
            connection.sendall(frame(STDOUT, piece))

    with peer.serve(echo) as path:
        stream, _ = wire_to(path).hijack("/attach")
        out, demultiplexer = bytearray(), Demultiplexer()
        pump = Pump(stream, lambda piece: [out.extend(p) for _, p in demultiplexer.feed(piece)] and None)
        pump.preload(data)
        assert pump.run() is True
        stream.close()
    assert bytes(out) == b"hi" + data


def test_a_pump_reads_a_pipe_and_half_closes_at_its_end(peer: Any, wire_to: WireTo) -> None:
    def echo(connection: socket.socket) -> None:
        peer.read_head(connection)
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        received = b""
        while piece := connection.recv(65536):
            received += piece
        connection.sendall(received.upper())

    read_end, write_end = os.pipe()
    os.write(write_end, b"some words")
    os.close(write_end)
    out: list[bytes] = []
    with peer.serve(echo) as path:
        stream, _ = wire_to(path).hijack("/attach")
        pump = Pump(stream, out.append, read_input=lambda: os.read(read_end, 4), input_fd=read_end)
        assert pump.run() is True
        stream.close()
    os.close(read_end)
    assert b"".join(out) == b"SOME WORDS"


def test_a_pump_ends_when_a_watcher_says_so(peer: Any, wire_to: WireTo) -> None:
    read_end, write_end = os.pipe()

    def silent(connection: socket.socket) -> None:
        peer.read_head(connection)
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        os.write(write_end, b"!")
        connection.recv(1)

    with peer.serve(silent) as path:
        stream, _ = wire_to(path).hijack("/attach")
        assert Pump(stream, lambda _: None, watch={read_end: lambda: True}).run() is False
        stream.close()
    os.close(read_end)
    os.close(write_end)


def test_the_peers_process_is_known(peer: Any) -> None:
    with peer.serve(lambda connection: connection.recv(1)) as path:
        connection = Connection(path)
        assert connection.peer_pid() == os.getpid()
        assert connection.is_own()
        connection.close()


def test_a_get_that_a_dying_engine_took_is_sent_again(peer: Any, wire_to: WireTo) -> None:
    with peer.serve(peer.answer(), peer.answer(OK + b"Content-Length: 1\r\n\r\n1")) as path:
        assert wire_to(path).call("GET", "/") == 1


def test_a_post_is_never_sent_twice(peer: Any, wire_to: WireTo) -> None:
    with peer.serve(peer.answer()) as path, pytest.raises(Unavailable, match="without an answer"):
        wire_to(path).call("POST", "/")


def test_a_forked_process_does_not_share_connections(peer: Any, wire_to: WireTo) -> None:
    one = b"Content-Length: 1\r\n\r\n1"
    with peer.serve(peer.answer(OK + one), peer.answer(OK + one)) as path:
        wire = wire_to(path)
        wire.call("GET", "/")
        wire._pid += 1  # as it looks to a child
        kept = wire._idle[0]
        assert wire.call("GET", "/") == 1
        assert kept not in wire._idle
