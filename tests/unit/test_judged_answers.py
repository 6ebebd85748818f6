"""Answers beside the Engine API's definition, and the exchanges that pass by in a connection's bytes."""

import json

import pytest

from definition.document import load
from definition.exchange import Exchange, judge
from definition.passing import Passing

_JSON = {"content-type": "application/json"}
_CHANGE = {"Path": "/a", "Kind": 0}


def _judge(target: str, status: int, value: object, headers: dict[str, str] = _JSON, accept: str = "") -> list[str]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return [line.partition(" (")[0] for line in judge(load(), Exchange("GET", target, accept, status, headers, body))]


@pytest.mark.parametrize(
    ("status", "value", "headers", "expected"),
    [
        (200, [_CHANGE], _JSON, ""),
        (200, [{"Path": "/a"}], _JSON, "missing [].Kind: is required"),
        (200, [_CHANGE | {"New": 1}], _JSON, "unknown [].New: is not in the definition"),
        (200, [_CHANGE | {"Kind": 7}], _JSON, "enum [].Kind: is 7, and is one of [0, 1, 2]"),
        (200, b"{", _JSON, "body: is no JSON: Expecting property name enclosed in double quotes: line 1 column 2"),
        (200, b"", _JSON, "body: there is none"),
        (200, [], {}, "kind: there is none"),
        (200, b"[]", {"content-type": "text/html"}, "kind text/html: is none of application/json"),
        (202, [], _JSON, "status 202: b'[]'"),
        (404, {"message": "no"}, _JSON, ""),
        (404, {"error": "no"}, _JSON, "missing message: is required"),
        (400, {"message": "no"}, _JSON, ""),
        (418, {"message": "no"}, _JSON, 'status 418: b\'{"message": "no"}\''),
    ],
)
def test_an_answer_is_judged(status: int, value: object, headers: dict[str, str], expected: str):
    found = _judge("/containers/x/changes", status, value, headers)
    assert found == ([f"GET /containers/{{id}}/changes: {expected}"] if expected else [])


def test_a_body_where_none_can_be_is_wrong():
    answer = Exchange("POST", "/containers/x/start", "", 204, {}, b"x")
    assert [*judge(load(), answer)] == [
        "POST /containers/{id}/start: body: there is one: b'x' (/containers/x/start, 204)"
    ]


def test_what_the_definition_does_not_have_is_not_judged():
    assert not _judge("/kist/info", 200, {"any": "thing"})
    assert not _judge("/info", 200, {"any": "thing"}, accept="application/vnd.kist+json")
    assert not _judge("/v1.40/containers/x/changes", 200, [_CHANGE | {"Old": 1}])


# connections


def _pass(*parts: tuple[str, bytes]) -> list[tuple[str, str, int, bytes | None]]:
    """What is seen when the bytes come one by one."""
    passing, found = Passing(), []
    for who, data in parts:
        for each in (bytes([byte]) for byte in data):
            if who == "ask":
                passing.ask(each)
            else:
                found += passing.tell(each)
    return [(each.method, each.target, each.status, each.body) for each in found]


_GET = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


def test_exchanges_are_told_one_from_the_other():
    post = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    chunked = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n1\r\n\n\r\n0\r\n\r\n"
    found = _pass(("ask", _GET + post + _GET), ("tell", _OK + chunked + _OK))
    assert found == [("GET", "/_ping", 200, b"OK"), ("POST", "/a", 201, b"{}\n"), ("GET", "/_ping", 200, b"OK")]


def test_answers_without_a_body_end_with_their_head():
    head = b"HEAD /_ping HTTP/1.1\r\n\r\n"
    done = b"HTTP/1.1 204 No Content\r\n\r\n"
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    found = _pass(("ask", head + _GET), ("tell", _OK.removesuffix(b"OK") + go_on + done))
    assert found == [("HEAD", "/_ping", 200, b""), ("GET", "/_ping", 204, b"")]


@pytest.mark.parametrize("head", [b"HTTP/1.1 101 UPGRADED\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["101", "200"])
def test_what_is_no_longer_http_is_not_looked_at(head: bytes):
    found = _pass(("ask", b"POST /containers/x/attach HTTP/1.1\r\n\r\n" + _GET), ("tell", head + _OK))
    assert found == [("POST", "/containers/x/attach", int(head.split()[1]), None)]


def test_an_early_answer_is_that_of_its_request():
    begun = b"POST /build HTTP/1.1\r\nContent-Length: 100\r\n\r\nxx"
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}"
    assert _pass(("ask", begun), ("tell", refused), ("ask", b"x" * 98 + _GET), ("tell", _OK)) == [
        ("POST", "/build", 413, b"{}"),
        ("GET", "/_ping", 200, b"OK"),
    ]
