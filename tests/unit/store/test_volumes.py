"""Volumes on disk: what a kill leaves is finished or undone, and a filling that fails leaves nothing."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import until
from kist.errors import InvalidInput, NotFound, Unavailable
from kist.kernel import faults
from kist.store import Store
from kist.store.volumes import Volumes, check_name


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    store = Store(str(tmp_path / "data"))
    yield store.volumes
    store.close()


def test_a_volume_is_made_once(volumes: Volumes) -> None:
    first, made = volumes.create("data", labels={"a": "b"})
    again, again_made = volumes.create("data", labels={"c": "d"})
    assert (made, again_made) == (True, False)
    assert first == again
    assert os.path.isdir(volumes.path("data"))
    assert not volumes.ready(first)


@pytest.mark.parametrize("name", ["a", "-ab", "a/b", "..", "a b", "ä", "a" * 256])
def test_names_that_cannot_be(volumes: Volumes, name: str) -> None:
    with pytest.raises(InvalidInput):
        volumes.create(name)
    assert volumes.list() == ()


def test_removal_takes_everything(volumes: Volumes) -> None:
    volumes.create("data")
    Path(volumes.path("data"), "file").touch()
    volumes.remove("data")
    assert os.listdir(volumes.root) == []
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.get("data")


@pytest.mark.parametrize("undo", ["recover", "ready"])
def test_a_removal_that_had_only_begun_is_undone(volumes: Volumes, undo: str) -> None:
    volume, _ = volumes.create("my-data")
    Path(volumes.path("my-data"), "file").touch()
    begin_removal(volumes, "my-data")
    assert len(volumes.removed()) == 1
    if undo == "recover":
        volumes.recover()
    else:
        assert not volumes.ready(volume)
        volumes.recover()
    assert os.listdir(volumes.path("my-data")) == ["file"]
    assert volumes.removed() == ()


def begin_removal(volumes: Volumes, name: str, point: str = "volume rm: moved the directory aside") -> None:
    """What is left of a removal that was killed at this point."""
    armed = Path(f"{volumes.root}.fault")
    armed.write_text(point, encoding="ascii")
    script = "import sys; from kist.store import Store; Store(sys.argv[1]).volumes.remove(sys.argv[2])"
    environment = os.environ | {faults.VARIABLE: str(armed)}
    words = [sys.executable, "-c", script, os.path.dirname(volumes.root), name]
    done = subprocess.run(words, env=environment, check=False, timeout=60)
    assert done.returncode == -9


def test_a_removal_that_had_come_further_is_finished(volumes: Volumes) -> None:
    for name in ("other", "data"):
        volumes.create(name)
        Path(volumes.path(name), "old").touch()
        begin_removal(volumes, name, "volume rm: removed the record")
    # This one is made anew: it has nothing of the one before.
    volume, made = volumes.create("data")
    assert made
    assert os.listdir(volumes.path("data")) == []
    shutil.rmtree(os.path.join(volumes.root, "data"))
    assert len(volumes.removed()) == 2
    volumes.recover()
    assert os.listdir(volumes.root) == []
    assert volumes.ready(volume)


def test_a_removal_whose_record_stays_takes_nothing(tmp_path: Path, volumes: Volumes) -> None:
    volume, _ = volumes.create("data")
    Path(volumes.path("data"), "file").touch()
    volumes._database._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "data" / "kist.db", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            volumes.remove("data")
    assert volumes.list() == (volume,)
    assert not volumes.ready(volume)
    volumes.recover()
    assert os.listdir(volumes.path("data")) == ["file"]
    volumes.remove("data")
    assert os.listdir(volumes.root) == []


def test_of_two_directories_of_one_volume_none_is_lost(volumes: Volumes) -> None:
    volumes.create("data")
    Path(volumes.path("data"), "file").touch()
    begin_removal(volumes, "data")
    os.makedirs(volumes.path("data"))  # by hand
    volumes.recover()
    assert len(volumes.removed()) == 1
    volumes.remove("data")
    assert os.listdir(volumes.root) == []


def test_a_volume_with_the_longest_name_is_removed(volumes: Volumes) -> None:
    volumes.create("a" * 255)
    volumes.remove("a" * 255)
    assert os.listdir(volumes.root) == []


def test_a_directory_without_a_record_is_no_ones_to_remove(volumes: Volumes) -> None:
    os.makedirs(os.path.join(volumes.root, "stray", "_data"))
    volumes.recover()
    assert volumes.strays() == ("stray",)


def test_filling_that_fails_leaves_it_empty_and_takes_no_space(volumes: Volumes) -> None:
    volumes.create("data")

    def fill() -> None:
        with volumes.fresh("data") as empty:
            assert empty is not None
            Path(empty, "half").touch()
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fill()
    assert os.listdir(os.path.dirname(volumes.path("data"))) == ["_data"]
    assert os.listdir(volumes.path("data")) == []
    with volumes.fresh("data") as empty:
        assert empty is not None
        Path(empty, "whole").touch()
    assert os.listdir(volumes.path("data")) == ["whole"]
    with volumes.fresh("data") as empty:
        assert empty is None


def test_what_a_killed_process_was_filling_goes(volumes: Volumes) -> None:
    volumes.create("data")
    Path(volumes.root, "data", "new").mkdir()
    assert volumes.half_filled() == (os.path.join(volumes.root, "data", "new"),)
    with volumes.fresh("data"):
        assert volumes.half_filled() == ()  # somebody is at it
    Path(volumes.root, "data", "new").mkdir()
    volumes.recover()
    assert volumes.half_filled() == ()


def test_what_was_whole_comes_into_the_volume_after_a_kill(volumes: Volumes) -> None:
    volumes.create("data")
    inode = os.stat(volumes.path("data")).st_ino
    whole = Path(volumes.root, "data", "filled")
    (whole / "sub").mkdir(parents=True)
    for name in ("one", "two", "sub/three"):
        (whole / name).write_text("the image's", encoding="ascii")
    whole.chmod(0o1750)
    # The kill came after this one had been moved, and a container has changed it since.
    Path(volumes.path("data"), "one").write_text("its own", encoding="ascii")
    volumes.recover()
    assert sorted(os.listdir(volumes.path("data"))) == ["one", "sub", "two"]
    assert Path(volumes.path("data"), "one").read_text(encoding="ascii") == "its own"
    status = os.stat(volumes.path("data"))
    assert (status.st_ino, status.st_mode & 0o7777) == (inode, 0o1750)
    assert os.listdir(os.path.join(volumes.root, "data")) == ["_data"]


def test_filling_leaves_the_directory_that_a_container_may_have(volumes: Volumes) -> None:
    volumes.create("data", options={"mode": "0711"})
    held = os.open(volumes.path("data"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        with volumes.fresh("data") as empty:
            assert empty is not None
            Path(empty, "file").touch()
            os.chmod(empty, 0o700)
        assert os.listdir(held) == ["file"]
        assert os.fstat(held).st_mode & 0o7777 == 0o711
    finally:
        os.close(held)


def test_filling_replaces_nothing_that_a_container_makes_meanwhile(volumes: Volumes) -> None:
    names = [f"{number:05}" for number in range(3000)]
    volumes.create("data")
    target = Path(volumes.path("data"))
    made: list[str] = []

    def container() -> None:
        """It has the volume while it is filled: from the first file on, which it waits for, it makes its own."""
        until((target / names[0]).exists)
        for name in reversed(names):
            with contextlib.suppress(FileExistsError):
                with (target / name).open("x", encoding="ascii") as file:
                    file.write("its own")
                made.append(name)

    running = threading.Thread(target=container)
    with volumes.fresh("data") as empty:
        assert empty is not None
        for name in names:
            Path(empty, name).write_text("the image's", encoding="ascii")
        running.start()
    running.join()
    assert len(os.listdir(target)) == len(names)
    assert [name for name in made if (target / name).read_text(encoding="ascii") != "its own"] == []


def test_the_hint_for_a_bad_name_says_where_a_path_is_taken() -> None:
    """The same name may come of ``kist volume create`` or the API, where no path can stand."""
    with pytest.raises(InvalidInput) as caught:
        check_name("a/b")
    assert "with -v or --mount" in caught.value.hint
