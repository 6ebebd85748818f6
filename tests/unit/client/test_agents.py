"""What a build may say to an ssh agent."""

import socket
import threading

import pytest

from kist.client.agents import RequestFilter, relay
from kist.client.pump import Stream
from kist.errors import InvalidInput

LIST, SIGN, ADD, REMOVE_ALL, LOCK, EXTENSION = 11, 13, 17, 19, 22, 27
FAILURE = b"\0\0\0\1\5"


def message(kind: int, body: bytes = b"") -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body


def test_messages_are_cut_wherever_they_are_split() -> None:
    said = message(LIST) + message(SIGN, b"data") + message(ADD, b"key")
    for at in range(len(said) + 1):
        requests = RequestFilter()
        found = requests.feed(said[:at]) + requests.feed(said[at:])
        assert found == [(message(LIST), True), (message(SIGN, b"data"), True), (message(ADD, b"key"), False)]


@pytest.mark.parametrize("kind", [ADD, REMOVE_ALL, LOCK, EXTENSION, 18, 20, 21, 23, 25, 26, 0, 255])
def test_everything_but_lists_and_signatures_is_refused(kind: int) -> None:
    assert RequestFilter().feed(message(kind)) == [(message(kind), False)]


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_what_is_no_message_ends_it(size: int) -> None:
    with pytest.raises(InvalidInput):
        RequestFilter().feed(size.to_bytes(4, "big") + b"\xff")


def test_a_relay_answers_in_order_and_lets_the_agent_hear_what_it_may() -> None:
    client, theirs = socket.socketpair()
    near, agent = socket.socketpair()
    worker = threading.Thread(target=relay, args=(Stream(theirs), near))
    worker.start()
    with client, agent:
        client.sendall(message(REMOVE_ALL) + message(LIST) + message(ADD, b"x") + message(SIGN))
        heard = b""
        for answer in (b"first", b"second"):
            heard += agent.recv(100)
            agent.sendall(message(12, answer))
        expected = FAILURE + message(12, b"first") + FAILURE + message(12, b"second")
        said = b""
        while len(said) < len(expected):
            said += client.recv(100)
        assert said == expected
        assert heard == message(LIST) + message(SIGN)
        client.shutdown(socket.SHUT_RDWR)
        worker.join(10)
        assert not worker.is_alive()
        assert agent.recv(1) == b""
    theirs.close()
