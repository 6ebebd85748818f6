"""Rows on published ports in user space: what carries them, alone, between a client and a server on loopback.

Kist's side is the relay that a container's monitor is, in a process of its own; Docker's is the program that its daemon
starts for each published port. Servers are processes of their own too: ``python -m bench.proxies sink``.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from bench.measure import CommandError
from bench.stage import Side, Stage

GIGABYTES = 4
CONNECTIONS = 1000
_HERE = "127.0.0.1"
_CHUNK = 1 << 20


def _sink(listening: socket.socket) -> None:
    """Take what comes, and answer when it ends: then everything has arrived."""
    room = bytearray(_CHUNK)
    while True:
        with listening.accept()[0] as connection:
            while connection.recv_into(room):
                pass
            with contextlib.suppress(ConnectionError):  # somebody who only looked whether it listens
                connection.sendall(b"done")


def _greeter(listening: socket.socket) -> None:
    """Answer a short question with a short answer, as a web server would."""
    while True:
        with listening.accept()[0] as connection, contextlib.suppress(ConnectionError):
            connection.recv(_CHUNK)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello\n")


def _relay(port: int, target: int) -> None:
    from kist.runtime.loop import Loop  # noqa: PLC0415 - the peers can be measured where Kist cannot
    from kist.runtime.ports import Ports  # noqa: PLC0415

    loop = Loop()
    wanted = {"port": target, "protocol": "tcp", "host_ip": _HERE, "host_ports": [port], "address": _HERE}
    Ports(loop).publish(wanted)
    while True:
        loop.turn()


def _free_port() -> int:
    with socket.create_server((_HERE, 0)) as found:
        number: int = found.getsockname()[1]
        return number


@contextmanager
def _process(argv: list[str], port: int) -> Iterator[int]:
    """A process that listens on the port, within the block."""
    # docker-proxy reports its start on descriptor 3, and does not mind that nobody reads it.
    source = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, *sys.path])}
    shell = ["sh", "-c", 'exec "$@" 3>/dev/null', "sh", *argv]
    running = subprocess.Popen(shell, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((_HERE, port)).close()
                break
            except ConnectionRefusedError:
                if running.poll() is not None or time.monotonic() > deadline:
                    raise CommandError(f"{argv[0]} does not listen") from None
                time.sleep(0.01)
        yield port
    finally:
        running.kill()
        running.wait()


def _own(what: str, port: int, *more: int) -> AbstractContextManager[int]:
    return _process([sys.executable, "-P", "-m", "bench.proxies", what, str(port), *map(str, more)], port)


def _docker_proxy(program: str, port: int, target: int) -> AbstractContextManager[int]:
    options = ("-proto", "tcp", "-host-ip", _HERE, "-host-port", str(port))
    return _process([program, *options, "-container-ip", _HERE, "-container-port", str(target)], port)


def _transfer(port: int) -> float:
    """Seconds that some gigabytes take on one connection, until the last byte has arrived."""
    data = bytes(_CHUNK)
    start = time.perf_counter()
    with socket.create_connection((_HERE, port)) as connection:
        for _ in range(GIGABYTES << 10):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        if connection.recv(10) != b"done":
            raise CommandError("the transfer broke off")
    return time.perf_counter() - start


def _connections(port: int) -> float:
    """Milliseconds of many short connections, one after the other."""
    start = time.perf_counter()
    for _ in range(CONNECTIONS):
        with socket.create_connection((_HERE, port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while connection.recv(_CHUNK):
                pass
    return 1000 * (time.perf_counter() - start)


def _row(server: str, take: Callable[[int], float]) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        docker = next((engine for engine in stage.engines if engine.name == "docker"), None)
        program = shutil.which("docker-proxy", path="/usr/sbin:/usr/bin:/sbin:/bin") if docker is not None else None
        with ExitStack() as stack:
            target = stack.enter_context(_own(server, _free_port()))
            found = []
            if stage.kist:
                port = stack.enter_context(_own("relay", _free_port(), target))
                found.append(Side("kist", lambda: take(port)))
            if program is not None:
                other = stack.enter_context(_docker_proxy(program, _free_port(), target))
                found.append(Side("docker", lambda: take(other)))
            yield found

    return sides


transfer = _row("sink", _transfer)
connections = _row("greeter", _connections)


def _main(what: str, port: int, target: int = 0) -> None:
    if what == "relay":
        _relay(port, target)
        return
    serve = {"sink": _sink, "greeter": _greeter}[what]
    with socket.create_server((_HERE, port), backlog=512) as listening:
        serve(listening)


if __name__ == "__main__":
    _main(sys.argv[1], *map(int, sys.argv[2:]))
