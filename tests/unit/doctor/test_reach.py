"""Questions to name servers and mirrors on the loopback device."""

import http.server
import socket
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kist.doctor.looking import reach


@contextmanager
def a_server(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """The port of a name server that answers one question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))

        def serve() -> None:
            question, who = listening.recvfrom(4096)
            if found := answer(question):
                listening.sendto(found, who)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            thread.join()


def with_code(code: int) -> Callable[[bytes], bytes]:
    return lambda question: question[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, 0, 0, 0) + question[12:]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (with_code(0), ""),
        (with_code(3), ""),
        (with_code(2), "it failed"),
        (with_code(5), "it refused"),
        (with_code(9), "it answered with code 9"),
        (lambda question: b"\0\0" + with_code(0)(question)[2:] if question[:2] != b"\0\0" else b"", "no name server"),
        (lambda _: b"x", "no name server"),
    ],
)
def test_what_a_name_server_answers(answer: Callable[[bytes], bytes], told: str) -> None:
    with a_server(answer) as port:
        found = reach.ask("127.0.0.1", "deb.debian.org", port)
    assert told in found
    assert bool(told) == bool(found)


def test_a_question_is_one_that_servers_read() -> None:
    asked: list[bytes] = []

    def answer(question: bytes) -> bytes:
        asked.append(question)
        return with_code(0)(question)

    with a_server(answer) as port:
        reach.ask("127.0.0.1", "deb.debian.org", port)
    # RFC 1035, section 4.1: recursion desired, one question; labels with their lengths; type A, class IN.
    assert asked[0][2:] == bytes.fromhex("0100 0001 0000 0000 0000") + b"\3deb\6debian\3org\0" + b"\0\1\0\1"


def test_a_server_that_is_silent_or_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_QUESTION_SECONDS", 0.1)
    with a_server(lambda _: b"") as port:
        assert reach.ask("127.0.0.1", "x", port) == "no answer in 0.1 s"
    assert reach.ask("127.0.0.1", "x", port) == "connection refused"


def test_what_is_not_done_in_time_has_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_SECONDS", 0.1)
    over = threading.Event()
    try:
        answers = reach._each(["slow", "fast"], lambda key: str(over.wait()) if key == "slow" else "done")
    finally:
        over.set()
    assert answers == {"slow": "no answer in 0.1 s", "fast": "done"}


class Mirror(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


def test_a_mirror_is_asked_for_a_file() -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with http.server.HTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        assert reach.fetch_head(opener, f"{base}/there") == ""
        assert reach.fetch_head(opener, f"{base}/gone") == "404 Not Found"
        server.shutdown()
        thread.join()
    assert reach.fetch_head(opener, f"{base}/there") == "connection refused"
