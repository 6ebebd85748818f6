"""A request and what comes back: an answer within the time, whose status is no fault of the engine's, as defined."""

import contextlib
import http.client
import random
import socket
import time
from dataclasses import dataclass

from definition.document import Definition
from definition.exchange import Exchange, judge
from fuzz.cases import Request
from fuzz.world import Connection

SECONDS = 30.0
"""In which every answer begins, and in which it ends unless it is a stream."""
_STREAMS = frozenset({
    "ContainerAttach", "ContainerAttachWebsocket", "ContainerLogs", "ContainerStats", "ContainerWait", "ExecStart",
    "SystemEvents", "Session",
})  # fmt: skip
_HIJACKED = frozenset({"ContainerAttach", "ExecStart", "Session"})
_LOOK = 0.3
_LARGEST = 4 << 20
_FAULTS = frozenset({500, 502, 504})


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        status: of the answer; 0 without one.
        seconds: until the answer's end, or as much as was looked at.
        wrong: what there is to say about it; each is a kind and its detail.
    """

    status: int
    seconds: float
    wrong: tuple[tuple[str, str], ...] = ()


class Sender:
    """Sends requests to one engine."""

    def __init__(self, socket_path: str, definition: Definition, chance: random.Random) -> None:
        self._socket_path = socket_path
        self._definition = definition
        self._chance = chance

    def send(self, request: Request) -> Outcome:
        """Send one, and judge the answer."""
        begun = time.monotonic()
        connection = Connection(self._socket_path, SECONDS)
        headers = dict(request.headers)
        if request.operation.name in _HIJACKED and self._chance.random() < 0.5:
            headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
        try:
            with contextlib.closing(connection):
                with contextlib.suppress(BrokenPipeError):  # it was answered before it was read
                    connection.request(request.operation.method, request.target, request.data, headers)
                assert connection.sock is not None
                return self._read(request, connection, connection.sock, begun)
        except TimeoutError:
            return Outcome(0, time.monotonic() - begun, (("hang", f"no answer in {SECONDS:.0f} s"),))
        except (ConnectionError, http.client.HTTPException) as error:
            return Outcome(0, time.monotonic() - begun, (("no answer", repr(error)),))

    def _read(self, request: Request, connection: Connection, sock: socket.socket, begun: float) -> Outcome:
        answer = connection.getresponse()
        streams = request.operation.name in _STREAMS and answer.status < 300
        body = _some(sock, answer) if streams else answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        exchange = Exchange(request.operation.method, request.target, "", answer.status, headers, body)
        wrong = [("wrong answer", line) for line in judge(self._definition, exchange)]
        if answer.status in _FAULTS:
            wrong = [(f"status {answer.status}", f"{body or b''!r:.500}")]
        return Outcome(answer.status, time.monotonic() - begun, tuple(wrong))


def _some(sock: socket.socket, answer: http.client.HTTPResponse) -> bytes | None:
    """The body of a stream that ends soon; None of one that goes on."""
    sock.settimeout(_LOOK)
    parts: list[bytes] = []
    try:
        while len(parts) < 100 and (part := answer.read1(65536)):
            parts.append(part)
    except (TimeoutError, ValueError):  # a connection that was taken over is no HTTP
        return None
    return b"".join(parts) if len(parts) < 100 and answer.isclosed() else None
