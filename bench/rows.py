"""What is measured: one object for each row, with its unit, its budgets and how it is taken."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count

from bench import api, builds, clients, lookups, networks, proxies, storages, users
from bench.engines import IMAGE, Engine
from bench.measure import CommandError, pss, seconds
from bench.stage import Side, Stage

LINES = 500_000
IDLE = 50
# Seconds after which nothing is left to do of a start, for whoever does something of it later.
_AT_REST = 5
MANY = 500
TWENTY_STEPS = f"FROM {IMAGE}\n" + "RUN true\n" * 20
REBUILD = (
    f"FROM {IMAGE}\nWORKDIR /srv\nCOPY files/ files/\nRUN ls files > list\nENV A=1\nRUN echo $A > a\nCMD cat list\n"
)


@dataclass(frozen=True)
class Budget:
    """Kist's value is to be at most `limit` times that of `against`, or at most `limit` itself (`against` empty)."""

    limit: float
    against: str = ""

    def measured(self, medians: dict[str, float]) -> float | None:
        """The value to hold beside the limit; None when one side was not measured."""
        if "kist" not in medians or (self.against and self.against not in medians):
            return None
        return medians["kist"] / (medians[self.against] if self.against else 1)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: for ``--rows``.
        what: for people.
        unit: ``ms``, ``s`` or ``MB``.
        budgets: what must hold.
        sides: sets the row up, gives its sides, and takes it down.
        rounds: measurements of each side, interleaved; the median counts.
        warm: take one measurement of each side first and forget it.
    """

    name: str
    what: str
    unit: str
    budgets: tuple[Budget, ...]
    sides: Callable[[Stage], AbstractContextManager[list[Side]]]
    rounds: int = 15
    warm: bool = True


def _command(*words: str, scale: float = 1000) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    """A row that times one command line of each engine."""

    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        def side(engine: Engine) -> Side:
            return Side(engine.name, lambda: scale * engine.seconds(*words))

        yield [side(engine) for engine in stage.engines]

    return sides


@contextmanager
def _local(stage: Stage) -> Iterator[list[Side]]:
    """A run without an engine process, beside the peers' usual one: Podman has none either."""

    def side(engine: Engine) -> Side:
        words = ("run", *(("--local",) if engine.name == "kist" else ()), "--rm", "--network", "none", IMAGE, "true")
        return Side(engine.name, lambda: 1000 * engine.seconds(*words))

    yield [side(engine) for engine in stage.engines]


@contextmanager
def _spawn(stage: Stage) -> Iterator[list[Side]]:
    """The bare runtimes on a ready bundle; Kist's side is its spawner, asked directly."""
    bundle = str(stage.things.bundle())
    sides = [
        Side(name, lambda name=name: 1000 * seconds([name, "run", "--bundle", bundle, "kist-bench"]))  # type: ignore[misc]
        for name in ("runc", "crun")
        if shutil.which(name)
    ]
    if not stage.kist:
        yield sides
        return
    from bench.spawner import SpawnerAlone  # noqa: PLC0415 - the peers can be measured where Kist cannot

    kist = SpawnerAlone(stage.things.work / "spawner", stage.things.work / "busybox")
    try:
        yield [Side("kist", kist.milliseconds), *sides]
    finally:
        kist.close()


@contextmanager
def _monitor(stage: Stage) -> Iterator[list[Side]]:
    """Memory of the process that watches over an idle container, with many of them."""
    names = [f"idle-{number}" for number in range(10 if stage.quick else IDLE)]
    idle = ("run", "-d", "--network", "none", "--name")
    try:
        for engine in stage.engines:
            for name in names:
                engine.run(*idle, name, IMAGE, "sleep", "100000")
        time.sleep(_AT_REST)

        def side(engine: Engine) -> Side:
            return Side(engine.name, lambda: sum(pss(engine.monitor_of(name)) for name in names) / len(names))

        yield [side(engine) for engine in stage.engines]
    finally:
        for engine in stage.engines:
            engine.run("rm", "-f", *names)


