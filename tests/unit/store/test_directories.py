import os
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest

from kist.store.copies import Copies
from kist.store.directories import Extent, below, make, measure, remove_tree, size


def nest(path: str, depth: int) -> None:
    directory = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("directory", dir_fd=directory)
        deeper = os.open("directory", os.O_RDONLY, dir_fd=directory)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=directory))
        os.close(directory)
        directory = deeper
    os.close(directory)


def descriptors(below_which: Path) -> list[str]:
    """What this process has open there, also of what is removed; threads of other tests open what they need."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{each}"))
        except FileNotFoundError:
            continue  # closed meanwhile
        except OSError:
            found.append(f"{below_which}/too deep to be told")
    return [each for each in found if each.startswith(f"{below_which}/") or each == str(below_which)]


@pytest.mark.parametrize("depth", [0, 1, 199, 200, 201, 450, 3000])
def test_a_tree_is_removed_however_deep_it_is(depth, tmp_path):
    (tmp_path / "t" / "side" / "way").mkdir(parents=True)
    nest(str(tmp_path / "t"), depth)
    nest(str(tmp_path / "t" / "side"), depth // 2)
    try:
        assert size(str(tmp_path / "t")) == 0
    finally:  # what is so deep, nobody else can remove
        remove_tree(str(tmp_path / "t"))
    assert os.listdir(tmp_path) == []


def du(path: Path) -> int:
    """Bytes of blocks, as du(1) counts them."""
    told = subprocess.run(["du", "-s", "--block-size=1", path], capture_output=True, text=True, check=True).stdout
    return int(told.split()[0])


def test_blocks_are_counted_as_du_counts_them(tmp_path):
    tree = tmp_path / "t"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").write_bytes(bytes(100_000))
    (tree / "a" / "b" / "again").hardlink_to(tree / "a" / "file")
    (tree / "long link").symlink_to("x" * 1000)
    os.mkfifo(tree / "fifo")
    with open(tree / "sparse", "wb") as file:
        file.write(b"x")
        file.truncate(50_000_000)
    nest(str(tree), 600)  # deeper than a path can name
    try:
        found = measure(str(tree))
        assert found == Extent(50_100_000, du(tree))
    finally:
        remove_tree(str(tree))


def test_what_is_not_there_takes_nothing_and_a_file_what_it_has(tmp_path):
    (tmp_path / "file").write_bytes(bytes(5000))
    assert measure(str(tmp_path / "nothing")) == Extent(0, 0)
    assert measure(str(tmp_path / "file")) == Extent(5000, du(tmp_path / "file"))


def test_links_are_removed_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "link").symlink_to(outside)
    remove_tree(str(tmp_path / "t"))
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(outside) == ["kept"]


def test_what_is_gone_is_no_trouble_and_a_file_is_removed_too(tmp_path):
    remove_tree(str(tmp_path / "nothing"))
    (tmp_path / "file").write_text("x")
    remove_tree(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == []


def test_removing_leaves_no_descriptor_open(tmp_path):
    (tmp_path / "t").mkdir()
    nest(str(tmp_path / "t"), 300)
    remove_tree(str(tmp_path / "t"))
    assert descriptors(tmp_path) == []


def test_a_made_directory_does_not_inherit_the_group_bit(tmp_path):
    os.chmod(tmp_path, 0o2777)
    make(str(tmp_path / "a" / "b"))
    assert os.stat(tmp_path / "a" / "b").st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("moment", range(1, 6))
@pytest.mark.parametrize("look", [measure, lambda path: Copies().size(path, "/nowhere")])
def test_no_link_is_followed_that_takes_the_place_of_a_directory_meanwhile(tmp_path, look, moment):
    """At each opening, before it: whoever owns the tree replaces the directories above by links to the host's."""
    host, tree = tmp_path / "host", tmp_path / "tree"
    for place in (host / "b" / "c" / "d", host / "c" / "d", host / "d", tree / "a" / "b" / "c" / "d"):
        place.mkdir(parents=True)
        (place / "file").write_bytes(b"x" * (5_000_000 if host in place.parents else 5))
    opened = 0

    def swap(_: FrameType, event: str, function: object) -> None:
        nonlocal opened
        if event == "c_call" and function is os.open:
            opened += 1
            if opened == moment:
                sys.setprofile(None)
                for path in ("a/b/c", "a/b", "a"):
                    (tree / path).rename(tree / "-".join([*path.split("/"), "moved"]))
                    (tree / path).symlink_to(host / path[2:])

    sys.setprofile(swap)
    try:
        found = look(str(tree))
    finally:
        sys.setprofile(None)
    assert opened == moment
    assert (found if isinstance(found, int) else found.disk) < 1_000_000


def test_all_below_is_told_however_deep(tmp_path):
    tree = tmp_path / "t"
    (tree / "beside" / "empty").mkdir(parents=True)
    (tree / "beside" / "file").write_bytes(b"x")
    nest(str(tree), 600)
    nest(str(tree / "beside"), 210)
    try:
        found = [os.path.join(*where, name) for where, name, _ in below(str(tree))]
        walk = below(str(tree))
        next(walk)
        walk.close()
    finally:
        remove_tree(str(tree))
    deep = [f"{'directory/' * depth}{name}" for depth in range(600) for name in ("directory", "file")]
    wanted = {*deep, *(f"beside/{path}" for path in deep[:420]), "beside", "beside/empty", "beside/file"}
    assert sorted(found) == sorted(wanted)
    assert descriptors(tree) == []
