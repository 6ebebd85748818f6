"""Builds of large contexts, and of stages that need nothing of one another."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.disks import new_file_system
from bench.engines import IMAGE, Engine
from bench.stage import Side, Stage

COPIED = 10_000
KNOWN = 50_000
SLEEP = 2
GIGABYTES = 2
STEPS = 20
_LOOPS = 300
_COMMAND = "cat /proc/uptime >"
_A_DIRECTORY = 500
_COPY = f"FROM {IMAGE}\nCOPY files/ files/\n"
_PAIR = (
    f"FROM {IMAGE} AS one\nRUN sleep {SLEEP}\nFROM {IMAGE} AS two\nRUN sleep {SLEEP}\nFROM {IMAGE}\n"
    "COPY --from=one /etc /one\nCOPY --from=two /etc /two\n"
)


def _context(stage: Stage, name: str, dockerfile: str, files: int = 0, size: int = 0) -> Path:
    directory = stage.things.context(name, dockerfile, 0, 0)
    for number in range(files):
        file = directory / "files" / str(number // _A_DIRECTORY) / f"{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{number:<9}\n" * (size // 10), encoding="utf-8")
    return directory


def _of_kist(stage: Stage) -> list[Engine]:
    return [engine for engine in stage.engines if engine.name == "kist"]


@contextmanager
def copy(stage: Stage) -> Iterator[list[Side]]:
    """COPY of many small files, 100 MB in all, that no cache knows."""
    context = _context(stage, "copy", _COPY, COPIED, 10_000)

    def side(engine: Engine) -> Side:
        engine = stack.enter_context(_alone(stage, engine))

        def sample() -> float:
            os.sync()  # a layer of Kist's is on disk before it counts: with what another engine has not written yet
            return engine.seconds("build", "--no-cache", "-t", "bench-copy:1", str(context))

        return Side(engine.name, sample)

    with ExitStack() as stack:
        yield [side(engine) for engine in stage.engines]


@contextmanager
def _alone(stage: Stage, engine: Engine) -> Iterator[Engine]:
    """One of the same kind on a file system of its own.

    Docker's builder removes as many files as it copies, each time, and ext4 searches long for an inode that was not
    removed just before: whose files these were is not asked.
    """
    work = new_file_system(stage.things.work, "ext4", f"alone-{engine.name}") / "data"
    work.mkdir()
    alone = engine.beside(work)
    alone.start()
    try:
        alone.import_tar(stage.things.busybox)
        yield alone
    finally:
        alone.stop()


@contextmanager
def rehash(stage: Stage) -> Iterator[list[Side]]:
    """A build of many files of which three were written since the last one."""
    context = _context(stage, "rehash", f"{_COPY}RUN true\n", KNOWN, 100)
    time.sleep(3)  # files that have just been written are not believed

    def side(engine: Engine) -> Side:
        engine.run("build", "-t", "bench-rehash:1", str(context))

        def sample() -> float:
            changed = [context / "files" / str(number) / f"{number * _A_DIRECTORY}.txt" for number in (1, 20, 60)]
            before = [file.read_bytes() for file in changed]
            for file, data in zip(changed, before, strict=True):
                file.write_bytes(data)  # the same bytes, and new times: all else than the copy is done
            return 1000 * engine.seconds("build", "-t", "bench-rehash:1", str(context))

        return Side(engine.name, sample)

    yield [side(engine) for engine in _of_kist(stage)]


@contextmanager
def stages(stage: Stage) -> Iterator[list[Side]]:
    """Two stages that sleep, as many times as long as one sleeps."""
    context = _context(stage, "stages", _PAIR)

    def side(engine: Engine) -> Side:
        return Side(
            engine.name, lambda: engine.seconds("build", "--no-cache", "-t", "bench-stages:1", str(context)) / SLEEP
        )

    yield [side(engine) for engine in stage.engines]


@contextmanager
def step(stage: Stage) -> Iterator[list[Side]]:
    """What a RUN that writes a file takes beside its command: of twenty more of them, and of the command in a loop."""
    base = f"FROM {IMAGE}\n"
    one = _context(stage, "step-one", f"{base}RUN {_COMMAND} /0\n")
    more = _context(stage, "step-more", base + "".join(f"RUN {_COMMAND} /{n}\n" for n in range(STEPS + 1)))
    loop = f"i=0; while [ $i -lt {_LOOPS} ]; do sh -c '{_COMMAND} /0'; i=$((i + 1)); done"
    looped = _context(stage, "step-looped", f"{base}RUN {loop}\n")

    def side(engine: Engine) -> Side:
        def seconds(context: Path) -> float:
            return engine.seconds("build", "--no-cache", "-t", "bench-step:1", str(context))

        def sample() -> float:
            alone = seconds(one)
            command = (seconds(looped) - alone) / _LOOPS
            return 1000 * ((seconds(more) - alone) / STEPS - command)

        return Side(engine.name, sample)

    yield [side(engine) for engine in _of_kist(stage)]


@contextmanager
def memory(stage: Stage) -> Iterator[list[Side]]:
    """By how much the engine's peak grows over a COPY of a large file."""
    context = _context(stage, "memory", _COPY)
    with open(context / "files" / "large", "wb") as file:
        file.writelines(os.urandom(1 << 20) for _ in range(GIGABYTES << 10))

    def side(engine: Engine) -> Side:
        small = _context(stage, "memory-small", _COPY, 1, 100)

        def sample() -> float:
            engine.run("build", "--no-cache", "-t", "bench-memory:1", str(small))
            pid = engine.daemons()[0]
            before = _reset_peak(pid)
            engine.run("build", "--no-cache", "-t", "bench-memory:1", str(context))
            return _peak(pid) - before

        return Side(engine.name, sample)

    yield [side(engine) for engine in stage.engines if engine.daemons()]


def _reset_peak(pid: int) -> float:
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets the peak to what is now
    return _peak(pid)


def _peak(pid: int) -> float:
    """The peak of the resident set size in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM:"))
