"""What changes a step's cache key, and what does not."""

import os
from pathlib import Path

import msgspec
import pytest

from kist.build import cache
from kist.build.contents import digest
from kist.build.plan import CopyFiles, MakeDirectory, Run
from kist.build.selection import Selected
from kist.build.tree import Tree
from kist.errors import InvalidInput
from kist.spec.dockerfile import Ignore
from kist.spec.dockerfile.mode import Mode

RUN = Run(argv=("/bin/sh", "-c", "a"), environment=("A=1",), proxies=("HTTP_PROXY=x",), user="u", working_dir="/w")
COPY = CopyFiles(sources=("a",), destination="/b", into_directory=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ("/bin/sh", "-c", "b")},
        {"environment": ("A=2",)},
        {"environment": ()},
        {"user": ""},
        {"working_dir": "/"},
    ],
)
def test_what_a_command_depends_on_changes_its_key(changes: dict[str, object]) -> None:
    assert cache.key("below", msgspec.structs.replace(RUN, **changes)) != cache.key("below", RUN)


def test_proxies_do_not_change_the_key() -> None:
    assert cache.key("below", msgspec.structs.replace(RUN, proxies=())) == cache.key("below", RUN)


def test_what_is_below_changes_the_key() -> None:
    assert cache.key("one", RUN) != cache.key("two", RUN)


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": "/c"},
        {"into_directory": True},
        {"owner": "1"},
        {"mode": Mode(0o755)},
        {"unpack": True},
        {"sources": ("b",)},
    ],
)
def test_how_files_are_copied_changes_the_key(changes: dict[str, object]) -> None:
    assert cache.key("x", msgspec.structs.replace(COPY, **changes), ("d",)) != cache.key("x", COPY, ("d",))


def test_the_name_of_the_stage_that_files_come_from_does_not_count() -> None:
    other = msgspec.structs.replace(COPY, origin="3.4", origin_name="build")
    assert cache.key("x", other, ("d",)) == cache.key("x", COPY, ("d",))


def test_contents_and_kinds_of_actions_are_told_apart() -> None:
    keys = {cache.key("x", COPY, ("d",)), cache.key("x", COPY, ("e",)), cache.key("x", MakeDirectory("/b"))}
    assert len(keys) == 3


def test_a_step_that_changed_nothing_still_counts() -> None:
    key = cache.key("x", RUN)
    assert cache.key(cache.after("x", key), RUN) != key


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/f").write_text("text")
    (tmp_path / "d/l").symlink_to("f")
    return tmp_path


def contents(root: Path, *paths: str, ignore: str = "") -> str:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        tree = Tree(descriptor, "test", ignore=Ignore.parse(ignore), confined=True)
        return digest(tree, (Selected(tree, path) for path in paths))
    finally:
        os.close(descriptor)


def test_times_do_not_count(root: Path) -> None:
    before = contents(root, "d")
    os.utime(root / "d/f", (1, 1))
    os.utime(root / "d", (1, 1))
    assert contents(root, "d") == before


def test_owners_do_not_count(root: Path) -> None:
    if os.geteuid():
        pytest.skip("only root may give files away")
    before = contents(root, "d")
    os.chown(root / "d/f", 1000, 1000)
    assert contents(root, "d") == before


@pytest.mark.parametrize(
    "command",
    [
        "echo other > d/f",
        "chmod 600 d/f",
        "chmod 700 d/e",
        "mv d/f d/g",
        "ln -sfn e d/l",
        "rm d/l",
        "touch d/e/new",
        "rmdir d/e",
        "rm d/l && touch d/l",
        "mkfifo d/p",
    ],
)
def test_everything_else_counts(root: Path, command: str) -> None:
    before = contents(root, "d")
    assert os.system(f"cd {root} && {command}") == 0
    assert contents(root, "d") != before


def test_names_of_one_file_are_something_else_than_equal_files(root: Path) -> None:
    (root / "d/g").write_bytes((root / "d/f").read_bytes())
    (root / "d/g").chmod((root / "d/f").stat().st_mode)
    equal = contents(root, "d")
    (root / "d/g").unlink()
    os.link(root / "d/f", root / "d/g")
    same = contents(root, "d")
    assert same != equal
    os.link(root / "d/f", root / "outside")
    assert contents(root, "d") == same, "a name that is not copied counts for nothing"


@pytest.mark.parametrize("path", ["d/f", "d/e"])
def test_attributes_count(root: Path, path: str) -> None:
    before = contents(root, "d")
    try:
        os.setxattr(root / path, "user.k", b"v")
    except OSError as error:
        pytest.skip(f"the file system of the tests has no attributes: {error}")
    first = contents(root, "d")
    os.setxattr(root / path, "user.k", b"w")
    assert len({before, first, contents(root, "d")}) == 3
    os.removexattr(root / path, "user.k")
    os.setxattr(root / path, "user.kist.pretended", b"1:2")
    assert contents(root, "d") == before


@pytest.mark.parametrize("make", ["mkfifo pipe", "mkfifo real && ln -s real pipe", "mknod pipe b 7 200"])
def test_what_is_no_file_is_not_opened(root: Path, make: str) -> None:
    """A pipe would be waited for until somebody writes; there is no driver for the device, and nobody looks for one."""
    if os.geteuid() and "mknod" in make:
        pytest.skip("only root may make devices")
    assert os.system(f"cd {root} && {make}") == 0
    with pytest.raises(InvalidInput, match='"pipe" in test is neither a file nor a directory'):
        contents(root, "pipe")


def test_what_is_ignored_does_not_count(root: Path) -> None:
    before = contents(root, "d", ignore="**/*.log")
    (root / "d/e/x.log").write_text("x")
    assert contents(root, "d", ignore="**/*.log") == before


def test_bytes_cannot_move_between_files(tmp_path: Path) -> None:
    """Two files' contents are not hashed as one stream."""
    for name, first, second in (("x", "ab", "c"), ("y", "a", "bc")):
        (tmp_path / name / "d").mkdir(parents=True)
        (tmp_path / name / "d/1").write_text(first)
        (tmp_path / name / "d/2").write_text(second)
    assert contents(tmp_path / "x", "d") != contents(tmp_path / "y", "d")
