"""Which storage a data root has: told, remembered, refused."""

import os
from pathlib import Path

import pytest

import disks
from kist.errors import Conflict, InvalidInput, Unavailable
from kist.store import Store

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")]


def chosen(root: Path, asked: str = "") -> tuple[str, str]:
    with Store(str(root), asked) as store:
        return tuple(store.storage)  # type: ignore[return-value]


def fill(root: Path) -> None:
    with Store(str(root)) as store:
        store.snapshots.prepare("active")
        store.snapshots.commit("layer", "active")


def test_what_works_is_taken_and_not_kept(tmp_path: Path) -> None:
    name, why = chosen(tmp_path)
    assert (name, why.partition(" on ")[0]) == ("overlay", "overlayfs works")
    assert chosen(tmp_path, "copy") == ("copy", "chosen by the settings")


def test_what_was_told_once_is_kept(tmp_path: Path) -> None:
    chosen(tmp_path, "copy")
    fill(tmp_path)
    assert chosen(tmp_path) == ("copy", "chosen for this data root before")


def test_layers_of_two_storages_are_not_mixed(tmp_path: Path) -> None:
    fill(tmp_path)
    with pytest.raises(Conflict, match="by the storage overlay, and copy is asked for") as refused:
        chosen(tmp_path, "copy")
    assert "kist system migrate --storage-driver copy" in refused.value.hint
    assert chosen(tmp_path)[0] == "overlay"


def test_overlay_and_loop_have_the_same_layers(tmp_path: Path) -> None:
    if why := disks.missing("ext4"):
        pytest.skip(why)
    fill(tmp_path)
    assert chosen(tmp_path, "loop")[0] == "loop"
    with Store(str(tmp_path)) as store:
        assert store.snapshots.list() == ("layer",)
    assert chosen(tmp_path, "overlay")[0] == "overlay"


def test_btrfs_is_refused_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"the data root is on .*, not on btrfs") as refused:
        chosen(tmp_path, "btrfs")
    assert "leave the choice out" in refused.value.hint
    assert chosen(tmp_path)[0] == "overlay"


def test_btrfs_is_taken_on_btrfs(tmp_path: Path) -> None:
    with disks.file_system("btrfs", tmp_path) as place:
        assert chosen(place / "data", "btrfs") == ("btrfs", "chosen by the settings")
        assert os.listdir(place / "data" / "tmp") == []


def test_loop_is_refused_without_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kist.kernel.programs.PLACES", "")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match=r"mkfs\.ext4 is not installed"):
        chosen(tmp_path, "loop")


def test_there_is_no_other_storage(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no storage 'zfs'") as refused:
        chosen(tmp_path, "zfs")
    assert refused.value.hint == "storages are overlay, copy, btrfs, loop"
