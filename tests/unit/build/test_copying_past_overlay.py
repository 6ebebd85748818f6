"""COPY onto an overlay writes what is new past it, and leaves the same layer as through it."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kist.build.copying import copy_files
from kist.build.plan import CopyFiles
from kist.build.selection import select
from kist.build.target import Target
from kist.build.tree import Tree
from kist.build.work import filled, opened
from kist.image.diff import diff
from kist.spec.dockerfile.mode import Mode
from kist.spec.mount import Mount
from kist.store import directories

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="overlays are mounted, which root may")]

MARK = "work/incompat"


class World:
    """A tree to copy from, and an image of two layers, the upper of which has removed something."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.source = directory / "source"
        self.below, self.above = directory / "below", directory / "above"
        for each in (self.source, self.below / "old/deep", self.above, self.below / "gone/inside", self.below / "app"):
            each.mkdir(parents=True)
        (self.below / "old/kept").write_text("of the image")
        (self.below / "old/replaced").write_text("of the image")
        (self.below / "link").symlink_to("old/deep")
        (self.below / "gone/inside/seen").write_text("never again")
        os.mknod(self.above / "gone", stat.S_IFCHR, os.makedev(0, 0))

    def write(self, path: str, text: str = "text", mode: int = 0o644) -> Path:
        file = self.source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def mounts(self, name: str) -> tuple[Mount, ...]:
        upper, work = self.directory / name, self.directory / f"{name}-work"
        upper.mkdir()
        work.mkdir()
        layers = (f"lowerdir={self.above}:{self.below}", f"upperdir={upper}", f"workdir={work}")
        return (Mount("overlay", "overlay", "", layers),)

    def copy(self, mounts: tuple[Mount, ...], action: CopyFiles, *, past: bool) -> None:
        with opened([Mount.bind(str(self.source), "")]) as source, filled(mounts) as (root, upper):
            copy_files(action, select(action, Tree(source, "stage")), root, upper=upper if past else -1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path)
    directories.remove_tree(str(tmp_path))


def layer(mounts: tuple[Mount, ...]) -> bytes:
    """The tar, without the times of directories that were there or were made now."""
    parts: list[bytes] = []
    diff(mounts, parts.append, mtime=0)
    return b"".join(parts)


def new(world: World) -> None:
    world.write("files/a/one", "1")
    world.write("files/a/b/two", "2", 0o4755)
    world.write("files/a/b/empty", "", 0o000)
    (world.source / "files/a/link").symlink_to("b/two")
    os.mkfifo(world.source / "files/a/pipe")
    (world.source / "files/a/b").chmod(0o2770)


def over_old(world: World) -> None:
    world.write("old/replaced", "of the source")
    world.write("old/new/x", "x")
    world.write("link/y", "y")  # through the image's link
    world.write("gone/inside/z", "z")


def several_names(world: World) -> None:
    first = world.write("old/first", "several names")
    for name in ("old/second", "fresh/third", "fresh/below/fourth"):
        (world.source / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(first, world.source / name)
    world.write("fresh/below/alone", "one name")
    inner = world.write("fresh/inner", "several, all in what is new")
    os.link(inner, world.source / "fresh/below/inner")


def attributes(world: World) -> None:
    file = world.write("fresh/file")
    os.setxattr(file, "user.word", b"kept")
    os.setxattr(file.parent, "user.word", b"kept, too")


@pytest.mark.parametrize("fill", [new, over_old, several_names, attributes])
@pytest.mark.parametrize("destination", ["/", "/app", "/made/now", "/link", "/gone"])
@pytest.mark.parametrize(
    "options", [{}, {"owner": "7:9"}, {"mode": Mode.parse("u=rwX,go=")}], ids=["", "owner", "mode"]
)
def test_the_layer_is_the_same(
    world: World, fill: Callable[[World], None], destination: str, options: dict[str, object]
) -> None:
    fill(world)
    action = CopyFiles((".",), destination, into_directory=True, **options)  # type: ignore[arg-type]
    through, past = world.mounts("through"), world.mounts("past")
    world.copy(through, action, past=False)
    world.copy(past, action, past=True)
    assert layer(past) == layer(through)


def test_what_is_new_is_written_where_it_lies(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    new(world)
    devices: list[int] = []
    write = Target.write_file

    def noting(self: Target, parent: int, *rest: object, **further: object) -> None:
        devices.append(os.fstat(parent).st_dev)
        write(self, parent, *rest, **further)  # type: ignore[arg-type]

    monkeypatch.setattr(Target, "write_file", noting)
    mounts = world.mounts("past")
    with opened([Mount.bind(str(world.source), "")]) as source, filled(mounts) as (root, upper):
        action = CopyFiles(("files",), "/files", into_directory=True)
        copy_files(action, select(action, Tree(source, "stage")), root, upper=upper)
        seen = os.open("files/a/one", os.O_RDONLY, dir_fd=root)
        with open(seen, "rb") as file:
            assert file.read() == b"1"
    assert devices == [os.stat(world.directory / "past").st_dev] * 3
    made, was = os.stat(world.directory / "past/files/a"), os.stat(world.source / "files/a")
    assert made.st_mtime_ns == was.st_mtime_ns


def test_a_mark_of_the_overlays_own_is_refused(world: World) -> None:
    (world.source / "fresh").mkdir()
    os.mknod(world.source / "fresh/hidden", stat.S_IFCHR, os.makedev(0, 0))
    mounts = world.mounts("past")
    with pytest.raises(PermissionError):
        world.copy(mounts, CopyFiles((".",), "/", into_directory=True), past=True)


def test_it_can_be_filled_more_than_once(world: World) -> None:
    mounts = world.mounts("past")
    for name in ("one", "two"):
        world.write(f"{name}/file", name)
        world.copy(mounts, CopyFiles((name,), f"/{name}", into_directory=True), past=True)
    assert {path.name for path in (world.directory / "past").rglob("*")} == {"one", "two", "file"}
    assert (world.directory / "past-work" / MARK).exists()
