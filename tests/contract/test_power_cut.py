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

from kist.build import build
from kist.engine import Engine
from kist.kernel import process
from kist.spec.build import BuildOptions
from kist.spec.digest import Digest
from kist.store import Store
from moments import held_up

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
        if not (tmp_path / "kist-copy.img").exists():
            cut(tmp_path, place)


def cut(tmp_path: Path, place: Path) -> None:
    """What is there now is what will be found."""
    with (place / "others").open("wb") as other:
        os.fsync(other.fileno())
    shutil.copyfile(tmp_path / "kist-disk.img", tmp_path / "kist-copy.img")


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


def test_an_image_that_was_built_is_whole_after_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tmp_path / "context"
    context.mkdir()
    names = [str(number) for number in range(5)]
    for name in names:
        (context / name).write_bytes(name.encode() * 100_000)
    (context / "Dockerfile").write_text("FROM scratch\n" + "".join(f"COPY {name} /\n" for name in names))
    with disk(tmp_path) as place, Engine(str(place / "data"), str(tmp_path / "run")) as engine:
        build(engine, str(context), BuildOptions(tags=("it",)), lambda _: None)
        cut(tmp_path, place)  # before anybody has let go of anything
    monkeypatch.setattr(process, "boot_id", lambda: "another")
    with (
        mounted(tmp_path / "kist-copy.img", tmp_path / "again") as place,
        Engine(str(place / "data"), str(tmp_path / "run")) as engine,
    ):
        layers = engine.catalogue.layers(engine.catalogue.get("it"))
        for layer in layers:
            engine.store.blobs.verify(layer.descriptor.digest)
        assert engine.catalogue.has_layers(layers)  # from their blobs
        with engine.catalogue.open_files(layers[-1].chain_id) as files:
            assert sorted(os.listdir(files)) == names


def test_what_is_on_its_way_to_the_disk_is_nowhere_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = Digest.of(CONTENT)
    with disk(tmp_path) as place, Store(str(place / "data")) as store, held_up(store.blobs.unsynced):
        store.blobs.put(CONTENT, soon=True)
        assert digest in store.blobs
        cut(tmp_path, place)
    monkeypatch.setattr(process, "boot_id", lambda: "another")
    with mounted(tmp_path / "kist-copy.img", tmp_path / "again") as place, Store(str(place / "data")) as store:
        assert digest not in store.blobs
        assert not os.listdir(place / "data" / "tmp")
        assert not os.listdir(place / "data" / "unsynced")
