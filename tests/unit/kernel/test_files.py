"""Moving an entry to another directory, where somebody else may have made one of its name."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kist.kernel import files

Move = Callable[[str, int, int], bool]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Path, Path, int, int]]:
    source, target = tmp_path / "source", tmp_path / "target"
    held = []
    for each in (source, target):
        each.mkdir()
        held.append(os.open(each, os.O_RDONLY | os.O_DIRECTORY))
    yield source, target, *held
    for descriptor in held:
        os.close(descriptor)


def make(kind: str, path: Path, content: str) -> None:
    if kind == "file":
        path.write_text(content, encoding="ascii")
    elif kind == "link":
        path.symlink_to(content)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
        if kind == "directory":
            (path / content).touch()


KINDS = ("file", "link", "pipe", "directory", "empty directory")


@pytest.mark.parametrize("move", [files.move_unless_there, files.move_by_second_name])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there_comes_whole(places: tuple[Path, Path, int, int], move: Move, kind: str) -> None:
    source, target, *held = places
    make(kind, source / "it", "moved")
    before = os.lstat(source / "it")
    assert move("it", *held)
    after = os.lstat(target / "it")
    assert (after.st_ino, after.st_mode, after.st_nlink) == (before.st_ino, before.st_mode, before.st_nlink)
    assert os.listdir(source) == []


@pytest.mark.parametrize("move", [files.move_unless_there, files.move_by_second_name])
@pytest.mark.parametrize("theirs", KINDS)
@pytest.mark.parametrize("ours", KINDS)
def test_what_is_there_stays(places: tuple[Path, Path, int, int], move: Move, ours: str, theirs: str) -> None:
    source, target, *held = places
    make(ours, source / "it", "ours")
    make(theirs, target / "it", "theirs")
    before = os.lstat(target / "it").st_ino
    assert not move("it", *held)
    assert os.lstat(target / "it").st_ino == before
    assert os.path.lexists(source / "it")
