"""HTTP as nobody should speak it: each is told what is wrong; no answer is a fault of the engine's, or never comes."""

import json
import re
import socket

import pytest

from .conftest import IMAGE, Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")


def exchange(server: Server, sent: bytes, *, ends: bool = True) -> bytes:
    """All that comes for what is sent; ``ends``: the client sends no more, so the engine ends, too."""
    with server.connect() as connection:
        connection.sendall(sent)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def statuses(received: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/\d\.\d (\d{3}) ", received)]


def message(received: bytes) -> str:
    """An error's; to versions before 1.24 it is told as text."""
    head, _, body = received.rpartition(b"\r\n\r\n")
    return body.decode() if b"text/plain" in head else str(json.loads(body)["message"])


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: x", *headers, "", ""]).encode() + body


def create(body: bytes, *headers: str) -> bytes:
    return request("POST /containers/create", f"Content-Length: {len(body)}", *headers, body=body)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        # versions and paths
        (request("GET /v1/_ping"), 400, ""),
        (request("GET /v9.99/_ping"), 400, "client version 9.99 is too new"),
        (request("GET /v1.23/_ping"), 400, "client version 1.23 is too old"),
        (request("GET /v" + "9" * 30_000 + ".1/_ping"), 400, ""),
        (request("GET /v..../_ping"), 400, ""),
        (request("GET //_ping"), 404, "page not found"),
        (request("GET /../_ping"), 404, "page not found"),
        (request("GET /%2e%2e/%2e%2e/etc/passwd"), 404, "page not found"),
        (request("GET /containers/%2e%2e%2f%2e%2e%2fetc/json"), 404, "No such container: ../../etc"),
        (request("GET /containers/%00/json"), 404, "No such container: \0"),
        (request("GET /containers/%ff%fe/json"), 404, "No such container"),
        (request("GET /images/%ff%fe/json"), 404, "No such image"),
        (request("GET /images/%00/json"), 404, "No such image"),
        (request("GET /volumes/%00"), 404, "no such volume"),
        (request("DELETE /volumes/..%2f.."), 404, "no such volume"),
        (request("GET /networks/%00"), 404, "not found"),
        (request("GET /exec/..%2fx/json"), 404, "No such exec instance: ../x"),
        (request("GET /_ping#fragment"), 404, "page not found"),
        (b"GET /containers/\xff/json HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad request"),
        (b"GET /containers/json?all=\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad request"),
        (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad request"),
        (request("GET http://x"), 404, "page not found"),
        (request("GET ftp://x/_ping"), 404, "page not found"),
        (request("CONNECT x:80"), 404, "page not found"),
        (request("OPTIONS *"), 404, "page not found"),
        (request("TRACE /_ping"), 404, "page not found"),
        (request("PATCH /_ping"), 404, "page not found"),
        (request("DELETE /_ping"), 404, "page not found"),
        (request("NOSUCH /_ping"), 400, "Invalid method"),
        (request("get /_ping"), 400, "Invalid method"),
        # the head
        (b"GET /_ping HTTP/1.1\r\n\r\n", 400, "Missing 'Host' header"),
        (b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Duplicate 'Host' header"),
        (b"GET /_ping HTTP/2.0\r\nHost: a\r\n\r\n", 400, "HTTP/2.0 is not spoken here"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad request"),
        (b"GET /_ping\r\n\r\n", 400, "HTTP/0.9 is not spoken here"),
        (b"GET /_ping HTTP/1.1\nHost: x\n\n", 400, "bad request"),
        (request("GET /_ping", "X : y"), 400, "Invalid header token"),
        (request("GET /_ping", "X: y\r\n folded"), 400, "bad request"),
        (request("GET /_ping", "X: a\0b"), 400, "bad request"),
        (request("GET /_ping", *(f"X-{number}: y" for number in range(200))), 431, "Too many headers"),
        (request("GET /_ping", "X: " + "y" * 70_000), 431, "65536 bytes"),
        (request("GET /" + "y" * 70_000), 431, "65536 bytes"),
        (request("GET /containers/json?" + "a=1&" * 2000), 400, "invalid query"),
        # how long the body is, and who may think otherwise
        (create(b"{}", "Transfer-Encoding: chunked"), 400, "Transfer-Encoding can't be present"),
        (create(b"{}", "Content-Length: 3"), 400, "Duplicate Content-Length"),
        (create(b"{}", "Content-Length: 2"), 400, "Duplicate Content-Length"),
        (request("POST /containers/create", "Content-Length: 2, 2", body=b"{}"), 400, "Content-Length"),
        (request("POST /containers/create", "Content-Length: +2", body=b"{}"), 400, "Content-Length"),
        (request("POST /containers/create", "Content-Length: -2", body=b"{}"), 400, "Content-Length"),
        (request("POST /containers/create", f"Content-Length: {10**22}", body=b"{}"), 400, "Content-Length"),
        (request("POST /containers/create", "Transfer-Encoding: gzip", body=b"{}"), 400, "Transfer-Encoding"),
        (request("POST /containers/create", "Transfer-Encoding: chunked, gzip"), 400, "Transfer-Encoding"),
        (request("POST /containers/create", "Transfer-Encoding: xchunked"), 400, "Transfer-Encoding"),
        (request("POST /containers/create", "Content-Length: 200", body=b"{}"), 400, "cannot be read"),
        # chunks
        *(
            (request("POST /containers/create", "Transfer-Encoding: chunked", body=body), 400, words)
            for body, words in (
                (b"-1\r\n\r\n", "chunk size"),
                (b"ffffffffffffffffff\r\n", "Chunk size overflow"),
                (b"2\r\n{}XX0\r\n\r\n", "chunk"),
                (b"2\n{}\n0\n\n", "chunk size"),
                (b"20\r\n{}", "cannot be read"),
                (b"2;name=value\r\n{}\r\n0\r\nTrailer: taken\r\n\r\n", ""),
            )
        ),
        # JSON
        (create(b"{"), 400, "invalid JSON: Input data was truncated"),
        (create(b'{"Image": "a", }'), 400, "(byte 15)"),
        (create(b'{"Image": "a"} {}'), 400, "trailing characters (byte 16)"),
        (create(b'{"Image": 5}'), 400, "Image must be a string, not a number"),
        (create(b'{"Image": "a", "Image": 5}'), 400, "Image must be a string, not a number"),
        (create(b'{"Memory": NaN}'), 400, "invalid JSON"),
        (create(b'{"Memory": 1e400}'), 400, "Number out of range"),
        (create(b'{"Memory": ' + b"9" * 5000 + b"}"), 400, "out of range"),
        (create(f'{{"Image": "{IMAGE}", "HostConfig": {{"Memory": {10**25}}}}}'.encode()), 400, "64 bits"),
        (create(b'{"Image": "\\ud800"}'), 400, "invalid JSON"),
        (create(b'{"Image": "\xff"}'), 400, "invalid JSON"),
        (create(b"[" * 100_000), 400, "invalid JSON"),
        (create(b'{"a":' * 100_000), 400, "invalid JSON"),
        (
            request("POST /containers/create", "Content-Length: 9000000", body=b" " * 5_000_000),
            413,
            "longer than 4 MiB",
        ),
        (request("GET /containers/json?filters=" + "[" * 20_000), 400, "invalid filters"),
        (create(b"{}", "Expect: a-miracle"), 417, "unknown expectation: a-miracle"),
    ],
)
def test_each_is_told_what_is_wrong(server: Server, sent: bytes, status: int, words: str) -> None:
    received = exchange(server, sent)
    assert statuses(received) == [status]
    assert words in message(received)
    assert server.ask("GET", "/_ping").status == 200


def test_an_absolute_target_is_taken(server: Server) -> None:
    for target in ("http://localhost/_ping", "HTTP://a:1/v1.41/_ping?x=1"):
        assert statuses(exchange(server, request(f"GET {target}"))) == [200]
    made = server.create("true")
    refused = request(f"POST http://x/containers/{made}/attach?stream=1&detachKeys=none")
    assert statuses(exchange(server, refused + request("GET /_ping"))) == [400, 200]
    server.remove(made)


def test_http_1_0_is_answered_without_chunks_and_closed(server: Server) -> None:
    for path in ("/_ping", "/containers/json", "/events?since=1&until=2"):
        received = exchange(server, f"GET {path} HTTP/1.0\r\n\r\n".encode(), ends=False)
        assert statuses(received) == [200]
        assert b"chunked" not in received
    assert statuses(exchange(server, b"GET /_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)) == [200, 200]


def test_who_says_close_gets_its_answer_and_the_end(server: Server) -> None:
    assert statuses(exchange(server, request("GET /_ping", "Connection: close"), ends=False)) == [200]


def test_requests_that_come_at_once_are_answered_in_their_order(server: Server) -> None:
    paths = ["/_ping", "/containers/nosuch/json", "/version", "/nowhere", "/containers/json"] * 10
    received = exchange(server, b"".join(request(f"GET {path}") for path in paths))
    assert statuses(received) == [200, 404, 200, 404, 200] * 10


@pytest.mark.parametrize(
    "path",
    [
        "/_ping", "/version", "/info", "/events", "/containers/json", "/containers/{id}/json", "/containers/{id}/top",
        "/containers/{id}/logs?stdout=1&follow=1", "/containers/{id}/stats", "/containers/{id}/export", "/kist/stats",
        "/containers/{id}/archive?path=/bin", f"/images/{IMAGE}/json", f"/images/{IMAGE}/get", "/networks", "/volumes",
        "/system/df",
    ],
)  # fmt: skip
def test_head_is_get_without_the_body_also_of_what_has_no_end(server: Server, sleeper: str, path: str) -> None:
    path = path.replace("{id}", sleeper)
    received = exchange(server, request(f"HEAD {path}"))
    assert statuses(received) == [200]
    assert received.endswith(b"\r\n\r\n")
    assert received.count(b"\r\n\r\n") == 1


@pytest.fixture(scope="module")
def sleeper(server: Server):
    made = server.run("sleep", "1000")
    yield made
    server.remove(made)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("GET /containers/{id}/archive?path=%00", 400),
        ("GET /containers/{id}/archive?path=%ff", 404),
        ("GET /containers/{id}/top?ps_args=%00", 400),
        ("GET /containers/{id}/top?ps_args=-eo%20ppid%3DPID,cmd", 400),
        ("GET /containers/{id}/top?ps_args=--nosuch", 400),
        ("GET /containers/{id}/top?ps_args=-o%20pid%3DPID,cmd", 200),
        ("POST /containers/{id}/stop?t=1.5", 400),
        ("POST /containers/{id}/kill?signal=%00", 400),
        ("POST /containers/{id}/kill?signal=99999999999999999999", 400),
        ("POST /containers/{id}/resize?h=99999&w=1", 400),
        ("POST /containers/{id}/rename?name=%00", 400),
        ("POST /containers/{id}/rename?name=%ff", 400),
        ("GET /containers/{id}/logs?stdout=1&tail=-5", 200),
        ("GET /containers/{id}/logs?stdout=1&tail=x", 200),
        ("GET /containers/{id}/logs?stdout=1&since=9999-12-31T23:59:59Z", 200),
        ("GET /containers/{id}/logs?stdout=1&since=0001-01-01T00:00:00Z", 200),
        ("GET /containers/{id}/logs?stdout=1&since=99999999999999999999h", 200),
        ("GET /containers/{id}/logs?stdout=1&until=NaN", 400),
        ("GET /containers/{id}/logs?stdout=1&since=-1.5", 200),
        ("GET /containers/json?limit=999999999999999999", 200),
        ("GET /containers/json?limit=9999999999999999999", 400),
    ],
)
def test_odd_values_of_parameters_are_taken_or_refused(server: Server, sleeper: str, query: str, status: int) -> None:
    assert statuses(exchange(server, request(query.replace("{id}", sleeper)))) == [status]
