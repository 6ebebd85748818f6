"""Overlays by descriptor, as new kernels make them and as those before 6.5 do."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kist.kernel import mounts, trees

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="makes overlay mounts")]

Open = Callable[[Sequence[str], int], int]


def by_fsconfig(options: Sequence[str], attributes: int) -> int:
    return trees.open_tree_of([("overlay", "overlay", (*options, *(["ro"] if attributes else [])))])


@pytest.fixture(params=[by_fsconfig, trees.open_classic])
def opened(request: pytest.FixtureRequest) -> Open:
    chosen: Open = request.param
    return chosen


def layer(at: Path, name: str) -> str:
    (at / name).mkdir()
    (at / name / f"of-{name}").touch()
    return str(at / name)


def test_layers_alone_are_seen_as_one_and_nothing_else(tmp_path: Path, opened: Open) -> None:
    """Not the host's own root, which is what a path like "/" leads to whatever is mounted there."""
    lower = ":".join(layer(tmp_path, name) for name in ("a", "b"))
    tree = opened([f"lowerdir={lower}"], mounts.MOUNT_ATTR_RDONLY)
    try:
        assert sorted(os.listdir(f"/proc/self/fd/{tree}")) == ["of-a", "of-b"]
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir("new", dir_fd=tree)
    finally:
        os.close(tree)


def test_what_is_written_is_in_the_upper_directory(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "work").mkdir()
    upper = layer(tmp_path, "upper")
    tree = opened([f"lowerdir={layer(tmp_path, 'a')}", f"upperdir={upper}", f"workdir={tmp_path}/work"], 0)
    try:
        assert sorted(os.listdir(f"/proc/self/fd/{tree}")) == ["of-a", "of-upper"]
        os.mkdir("new", dir_fd=tree)
    finally:
        os.close(tree)
    assert sorted(os.listdir(upper)) == ["new", "of-upper"]
