"""Rows that are taken by plain HTTP over the engines' sockets: what one request costs, and what many leave behind."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.engines import IMAGE, Engine
from bench.measure import pss
from bench.stage import Side, Stage

PINGS = 2_000
REQUESTS = 100_000
SESSIONS = 1_000


class Connection(http.client.HTTPConnection):
    """One connection to an engine's socket, kept alive."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=300)
        self._path = path

    def connect(self) -> None:
        """As http.client has it, to a Unix socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(300)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The body of an answer that must be a good one."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.getresponse()
        read = answer.read()
        if answer.status >= 400:
            raise OSError(f"{method} {path}: {answer.status} {read[:200]!r}")
        return read


def _with_socket(stage: Stage) -> list[Engine]:
    return [engine for engine in stage.engines if engine.socket]


@contextmanager
def ping(stage: Stage) -> Iterator[list[Side]]:
    """Many pings over one connection, one after the other."""

    def side(engine: Engine) -> Side:
        connection = opened.enter_context(socket.socket(socket.AF_UNIX))
        connection.connect(engine.socket)

        def sample() -> float:
            start = time.perf_counter()
            for _ in range(PINGS):  # not by http.client, which takes longer than the engine
                connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: bench\r\n\r\n")
                received = b""
                while not received.endswith(b"\r\n\r\nOK"):
                    received += connection.recv(4096)
            return 1000 * (time.perf_counter() - start)

        return Side(engine.name, sample)

    with contextlib.ExitStack() as opened:
        yield [side(engine) for engine in _with_socket(stage)]


def listing(many: int) -> Any:
    """The list of so many containers; they are only made: the list is the same, and the machine stays quiet."""

    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        def side(engine: Engine) -> Side:
            connection = Connection(engine.socket)
            opened.callback(connection.close)
            body = {"Image": IMAGE, "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "none"}}
            for _ in range(100 if stage.quick else many):
                made = json.loads(connection.ask("POST", "/v1.41/containers/create", body))["Id"]
                opened.callback(connection.ask, "DELETE", f"/v1.41/containers/{made}?force=1")

            def sample() -> float:
                start = time.perf_counter()
                connection.ask("GET", "/v1.41/containers/json?all=1")
                return 1000 * (time.perf_counter() - start)

            return Side(engine.name, sample)

        with contextlib.ExitStack() as opened:
            yield [side(engine) for engine in _with_socket(stage)]

    return sides


def _attach_and_go(engine: Engine, container: str) -> None:
    """One attached session: it sends a line, hears it, and goes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(300)
        client.connect(engine.socket)
        path = f"/v1.41/containers/{container}/attach?stream=1&stdin=1&stdout=1"
        client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += client.recv(4096)
        client.sendall(b"line\n")
        while not received.endswith(b"line\n"):
            received += client.recv(4096)


@contextmanager
def memory(stage: Stage) -> Iterator[list[Side]]:
    """How much the engine has grown after many requests and sessions, beside what it was after a tenth of them."""
    connections = []

    def side(engine: Engine) -> Side:
        connection = Connection(engine.socket)
        connections.append(connection)
        body = {
            "Image": IMAGE, "Cmd": ["cat"], "OpenStdin": True, "HostConfig": {"NetworkMode": "none"},
        }  # fmt: skip
        made = json.loads(connection.ask("POST", "/v1.41/containers/create?name=remembered", body))["Id"]
        connection.ask("POST", f"/v1.41/containers/{made}/start")
        paths = ("/_ping", "/v1.41/version", "/v1.41/containers/json", f"/v1.41/containers/{made}/json")

        def work(parts: int) -> None:
            for number in range(REQUESTS // (100 if stage.quick else 10) * parts):
                connection.ask("GET", paths[number % len(paths)])
            for _ in range(SESSIONS // (100 if stage.quick else 10) * parts):
                _attach_and_go(engine, made)

        def sample() -> float:
            work(1)
            [daemon] = engine.daemons()[:1]
            before = pss(daemon)
            work(9)
            return pss(daemon) - before

        return Side(engine.name, sample)

    kist = [engine for engine in stage.engines if engine.name == "kist"]
    try:
        yield [side(engine) for engine in kist]
    finally:
        for engine in kist:
            engine.run("rm", "-f", "remembered")
        for connection in connections:
            connection.close()
