"""What is on the disk where the power goes: the image of a file system, copied while it is mounted, is mounted anew."""

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.engine import Engine
from kist.store import Store

pytestmark = pytest.mark.root("mounts a file system")
CONTENT = b"x" * 100_000


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir()
    subprocess.run(["mount", "-t", "ext4", "-o", "loop", str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


@contextlib.contextmanager
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system whose names, unlike what is in files, somebody else's fsync has just brought to the disk."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    image = tmp_path / "kist-disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    with mounted(image, tmp_path / "disk") as place:
        yield place
        with (place / "others").open("wb") as other:
            os.fsync(other.fileno())
        shutil.copyfile(image, tmp_path / "kist-copy.img")


@pytest.mark.parametrize("count", [3, 40])
def test_a_volume_that_was_filled_is_whole_after_a_power_cut(tmp_path: Path, count: int) -> None:
    with disk(tmp_path) as place, Store(str(place / "data")) as store:
        store.volumes.create("data")
        with store.volumes.fresh("data") as empty:
            assert empty is not None
            for number in range(count):
                Path(empty, str(number)).write_bytes(CONTENT)
    with mounted(tmp_path / "kist-copy.img", tmp_path / "again") as place, Store(str(place / "data")) as store:
        store.volumes.recover()
        found = [path.read_bytes() == CONTENT for path in Path(store.volumes.path("data")).iterdir()]
        assert found == [True] * count


def test_a_volume_that_was_imported_is_whole_after_a_power_cut(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(CONTENT)
        tar.addfile(entry, io.BytesIO(CONTENT))
    archive.seek(0)
    with disk(tmp_path) as place, Engine(str(place / "data"), str(tmp_path / "run")) as engine:
        engine.store.volumes.create("data")
        engine.import_volume("data", archive)
    with mounted(tmp_path / "kist-copy.img", tmp_path / "again") as place, Store(str(place / "data")) as store:
        assert Path(store.volumes.path("data"), "file").read_bytes() == CONTENT
