"""Rows on ordinary users: what a user's engine takes beside root's, as a ratio, with both timed in turns.

The user is one of the tests' (``tests/ordinary.py``), who exists in mounts of the benchmark's own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bench.engines import IMAGE
from bench.measure import CommandError
from bench.stage import Side, Stage
from ordinary import GID, UID, Ordinary

MEGABYTES = 4000
_HERE = Path(__file__).parents[1]


class Person:
    """Somebody with an engine, who runs command lines of it.

    Args:
        kist: the command.
        environment: with the engine's roots.
        before: what a command line begins with to be that person's.
    """

    def __init__(self, kist: str, environment: dict[str, str], before: list[str]) -> None:
        self._kist = kist
        self._process = subprocess.Popen(
            [*before, sys.executable, "-P", "-m", "bench.stopwatch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONPATH": os.pathsep.join([str(_HERE), *sys.path])},
        )

    def seconds(self, *words: str) -> float:
        """How long a command line of Kist's takes.

        Raises:
            CommandError: it failed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([self._kist, *words]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '"the stopwatch ended"')
        if not isinstance(answer, float):
            raise CommandError(answer)
        return answer

    def close(self) -> None:
        """End the stopwatch."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@contextmanager
def _both(stage: Stage, kind: str) -> Iterator[tuple[Person, Person]]:
    """An ordinary user with ids of a kind (``range``, ``alone``), and root."""
    engine = next((engine for engine in stage.engines if engine.name == "kist"), None)
    if engine is None:
        raise CommandError("Kist itself is not measured")
    directory, run_root = stage.things.work / f"user-{kind}", Path(f"/run/kist-bench-{kind}")
    directory.mkdir(exist_ok=True)
    who = Ordinary(directory, kind == "range", tun=True)
    if not who.home.exists():
        who.make()
        run_root.mkdir()
        os.chown(run_root, UID, GID)
        for above in (directory, *directory.parents):
            if above.stat().st_uid == 0 and above.name.startswith("kist-bench"):
                above.chmod(0o755)
    user = Person(engine.program, who.environment | {"KIST_RUN": str(run_root)}, who.command)
    root = Person(engine.program, dict(engine.env), [])
    try:
        user.seconds("import", str(stage.things.busybox), IMAGE)
        yield user, root
    finally:
        user.seconds("engine", "stop")
        user.close()
        root.close()


Taken = Callable[[Person], float]


def _ratio(kind: str, take: Taken) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        with _both(stage, kind) as (user, root):
            yield [Side("kist", lambda: take(user) / take(root))]

    return sides


def start(kind: str) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    """A container that does nothing, on no network."""
    return _ratio(kind, lambda person: person.seconds("run", "--rm", "--network", "none", IMAGE, "true"))


def build(kind: str, name: str, dockerfile: str) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    """A build in which nothing is cached."""

    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        context = stage.things.context(f"{kind}-{name}", dockerfile, files=20, size=200)
        take: Taken = lambda person: person.seconds("build", "--no-cache", "-t", f"{name}:1", str(context))  # noqa: E731
        with _ratio(kind, take)(stage) as found:
            yield found

    return sides


def throughput(kind: str) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    """Many bytes from one container to another on a bridge."""

    def take(person: Person) -> float:
        listen = "busybox nc -l -p 7000 > /dev/null"
        send = f"until busybox dd if=/dev/zero bs=1M count={MEGABYTES} | busybox nc server 7000; do sleep 0.05; done"
        person.seconds("run", "-d", "--name", "server", IMAGE, "sh", "-c", listen)
        try:
            return person.seconds("run", "--rm", "--link", "server", IMAGE, "sh", "-c", send)
        finally:
            person.seconds("rm", "-f", "server")

    return _ratio(kind, take)
