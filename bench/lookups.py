"""The row on names: how long a container's look-ups of another one's name take, one after the other."""

import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.engines import IMAGE, Engine
from bench.measure import CommandError
from bench.stage import Side, Stage
from kist.kernel import netns, process

COUNT = 20_000
_NETWORK = "names"
_NAME = "answering"
_SERVER = ("127.0.0.11", 53)
_HEADER = struct.Struct("!6H")


@contextmanager
def of_names(stage: Stage) -> Iterator[list[Side]]:
    """A client in the network of one container, by a plain socket; each engine has both on a network of the user's."""
    engines = [engine for engine in stage.engines if engine.socket]
    for engine in engines:
        engine.run("network", "create", _NETWORK)
        for name in (_NAME, "asking"):
            engine.run("run", "-d", "--name", name, "--network", _NETWORK, IMAGE, "sleep", "100000")

    def side(engine: Engine) -> Side:
        pid = json.loads(engine.run("inspect", "asking"))[0]["State"]["Pid"]
        return Side(engine.name, lambda: _inside(pid))

    try:
        yield [side(engine) for engine in engines]
    finally:
        for engine in engines:
            engine.run("rm", "-f", _NAME, "asking")
            engine.run("network", "rm", _NETWORK)


def _inside(pid: int) -> float:
    descriptor = netns.of_process(pid, process.start_time(pid))
    try:
        return netns.inside(descriptor, _ask)
    finally:
        os.close(descriptor)


def _ask() -> float:
    """Milliseconds for all look-ups."""
    question = bytes((len(_NAME),)) + _NAME.encode() + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(_SERVER)
        start = time.perf_counter()
        for number in range(COUNT):
            identifier = number & 0xFFFF
            client.send(_HEADER.pack(identifier, 0x0100, 1, 0, 0, 0) + question)
            found = client.recv(512)
            answered, _, _, answers, _, _ = _HEADER.unpack_from(found)
            if answered != identifier or answers != 1:
                raise CommandError(f"{_NAME} is not found: {found!r}")
        return 1000 * (time.perf_counter() - start)