@contextmanager
def _exec(stage: Stage) -> Iterator[list[Side]]:
    """A command in a running container, as a whole process."""
    for engine in stage.engines:
        engine.run("run", "-d", "--network", "none", "--name", "executed", IMAGE, "sleep", "100000")
    try:
        yield [
            Side(engine.name, lambda engine=engine: 1000 * engine.seconds("exec", "executed", "true"))  # type: ignore[misc]
            for engine in stage.engines
        ]
    finally:
        for engine in stage.engines:
            engine.run("rm", "-f", "executed")


@contextmanager
def _many(stage: Stage) -> Iterator[list[Side]]:
    """The list of many containers; they are only made, for the list is the same and the machine stays quiet."""
    names = [f"listed-{number}" for number in range(100 if stage.quick else MANY)]
    engines = [engine for engine in stage.engines if engine.name != "podman"]
    try:
        for engine in engines:
            for name in names:
                engine.run("create", "--network", "none", "--name", name, IMAGE, "sleep", "100000")

        def side(engine: Engine) -> Side:
            return Side(engine.name, lambda: 1000 * engine.seconds("ps", "-a"))

        yield [side(engine) for engine in engines]
    finally:
        for engine in engines:
            engine.run("rm", "-f", *names)


@contextmanager
def _daemons(stage: Stage) -> Iterator[list[Side]]:
    """Memory of what stays while nothing runs; Podman has nothing of the kind."""

    def side(engine: Engine) -> Side:
        return Side(engine.name, lambda: sum(map(pss, engine.daemons())))

    yield [side(engine) for engine in stage.engines if engine.name != "podman"]


@contextmanager
def _load(stage: Stage) -> Iterator[list[Side]]:
    """Each round loads another image: after a removal, ext4 would search long for inodes that are not just deleted."""

    def side(engine: Engine) -> Side:
        rounds = count()

        def sample() -> float:
            return engine.seconds("load", "-i", str(stage.things.debian(next(rounds))))

        return Side(engine.name, sample)

    yield [side(engine) for engine in stage.engines]


def _build(
    name: str, dockerfile: str, *options: str, files: int = 0, size: int = 200
) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        context = stage.things.context(name, dockerfile, files, size)

        def side(engine: Engine) -> Side:
            return Side(
                engine.name, lambda: 1000 * engine.seconds("build", *options, "-t", f"bench-{name}:1", str(context))
            )

        yield [side(engine) for engine in stage.engines]

    return sides


def _writing(lines: int) -> str:
    return f"yes {'0123456789' * 7} | head -n {lines}"


def _write_log(engine: Engine) -> float:
    start = time.perf_counter()
    engine.run(
        "run", "-d", *engine.log_options, "--network", "none", "--name", "log", IMAGE, "sh", "-c", _writing(LINES)
    )
    engine.run("wait", "log")
    return time.perf_counter() - start


@contextmanager
def _log_write(stage: Stage) -> Iterator[list[Side]]:
    def side(engine: Engine) -> Side:
        def sample() -> float:
            taken = _write_log(engine)
            engine.run("rm", "log")
            return taken

        return Side(engine.name, sample)

    yield [side(engine) for engine in stage.engines]


@contextmanager
def _log_read(stage: Stage) -> Iterator[list[Side]]:
    for engine in stage.engines:
        _write_log(engine)
        lines = engine.run("logs", "log").count("\n")
        if lines != LINES:
            print(f"  {engine.name}: {lines:,} of {LINES:,} lines came back")
    try:
        yield [Side(engine.name, lambda engine=engine: engine.seconds("logs", "log")) for engine in stage.engines]  # type: ignore[misc]
    finally:
        for engine in stage.engines:
            engine.run("rm", "log")


def _ended(engine: Engine, container: str) -> bool:
    try:
        return "end" in engine.run("logs", "--tail", "1", container)
    except CommandError:  # Podman fails on a line that is being written
        return False


