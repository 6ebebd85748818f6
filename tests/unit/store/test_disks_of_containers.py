"""Disks in files: as large as was asked for, behind one device however many look into them, and gone with the last."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import disks as file_systems
from harness import until
from kist.errors import Unavailable
from kist.kernel import disks
from kist.store.loop import Loop

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="loop devices are root's")]
if why := file_systems.missing("ext4"):
    pytestmark.append(pytest.mark.skip(reason=why))

MB = 1 << 20


def devices(disk: Path) -> list[str]:
    """The loop devices that are over a file."""
    found = []
    for name in os.listdir("/sys/block"):
        with contextlib.suppress(FileNotFoundError):
            backing = Path(f"/sys/block/{name}/loop/backing_file").read_text(encoding="utf-8").rstrip("\n")
            if backing.removesuffix(" (deleted)") == str(disk):
                found.append(name)
    return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    Loop(32 * MB).make(str(tmp_path / "1"), None)
    made = tmp_path / "1-disk"
    yield made
    until(lambda: not devices(made))


@pytest.mark.parametrize("size", [16 * MB, 100 * MB, 1 << 30, 10 << 30, 1 << 40], ids=lambda size: f"{size // MB}M")
def test_a_disk_has_room_for_what_was_asked_for_and_little_more(size: int, tmp_path: Path) -> None:
    Loop(size).make(str(tmp_path / "1"), None)
    tree = disks.open_tree(str(tmp_path / "1-disk"))
    try:
        status = os.fstatvfs(tree)
        assert size <= status.f_bavail * status.f_frsize < 1.05 * size + 8 * MB
        assert os.stat(tmp_path / "1-disk").st_blocks * 512 < 2 * MB + size // 2000  # it is sparse
    finally:
        os.close(tree)
    until(lambda: not devices(tmp_path / "1-disk"))


def test_all_who_look_into_a_disk_have_the_same_file_system(disk: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        trees = list(threads.map(lambda _: disks.open_tree(str(disk)), range(24)))
    assert len(devices(disk)) == 1
    Path(f"/proc/self/fd/{trees[0]}/upper/file").write_text("seen by all")
    assert {Path(f"/proc/self/fd/{tree}/upper/file").read_text() for tree in trees} == {"seen by all"}
    assert len({os.stat(f"/proc/self/fd/{tree}/upper/file").st_dev for tree in trees}) == 1
    for tree in trees:
        os.close(tree)


def test_nothing_is_left_of_a_process_that_is_killed_while_it_looks(disk: Path) -> None:
    program = f"from kist.kernel import disks; disks.open_tree({str(disk)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert len(devices(disk)) == 1
        process.kill()
    until(lambda: not devices(disk))


def test_files_of_the_same_name_are_not_taken_for_each_other(tmp_path: Path) -> None:
    trees = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Loop(16 * MB).make(str(tmp_path / name / "1"), None)
        trees.append(disks.open_tree(str(tmp_path / name / "1-disk")))
    assert len({os.fstat(tree).st_dev for tree in trees}) == 2
    for tree in trees:
        os.close(tree)
    for name in ("one", "two"):
        until(lambda name=name: not devices(tmp_path / name / "1-disk"))  # type: ignore[misc]


def test_without_the_program_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kist.kernel.programs.PLACES", "")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match=r"needs mkfs\.ext4") as refused:
        Loop(16 * MB).make(str(tmp_path / "1"), None)
    assert "e2fsprogs" in refused.value.hint
