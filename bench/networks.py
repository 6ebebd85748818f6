"""Rows on networks: what a bridge adds to a start, many containers on one, and the speed over it (iperf3)."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from bench import clients
from bench.engines import IMAGE, Engine
from bench.measure import CommandError, run
from bench.stage import Side, Stage

CROWD = 200
_SECONDS = 2
_PORT = 5201
# The small image has no programs but busybox: it borrows the host's iperf3, and what that needs.
_BORROWED = ("-v", "/usr:/usr:ro", "-v", "/lib:/lib:ro", "-v", "/lib64:/lib64:ro")
_ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"


def attaching(stage: Stage) -> AbstractContextManager[list[Side]]:
    """How much longer the request to start takes with a bridge than with no network, one after the other."""
    return _by_docker_py(stage, lambda client: lambda: _start(client, "bridge") - _start(client, "none"))


def _start(client: Any, network: str) -> float:
    container = client.containers.create(IMAGE, "sleep 100000", network_mode=network)
    try:
        start = time.perf_counter()
        container.start()
        return 1000 * (time.perf_counter() - start)
    finally:
        container.remove(force=True)


@contextmanager
def _by_docker_py(stage: Stage, take: Callable[[Any], Callable[[], float]]) -> Iterator[list[Side]]:
    yield [Side(engine.name, take(clients.client(engine))) for engine in stage.engines if engine.socket]


def _throughput(client_of: Callable[[Engine], Callable[..., str]]) -> Any:
    """Milliseconds for each gigabyte from a client to a container on the engine's default bridge."""

    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        if shutil.which("iperf3") is None:
            raise CommandError("iperf3 is not installed (apt-get install iperf3)")
        engines = [engine for engine in stage.engines if engine.socket]
        for engine in engines:
            for name in ("serving", "asking"):
                engine.run("run", "-d", "--name", name, *_BORROWED, IMAGE, "/usr/bin/iperf3", "-s", "-p", str(_PORT))

        def side(engine: Engine) -> Side:
            address = engine.run("inspect", "-f", _ADDRESS, "serving").strip()
            ask = client_of(engine)

            def sample() -> float:
                told = json.loads(ask("iperf3", "-c", address, "-p", str(_PORT), "-t", str(_SECONDS), "-J"))
                return 8e12 / float(told["end"]["sum_received"]["bits_per_second"])

            return Side(engine.name, sample)

        try:
            yield [side(engine) for engine in engines]
        finally:
            for engine in engines:
                engine.run("rm", "-f", "serving", "asking")

    return sides


from_container = _throughput(
    lambda engine: lambda *words: engine.run("exec", "asking", f"/usr/bin/{words[0]}", *words[1:])
)
from_host = _throughput(lambda _engine: lambda *words: run(list(words)))
