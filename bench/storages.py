"""Rows on storages: what a container's files cost with each, on file systems of the bench's own, beside Docker's.

All file systems lie in sparse files on the same disk, so that they stand beside each other; what a storage costs on a
disk of its own is less, by the same for all. Each round makes a container of its own.
"""

import functools
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

from bench.disks import GIGABYTE, new_file_system
from bench.engines import Docker, Engine, Kist
from bench.measure import CommandError
from bench.stage import Side, Stage
from bench.things import Things

DEBIAN, LARGE = "bench-debian:1", "bench-large:1"

COLUMNS = (
    "overlay, ext4", "overlay, xfs", "overlay, btrfs", "btrfs", "copy, ext4", "copy, xfs", "copy, btrfs", "loop, ext4",
    "docker, ext4",
)  # fmt: skip


class _Storage(Kist):
    """Kist with a storage of its choice."""

    def choose(self, storage: str) -> None:
        self.start()
        self.env["KIST_STORAGE_DRIVER"] = storage


_file_system = functools.cache(new_file_system)


def _with_images(engine: Engine, things: Things) -> Engine:
    """The engine with both images."""
    engine.run("import", str(things.layer), DEBIAN)
    engine.run("import", str(_large(things)), LARGE)
    return engine


@functools.cache
def _large(things: Things) -> Path:
    """The small image and a file of a gigabyte that no file system can make smaller."""
    target = things.work / "large.tar"
    target.write_bytes(things.busybox.read_bytes())
    with tarfile.open(target, "a") as archive:
        entry = tarfile.TarInfo("large")
        entry.size = GIGABYTE
        block = os.urandom(1 << 20)
        archive.addfile(entry, _Repeated(block, GIGABYTE))
    return target


class _Repeated(io.RawIOBase):
    """A block again and again."""

    def __init__(self, block: bytes, size: int) -> None:
        self._block, self._left = block, size

    def read(self, size: int = -1) -> bytes:
        found = self._block[: min(size, len(self._block), self._left)]
        self._left -= len(found)
        return found


@functools.cache
def _engines(things: Things) -> dict[str, Engine]:
    """One for each column that this machine can have; they end with the room."""
    found: dict[str, Engine] = {}
    program = str(Path(sys.executable).parent / "kist")
    for column in COLUMNS:
        storage, _, kind = column.partition(", ")
        try:
            work = _file_system(things.work, kind or storage) / column.replace(", ", "-")
            work.mkdir()
            if storage == "docker":
                engine: Engine = Docker("docker", work, "/usr/bin/docker")
                engine.start()
            else:
                engine = _Storage("kist", work, program)
                engine.choose(storage)
            found[column] = _with_images(engine, things)
        except (CommandError, OSError, subprocess.SubprocessError) as error:
            print(f"  {column} left out: {error}", file=sys.stderr)
    return found


def _row(sample: Callable[[Engine, str], float]) -> Callable[[Stage], AbstractContextManager[list[Side]]]:
    """A row that takes something of a container of this name, which is removed by it."""

    @contextmanager
    def sides(stage: Stage) -> Iterator[list[Side]]:
        def side(column: str, engine: Engine) -> Side:
            numbers = count()
            return Side(column, lambda: sample(engine, f"storage-{next(numbers)}"))

        yield [side(*each) for each in _engines(stage.things).items()]

    return sides


def _created(engine: Engine, name: str) -> float:
    taken = engine.seconds("create", "--network", "none", "--name", name, DEBIAN, "true")
    engine.run("rm", name)
    return 1000 * taken


def _removed(engine: Engine, name: str) -> float:
    _write(engine, name)
    return 1000 * engine.seconds("rm", name)


def _write(engine: Engine, name: str) -> float:
    script = "busybox dd if=/dev/zero of=/written bs=1M count=1024 conv=fsync"
    return engine.seconds("run", "--network", "none", "--name", name, LARGE, "sh", "-c", script)


def _written(engine: Engine, name: str) -> float:
    taken = _write(engine, name)
    engine.run("rm", name)
    return taken


def _copied_up(engine: Engine, name: str) -> float:
    script = f"echo more | busybox dd of=/large bs=1 seek={GIGABYTE} conv=notrunc,fsync"
    taken = engine.seconds("run", "--network", "none", "--name", name, LARGE, "sh", "-c", script)
    engine.run("rm", name)
    return 1000 * taken


create = _row(_created)
write = _row(_written)
copy_up = _row(_copied_up)
remove = _row(_removed)
