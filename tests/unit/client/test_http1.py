"""HTTP/1.1 as text: heads, targets, chunks; broken ones are refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.client.http1 import Dechunker, body_length, parse_head, quote, request_head, target
from kist.errors import Unavailable


def chunked(payloads: list[bytes], *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in payloads if p)
    return chunks + b"0\r\n" + trailer + b"\r\n"


@given(st.lists(st.binary(max_size=300), max_size=6), st.lists(st.integers(0, 2000), max_size=8))
def test_chunks_come_out_whole_wherever_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    data = chunked(payloads, extension=b";name=value", trailer=b"X-Sum: 1\r\n") + b"HTTP/1.1 next"
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    dechunker, out = Dechunker(), b""
    for begin, end in itertools.pairwise(edges):
        out += dechunker.feed(data[begin:end])
    assert dechunker.done
    assert out == b"".join(payloads)
    assert dechunker.rest == b"HTTP/1.1 next"


@pytest.mark.parametrize("data", [b"zz\r\n", b"\r\n", b"-1\r\n", b"3\r\nabcX\r\n", b"1" * 5000, b"0x3\r\nabc\r\n"])
def test_broken_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(Unavailable, match="not HTTP"):
        Dechunker().feed(data)


def test_a_head_is_read_with_names_in_lower_case() -> None:
    head = parse_head(b"HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\nX-A: 1\r\nx-a:2")
    assert (head.status, head.reason) == (404, "Not Found")
    assert head.headers == {"content-type": "a/b", "x-a": "1, 2"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH",
        b"HTTP/1.1 20 OK",
        b"HTTP/2 200",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n a: b",
    ],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    with pytest.raises(Unavailable, match="not HTTP"):
        parse_head(data)


@pytest.mark.parametrize(
    ("method", "head", "length"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5", 5),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", -1),
        ("GET", b"HTTP/1.1 200 OK", None),
        ("GET", b"HTTP/1.1 204 No Content", 0),
        ("GET", b"HTTP/1.1 304 Not Modified", 0),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5", 0),
        ("POST", b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp", 0),
    ],
)
def test_how_long_a_body_is(method: str, head: bytes, length: int | None) -> None:
    assert body_length(method, parse_head(head)) == length


def test_a_length_that_is_none_is_refused() -> None:
    with pytest.raises(Unavailable):
        body_length("GET", parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: -5"))


def test_a_target_has_its_query_quoted_and_none_left_out() -> None:
    assert target("/a", [("x", "a b&c"), ("y", None), ("z", 1), ("é", "ü/:")]) == "/a?x=a%20b%26c&z=1&é=%C3%BC/:"
    assert target("/a") == "/a"


@given(st.text())
def test_quoting_leaves_only_harmless_characters(text: str) -> None:
    from urllib.parse import unquote

    if text.isprintable():
        assert unquote(quote(text)) == text
    try:
        assert quote(text).isascii()
        assert not set(quote(text)) & set(" ?#&\r\n")
    except UnicodeEncodeError:
        assert any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize("path", ["/a\r\nX: y", "/a\nb"])
def test_a_line_end_cannot_smuggle_a_header(path: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        request_head("GET", path, [])


def test_a_request_head() -> None:
    assert request_head("GET", "/x", [("A", "b")]) == b"GET /x HTTP/1.1\r\nHost: kist\r\nA: b\r\n\r\n"
