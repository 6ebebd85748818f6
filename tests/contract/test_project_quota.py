"""Project quotas: the same on every file system that keeps them (if not here, in the guest of script/test-cgroup2)."""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.errors import Unavailable
from kist.kernel import process, project_quota
from kist.store import Store
from limited import MAKE, file_system

pytestmark = pytest.mark.root("mounts a file system, and sets limits")
MEGABYTE = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}


@pytest.fixture(params=list(MAKE))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with file_system(tmp_path, tmp_path / "disk", request.param):
        yield tmp_path / "disk"


def written(path: Path, megabytes: int) -> int:
    """How much of that a process can write that is held to limits; on ext4, root with all capabilities is not."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        held = process.permitted_capabilities() & ~process.capability_mask(("CAP_SYS_RESOURCE",))
        process.set_capabilities(held, held, 0)
        done = 0
        try:
            with path.open("wb", buffering=0) as file:
                while done < megabytes and file.write(bytes(MEGABYTE)) == MEGABYTE:
                    os.fsync(file.fileno())
                    done += 1
        except OSError as error:
            if error.errno not in _FULL:
                done = 255
        os.write(write, bytes([done]))
        os._exit(0)
    os.waitpid(child, 0)
    found = os.read(read, 1)[0]
    os.close(read)
    os.close(write)
    return found


def test_a_directory_holds_no_more_than_its_limit(place: Path) -> None:
    for name in ("small", "larger", "free"):
        (place / name).mkdir()
    first = project_quota.limit(str(place / "small"), 4 * MEGABYTE)
    second = project_quota.limit(str(place / "larger"), 12 * MEGABYTE)
    assert first != second
    assert project_quota.usage(str(place / "small"))[1] == 4 * MEGABYTE
    (place / "small" / "sub").mkdir()
    assert written(place / "small" / "sub" / "file", 8) in {3, 4}
    assert written(place / "larger" / "file", 8) == 8
    assert written(place / "free" / "file", 16) == 16
    assert project_quota.usage(str(place / "small"))[0] >= 3 * MEGABYTE
    assert project_quota.usage(str(place / "free")) == (0, 0)
    found = os.statvfs(place / "small")
    assert found.f_blocks * found.f_frsize == 4 * MEGABYTE  # what df tells
    # Another limit for the same, and none.
    assert project_quota.limit(str(place / "small"), 8 * MEGABYTE) == first
    assert written(place / "small" / "more", 2) == 2
    project_quota.unlimit(str(place / "small"))
    assert written(place / "small" / "lots", 16) == 16


def test_a_number_that_somebody_has_is_left_alone(place: Path) -> None:
    """Directories get numbers of their own, also where one that is gone has left its limit."""
    numbers = []
    for name in ("one", "two", "three"):
        (place / name).mkdir()
        numbers.append(project_quota.limit(str(place / name), MEGABYTE))
        shutil.rmtree(place / name)  # its inode is free, its limit is not taken away
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) >= 1 << 30


def test_a_volume_with_a_size(place: Path) -> None:
    store = Store(str(place / "data"))
    try:
        volume, _ = store.volumes.create("small", options={"size": "4m"})
        assert written(Path(volume.mountpoint, "file"), 8) in {3, 4}
        for gone in (volume.mountpoint, str(Path(volume.mountpoint).parent)):
            shutil.rmtree(gone)
            assert store.volumes.ready(volume)
            assert written(Path(volume.mountpoint, "file"), 8) in {3, 4}
        os.unlink(Path(volume.mountpoint, "file"))
        with store.volumes.fresh("small") as empty:
            assert empty is not None
            assert written(Path(empty, "file"), 8) in {3, 4}
        assert os.listdir(volume.mountpoint) == ["file"]
        store.volumes.remove("small")
        unlimited, _ = store.volumes.create("unlimited")
        assert written(Path(unlimited.mountpoint, "file"), 16) == 16
    finally:
        store.close()


def test_a_volume_whose_removal_is_undone_keeps_its_size(place: Path) -> None:
    store = Store(str(place / "data"))
    try:
        volume, _ = store.volumes.create("small", options={"size": "4m"})
        store.volumes._database._connection.execute("PRAGMA busy_timeout = 10")
        other = sqlite3.connect(place / "data" / "kist.db", isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked"):
                store.volumes.remove("small")
        assert written(Path(volume.mountpoint, "file"), 8) in {3, 4}
    finally:
        store.close()