@contextmanager
def _log_memory(stage: Stage) -> Iterator[list[Side]]:
    """Whether the watching process grows with the log: its memory after a long one, less that after a short one."""
    engines = stage.engines
    for engine in engines:
        for name, lines in (("short", 10_000), ("long", LINES)):
            script = f"{_writing(lines)}; echo end; sleep 100000"
            engine.run("run", "-d", *engine.log_options, "--network", "none", "--name", name, IMAGE, "sh", "-c", script)
            while not _ended(engine, name):
                time.sleep(0.2)

    def side(engine: Engine) -> Side:
        return Side(engine.name, lambda: pss(engine.monitor_of("long")) - pss(engine.monitor_of("short")))

    try:
        yield [side(engine) for engine in engines]
    finally:
        for engine in engines:
            engine.run("rm", "-f", "short", "long")


_RUN = ("run", "--rm")

ROWS = (
    Row("run-bridge", "run --rm IMAGE true, bridge", "ms", (Budget(1 / 5, "docker"),), _command(*_RUN, IMAGE, "true")),
    Row(
        "run-none", "run --rm IMAGE true, no network", "ms", (Budget(1 / 5, "docker"), Budget(1 / 2, "podman")),
        _command(*_RUN, "--network", "none", IMAGE, "true"),
    ),
    Row("local", "run --local --rm IMAGE true, no network", "ms", (Budget(2, "podman"),), _local),
    Row("spawn", "spawn of true, the runtime alone", "ms", (Budget(1 / 3, "runc"), Budget(1, "crun")), _spawn),
    Row("exec", "exec CONTAINER true", "ms", (Budget(1 / 4, "docker"),), _exec),
    Row("py-cycle", "create, start, wait, remove (docker-py)", "ms", (Budget(1 / 12, "docker"),), clients.cycle),
    Row("py-exec", "exec of true (docker-py)", "ms", (Budget(1 / 8, "docker"),), clients.executing),
    Row(
        "at-once", f"{clients.AT_ONCE} containers started at once", "s", (Budget(1 / 8, "docker"),), clients.at_once,
        rounds=3, warm=False,
    ),
    Row(
        "flat", f"the {MANY}th start beside the first", "times", (Budget(1.2),), clients.flat(MANY),
        rounds=3, warm=False,
    ),
    Row("monitor", f"memory for each of {IDLE} idle containers", "MB", (Budget(1.5),), _monitor, rounds=1, warm=False),
    Row("load", "load of debian:12", "s", (Budget(1 / 2, "docker"),), _load, rounds=5),
    Row(
        "rebuild", "rebuild, all cached", "ms", (Budget(1 / 4, "docker"),), _build("rebuild", REBUILD, files=20),
        rounds=10,
    ),
    Row(
        "rebuild-large", "rebuild of 2,000 files, all cached", "ms", (Budget(1 / 4, "docker"),),
        _build("large", REBUILD, files=2000, size=10_000), rounds=5,
    ),
    Row(
        "twenty", "twenty steps of RUN true", "ms", (Budget(1 / 8, "docker"),),
        _build("twenty", TWENTY_STEPS, "--no-cache"), rounds=3,
    ),
    Row(
        "build-run", "what a RUN that writes a file takes beside its command", "ms", (Budget(15),), builds.step,
        rounds=15,
    ),
    Row(
        "build-copy", f"COPY of {builds.COPIED:,} files, 100 MB", "s", (Budget(1 / 2, "docker"),), builds.copy,
        rounds=3,
    ),
    Row(
        "build-rehash", f"rebuild of {builds.KNOWN:,} files, three of them written again", "ms", (Budget(1000),),
        builds.rehash, rounds=5,
    ),
    Row("build-stages", "two stages that sleep, beside one", "times", (Budget(1.3),), builds.stages, rounds=3),
    Row(
        "build-memory", f"growth of the engine by a COPY of {builds.GIGABYTES} GB", "MB", (Budget(20),), builds.memory,
        rounds=1, warm=False,
    ),
    Row("log-write", f"write {LINES:,} lines", "s", (Budget(1, "docker"),), _log_write, rounds=3, warm=False),
    Row("log-read", f"read {LINES:,} lines", "s", (Budget(1, "docker"),), _log_read, rounds=3, warm=False),
    Row("log-memory", "growth of the watcher by them", "MB", (Budget(0.2),), _log_memory, rounds=1, warm=False),
    Row("help", "--help", "ms", (Budget(60),), _command("--help")),
    Row("ps", "ps", "ms", (Budget(60),), _command("ps")),
    Row("ps-many", f"ps -a with {MANY} containers", "ms", (Budget(1 / 3, "docker"),), _many),
    Row("api-ping", f"{api.PINGS:,} pings, one after the other", "ms", (Budget(1000),), api.ping, rounds=9),
    Row("api-list", f"the API's list of {MANY} containers", "ms", (Budget(1 / 3, "docker"),), api.listing(MANY)),
    Row(
        "api-memory", f"growth of the engine by {api.REQUESTS:,} requests and {api.SESSIONS:,} attached sessions", "MB",
        (Budget(2),), api.memory, rounds=1, warm=False,
    ),
    Row("user-start", "a user's start beside root's, no network", "times", (Budget(1.3),), users.start("range")),
    Row("user-start-alone", "the same with one id", "times", (Budget(1.3),), users.start("alone")),
    Row(
        "user-build", "a user's build beside root's", "times", (Budget(1.3),), users.build("range", "build", REBUILD),
        rounds=7,
    ),
    Row("user-build-alone", "the same with one id", "times", (Budget(1.3),), users.build("alone", "build", REBUILD),
        rounds=7,
    ),
    Row(
        "user-bridge", "a user's time from container to container beside root's", "times", (Budget(1 / 0.9),),
        users.throughput("range"), rounds=5,
    ),
    Row("network-attach", "what a bridge adds to a start", "ms", (Budget(4),), networks.attaching, rounds=41),
    Row(
        "network-crowd", f"the {networks.CROWD}th start on a bridge beside the first", "times", (Budget(1.2),),
        clients.flat(networks.CROWD, "bridge"), rounds=3, warm=False,
    ),
    Row(
        "network-between", "a GB from container to container (iperf3)", "ms", (Budget(1 / 0.97, "docker"),),
        networks.from_container, rounds=9,
    ),
    Row(
        "network-host", "a GB from the host to a container (iperf3)", "ms", (Budget(1 / 0.97, "docker"),),
        networks.from_host, rounds=9,
    ),
    Row(
        "names", f"{lookups.COUNT:,} look-ups of a container's name", "ms", (Budget(1000), Budget(1, "docker")),
        lookups.of_names, rounds=9,
    ),
    Row(
        "port-transfer", f"{proxies.GIGABYTES} GB through a published port, in user space", "s", (Budget(1, "docker"),),
        proxies.transfer, rounds=9,
    ),
    Row(
        "port-connections", f"{proxies.CONNECTIONS:,} connections through it", "ms", (Budget(1, "docker"),),
        proxies.connections,
    ),
    Row("storage-create", "create of a container of debian:12", "ms", (), storages.create, rounds=9),
    Row("storage-write", "write of 1 GB, synced", "s", (), storages.write, rounds=5),
    Row("storage-copy-up", "a line more for a file of 1 GB of the image", "ms", (), storages.copy_up, rounds=5),
    Row("storage-rm", "rm of a container that wrote 1 GB", "ms", (), storages.remove, rounds=5),
    Row("engine", "memory of the idle engine, after all that", "MB", (Budget(60),), _daemons, rounds=3, warm=False),
)  # fmt: skip


def chosen(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows of these names, all for none; ``run`` stands for ``run-bridge`` and ``run-none``."""
    meant = {name: [row for row in ROWS if row.name == name or row.name.startswith(f"{name}-")] for name in names}
    if lacking := [name for name, rows in meant.items() if not rows]:
        raise SystemExit(f"no row {', '.join(lacking)}; there are: {', '.join(row.name for row in ROWS)}")
    wanted = [row for rows in meant.values() for row in rows]
    return tuple(row for row in ROWS if not names or row in wanted)
