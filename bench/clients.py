"""Rows that are taken through docker-py: the engines alone, without the start of a command-line client."""

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bench.engines import IMAGE, Engine
from bench.stage import Side, Stage

AT_ONCE = 100
_NEIGHBOURS = 20


def client(engine: Engine) -> Any:
    """docker-py's client of an engine."""
    import docker  # noqa: PLC0415 - of the extra "bench"

    return docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=300, max_pool_size=AT_ONCE)


def _with_socket(stage: Stage) -> list[Engine]:
    return [engine for engine in stage.engines if engine.socket]


@contextmanager
def cycle(stage: Stage) -> Iterator[list[Side]]:
    """Create, start, wait for and remove a container of ``true``."""

    def side(engine: Engine) -> Side:
        talking = client(engine)

        def sample() -> float:
            start = time.perf_counter()
            container = talking.containers.create(IMAGE, "true", network_mode="none")
            container.start()
            container.wait()
            container.remove()
            return 1000 * (time.perf_counter() - start)

        return Side(engine.name, sample)

    yield [side(engine) for engine in _with_socket(stage)]


@contextmanager
def executing(stage: Stage) -> Iterator[list[Side]]:
    """Execute ``true`` in a running container."""
    running: list[Any] = []

    def side(engine: Engine) -> Side:
        container = client(engine).containers.run(IMAGE, "sleep 100000", detach=True, network_mode="none")
        running.append(container)

        def sample() -> float:
            start = time.perf_counter()
            container.exec_run("true")
            return 1000 * (time.perf_counter() - start)

        return Side(engine.name, sample)

    try:
        yield [side(engine) for engine in _with_socket(stage)]
    finally:
        for container in running:
            container.remove(force=True)


@contextmanager
def at_once(stage: Stage) -> Iterator[list[Side]]:
    """Start many containers at once, from as many threads, until the last one runs."""

    def side(engine: Engine) -> Side:
        talking = client(engine)

        def sample() -> float:
            made = [
                talking.containers.create(IMAGE, "sleep 100000", network_mode="none")
                for _ in range(10 if stage.quick else AT_ONCE)
            ]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                start = time.perf_counter()
                list(pool.map(lambda container: container.start(), made))
                taken = time.perf_counter() - start
                list(pool.map(lambda container: container.remove(force=True), made))
            return taken

        return Side(engine.name, sample)

    yield [side(engine) for engine in _with_socket(stage)]


def flat(many: int, network: str = "none") -> Any:
    """How much longer the last of so many containers take to start than the few before and after, while all run."""

    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        def side(engine: Engine) -> Side:
            talking = client(engine)

            def start_one(running: list[Any]) -> float:
                running.append(talking.containers.create(IMAGE, "sleep 100000", network_mode=network))
                start = time.perf_counter()
                running[-1].start()
                return time.perf_counter() - start

            def some(running: list[Any]) -> float:
                return statistics.median(start_one(running) for _ in range(_NEIGHBOURS))

            def sample() -> float:
                running: list[Any] = []
                try:
                    start_one(running)  # brings up the engine's spawner, and makes the bridge
                    first = some(running)
                    for _ in range((60 if stage.quick else many) - len(running) - _NEIGHBOURS):
                        start_one(running)
                    last = some(running)
                    # The machine is slower at one moment than at another: the few are measured on both sides.
                    while len(running) > 1:
                        running.pop().remove(force=True)
                    return last / statistics.mean((first, some(running)))
                finally:
                    for container in running:
                        container.remove(force=True)

            return Side(engine.name, sample)

        yield [side(engine) for engine in stage.engines if engine.name == "kist"]

    return sides
