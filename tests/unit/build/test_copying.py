"""COPY and ADD between plain directories: what lands where, and what is refused."""

import io
import os
import stat
import struct
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from kist.build.context import Context
from kist.build.copying import copy_files
from kist.build.plan import CopyFiles
from kist.build.selection import select
from kist.build.tree import Tree
from kist.errors import Corrupt, InvalidInput, KistError, NotFound
from kist.spec.dockerfile.mode import Mode
from kist.store import directories

pytestmark = pytest.mark.root
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep (capabilities(7))


@pytest.fixture(autouse=True)
def _root() -> None:
    if os.geteuid():
        pytest.skip("owners are set, which only root may")


class World:
    """A context, and a tree to copy into."""

    def __init__(self, directory: Path) -> None:
        self.context = directory / "context"
        self.image = directory / "image"
        self.context.mkdir()
        self.image.mkdir()

    def write(self, path: str, text: str = "text", mode: int = 0o644) -> Path:
        file = self.context / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def copy(self, source: str | tuple[str, ...], destination: str, **options: object) -> None:
        """As the planner writes it: a slash at the end makes it a directory."""
        sources = (source,) if isinstance(source, str) else source
        action = CopyFiles(
            sources=sources,
            destination="/" + destination.strip("/"),
            into_directory=destination.endswith("/"),
            **options,  # type: ignore[arg-type]
        )
        with Context(str(self.context)) as context, opened(self.image) as root:
            copy_files(action, select(action, context.tree), root)

    def tree(self) -> dict[str, str]:
        """All paths of the image with what they are: a file's text, ``/`` for a directory, ``-> target`` for a link."""
        return {str(path.relative_to(self.image)): what(path) for path in sorted(self.image.rglob("*"))}


def what(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return "/" if path.is_dir() else path.read_text()


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# What lands where


def test_a_file_gets_the_name_of_the_destination(world: World) -> None:
    world.write("a")
    world.copy("a", "/x/y/b")
    assert world.tree() == {"x": "/", "x/y": "/", "x/y/b": "text"}


def test_a_file_keeps_its_name_in_a_directory(world: World) -> None:
    world.write("d/a")
    world.copy("d/a", "/x/")
    world.copy("d/a", "/x")
    assert world.tree() == {"x": "/", "x/a": "text"}


def test_the_contents_of_a_directory_are_copied(world: World) -> None:
    world.write("d/a")
    world.write("d/e/b")
    (world.context / "d/link").symlink_to("/nowhere")
    world.copy("d", "/x")
    assert world.tree() == {"x": "/", "x/a": "text", "x/e": "/", "x/e/b": "text", "x/link": "-> /nowhere"}


def test_the_whole_context_is_copied(world: World) -> None:
    world.write("a")
    world.write("d/b")
    world.copy(".", "/")
    assert world.tree() == {"a": "text", "d": "/", "d/b": "text"}


def test_a_directory_is_merged_with_what_is_there(world: World) -> None:
    (world.image / "x/e").mkdir(parents=True)
    (world.image / "x/e/old").write_text("old")
    (world.image / "x/e/b").write_text("old")
    world.write("d/e/b", "new")
    world.copy("d", "/x/")
    assert world.tree() == {"x": "/", "x/e": "/", "x/e/b": "new", "x/e/old": "old"}


def test_directories_below_become_as_the_sources_and_the_one_at_the_top_stays(world: World) -> None:
    for path in (world.image / "x", world.image / "x/e"):
        path.mkdir(mode=0o700)
        os.chown(path, 7, 7)
    world.write("d/e/f")
    (world.context / "d/e").chmod(0o750)
    world.copy("d", "/x")
    found = [(world.image / path).stat() for path in ("x", "x/e")]
    assert [(status.st_uid, stat.S_IMODE(status.st_mode)) for status in found] == [(7, 0o700), (0, 0o750)]


def test_a_new_directory_at_the_top_is_a_plain_one(world: World) -> None:
    world.write("d/f")
    (world.context / "d").chmod(0o700)
    world.copy("d", "/x")
    assert stat.S_IMODE((world.image / "x").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.c", ["a.c", "b.c"]),
        ("?.h", ["a.h"]),
        ("[b-z].c", ["b.c"]),
        ("[^b].c", ["a.c"]),
        ("d/*.c", ["c.c"]),
        ("*/*.c", ["c.c", "d.c"]),
        (r"\**", ["*"]),
        ("*[*]*", ["*"]),
    ],
)
def test_wildcards(world: World, pattern: str, found: list[str]) -> None:
    for name in ("a.c", "b.c", "a.h", "d/c.c", "e/d.c", "*"):
        world.write(name)
    world.copy(pattern, "/x/")
    assert sorted(os.listdir(world.image / "x")) == found


def test_several_sources(world: World) -> None:
    world.write("a")
    world.write("d/b")
    world.copy(("a", "d"), "/x/")
    assert world.tree() == {"x": "/", "x/a": "text", "x/b": "text"}


def test_a_wildcard_that_matches_several_needs_a_directory(world: World) -> None:
    world.write("a.c")
    world.write("b.c")
    with pytest.raises(InvalidInput, match="not written as a directory") as caught:
        world.copy("*.c", "/x")
    assert "/x/" in caught.value.hint


# Modes, owners, times


def test_mode_and_time_are_kept_and_the_owner_is_root(world: World) -> None:
    file = world.write("d/a", mode=0o4751)
    os.chown(file, 7, 7)
    file.chmod(0o4751)
    (world.context / "d").chmod(0o2770)
    for path in (file, world.context / "d"):
        os.utime(path, ns=(10**18 + 1, 10**18 + 1))
    world.copy(".", "/x/")
    for name, mode in (("x/d/a", 0o4751), ("x/d", 0o2770)):
        status = (world.image / name).stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 0, mode)
        assert status.st_mtime_ns == 10**18 + 1


def test_missing_parents_are_plain_directories(world: World) -> None:
    world.write("a")
    old = os.umask(0o077)
    try:
        world.copy("a", "/x/y/b")
    finally:
        os.umask(old)
    assert [stat.S_IMODE((world.image / path).stat().st_mode) for path in ("x", "x/y", "x/y/b")] == [
        0o755,
        0o755,
        0o644,
    ]


@pytest.mark.parametrize(
    ("owner", "ids"),
    [
        ("1:2", (1, 2)),
        ("5", (5, 5)),
        ("app", (1000, 100)),
        ("app:staff", (1000, 50)),
        ("app:7", (1000, 7)),
        ("9:staff", (9, 50)),
    ],
)
def test_owner(world: World, owner: str, ids: tuple[int, int]) -> None:
    (world.image / "etc").mkdir()
    (world.image / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nodd\napp:x:1000:100::/:/bin/sh\n")
    (world.image / "etc/group").write_text("root:x:0:\nstaff:x:50:\n")
    world.write("d/e/f")
    (world.context / "d/link").symlink_to("e")
    world.copy("d", "/new/x", owner=owner)
    for path in ("new", "new/x", "new/x/e", "new/x/e/f", "new/x/link"):
        status = (world.image / path).lstat()
        assert (status.st_uid, status.st_gid) == ids, path


@pytest.mark.parametrize("owner", ["4294967295", "9" * 5000, "1:99999999999"])
def test_an_id_that_is_too_large(world: World, owner: str) -> None:
    world.write("a")
    with pytest.raises(InvalidInput, match="too large"):
        world.copy("a", "/b", owner=owner)


@pytest.mark.parametrize(("owner", "what"), [("nobody", "user nobody"), ("1:nogroup", "group nogroup")])
def test_unknown_owner(world: World, owner: str, what: str) -> None:
    world.write("a")
    with pytest.raises(NotFound, match=f"unable to find {what}") as caught:
        world.copy("a", "/b", owner=owner)
    assert "--chown=1000:1000" in caught.value.hint


def test_mode_of_the_flag_counts_for_all(world: World) -> None:
    world.write("d/e/f")
    world.copy("d", "/x/", mode=Mode(0o700))
    assert stat.S_IMODE((world.image / "x/e").stat().st_mode) == 0o700
    assert stat.S_IMODE((world.image / "x/e/f").stat().st_mode) == 0o700


def test_large_files_and_empty_ones(world: World) -> None:
    (world.context / "large").write_bytes(os.urandom(3 << 20))
    (world.context / "empty").write_bytes(b"")
    world.copy(".", "/")
    assert (world.image / "large").read_bytes() == (world.context / "large").read_bytes()
    assert (world.image / "empty").read_bytes() == b""


def test_named_pipes_are_copied_and_sockets_are_not(world: World) -> None:
    os.mkfifo(world.context / "pipe")
    os.mknod(world.context / "socket", stat.S_IFSOCK | 0o600)
    world.copy(".", "/x/")
    assert stat.S_ISFIFO((world.image / "x/pipe").stat().st_mode)
    assert os.listdir(world.image / "x") == ["pipe"]


def test_names_that_are_not_utf8(world: World) -> None:
    name = os.fsdecode(b"caf\xe9")
    world.write(name)
    world.copy(".", "/x/")
    assert os.listdir(world.image / "x") == [name]


# Links in the image


def test_links_of_the_image_are_followed(world: World) -> None:
    (world.image / "usr/bin").mkdir(parents=True)
    (world.image / "bin").symlink_to("usr/bin")
    world.write("a")
    world.write("d/bin/b")
    world.copy("a", "/bin/")
    world.copy("a", "/bin/c")
    world.copy("d", "/")
    assert world.tree() == {"bin": "-> usr/bin", "usr": "/", "usr/bin": "/"} | {
        f"usr/bin/{name}": "text" for name in "abc"
    }


@pytest.mark.parametrize("target", ["/", "../../../..", "/etc", "../../etc"])
def test_links_of_the_image_never_lead_out(world: World, target: str) -> None:
    outside = world.image.parent / "etc"
    outside.mkdir()
    (world.image / "link").symlink_to(target)
    world.write("a")
    world.copy("a", "/link/")
    assert os.listdir(outside) == []
    assert not os.path.exists("/a")
    assert [path.name for path in world.image.rglob("a")] == ["a"]


def test_a_link_to_nowhere_is_made_a_directory(world: World) -> None:
    (world.image / "link").symlink_to("/data/x")
    world.write("a")
    world.copy("a", "/link/")
    assert world.tree() == {"data": "/", "data/x": "/", "data/x/a": "text", "link": "-> /data/x"}


def test_a_link_to_a_file_is_written_through(world: World) -> None:
    (world.image / "real").write_text("old")
    (world.image / "link").symlink_to("/real")
    world.write("a", "new")
    world.copy("a", "/link")
    assert world.tree() == {"link": "-> /real", "real": "new"}


@pytest.mark.parametrize("destination", ["/loop/", "/loop/a", "/loop"])
def test_links_in_a_circle_are_refused(world: World, destination: str) -> None:
    (world.image / "loop").symlink_to("loop")
    world.write("a")
    with pytest.raises((InvalidInput, OSError)):
        world.copy("a", destination)


def test_a_file_in_the_way_of_a_directory(world: World) -> None:
    (world.image / "x").write_text("file")
    world.write("d/a")
    with pytest.raises(InvalidInput, match="is not a directory"):
        world.copy("d", "/x/")


def test_a_directory_in_the_way_of_a_file(world: World) -> None:
    (world.image / "x/a").mkdir(parents=True)
    world.write("a")
    with pytest.raises(InvalidInput, match="it is a directory in the image"):
        world.copy("a", "/x/")


# What is refused


def test_a_missing_file_is_named_with_the_nearest(world: World) -> None:
    world.write("src/main.py")
    with pytest.raises(NotFound, match=r'"src/mian.py" does not exist in the build context') as caught:
        world.copy("src/mian.py", "/x")
    assert caught.value.hint == "did you mean src/main.py?"


def test_an_excluded_file_is_named_with_the_rule(world: World) -> None:
    world.write("a.log")
    world.write(".dockerignore", "# logs\n*.log\n")
    with pytest.raises(NotFound, match=r'"a.log" is excluded .* by line 2 of .dockerignore: \*.log') as caught:
        world.copy("a.log", "/x")
    assert "!a.log" in caught.value.hint


def test_excluded_files_are_not_copied(world: World) -> None:
    for name in ("a", "a.log", "d/b", "d/b.log", "e/keep/x", "e/y", "f/z"):
        world.write(name)
    world.write(".dockerignore", "**/*.log\ne\n!e/keep\nf\n.dockerignore")
    world.copy(".", "/")
    assert world.tree() == {
        "a": "text",
        "d": "/",
        "d/b": "text",
        "e": "/",
        "e/keep": "/",
        "e/keep/x": "text",
    }


def test_a_wildcard_that_matches_nothing(world: World) -> None:
    with pytest.raises(NotFound, match=r"no source files were specified: nothing in the build context matches"):
        world.copy("*.c", "/x/")


def test_a_malformed_wildcard(world: World) -> None:
    with pytest.raises(InvalidInput, match="malformed pattern"):
        world.copy("[a", "/x/")


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "d/../../outside"])
@pytest.mark.parametrize("path", ["link", "link/passwd", "li*"])
def test_a_link_out_of_the_context_is_refused(world: World, target: str, path: str) -> None:
    (world.context.parent / "outside").write_text("secret")
    (world.context / "d").mkdir()
    (world.context / "link").symlink_to(target)
    with pytest.raises(InvalidInput, match='forbidden path outside the build context: "link"') as caught:
        world.copy(path, "/x/")
    assert target in caught.value.message
    assert caught.value.hint


def test_a_link_inside_the_context_is_followed(world: World) -> None:
    world.write("d/a")
    (world.context / "d/up").symlink_to("../other")
    world.write("other/b", "b")
    (world.context / "link").symlink_to("d/up")
    world.copy("link", "/x")
    world.copy("link/b", "/y")
    assert world.tree() == {"x": "/", "x/b": "b", "y": "b"}


def test_devices_in_the_context_are_refused(world: World) -> None:
    (world.context / "d").mkdir()
    os.mknod(world.context / "d/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with pytest.raises(InvalidInput, match='"d/null" in the build context is a device'):
        world.copy("d", "/x")


def test_a_named_pipe_is_no_source(world: World) -> None:
    os.mkfifo(world.context / "pipe")
    with pytest.raises(InvalidInput, match="neither a file nor a directory"):
        world.copy("pipe", "/x")


# From another image


def test_links_of_another_image_stay_in_it(world: World, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "real").mkdir(parents=True)
    (other / "real/f").write_text("inside")
    (other / "f").symlink_to("/real/f")
    (other / "up").symlink_to("../../real")
    with opened(other) as source, opened(world.image) as root:
        for path, destination in (("f", "/a"), ("up/f", "/b"), ("up", "/c")):
            action = CopyFiles(sources=(path,), destination=destination, into_directory=False, origin="0.0")
            copy_files(action, select(action, Tree(source, "stage")), root)
    assert world.tree() == {"a": "inside", "b": "inside", "c": "/", "c/f": "inside"}


# ADD


def archive(**members: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mtime = len(text), 12, 34, 1000
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def compressed(kind: str, data: bytes) -> bytes:
    import bz2
    import gzip
    import lzma

    return {
        "plain": lambda: data,
        "gz": lambda: gzip.compress(data, mtime=0),
        "bz2": lambda: bz2.compress(data),
        "xz": lambda: lzma.compress(data),
        "zst": lambda: zstandard.compress(data),
    }[kind]()


@pytest.mark.parametrize("kind", ["plain", "gz", "bz2", "xz", "zst"])
def test_an_archive_is_unpacked(world: World, kind: str) -> None:
    (world.context / "a").write_bytes(compressed(kind, archive(**{"d/f": "one", "g": "two"})))
    world.copy("a", "/x", unpack=True)
    assert world.tree() == {"x": "/", "x/d": "/", "x/d/f": "one", "x/g": "two"}
    status = (world.image / "x/d/f").stat()
    assert (status.st_uid, status.st_gid, status.st_mtime) == (12, 34, 1000)


def test_copy_does_not_unpack(world: World) -> None:
    (world.context / "a.tar").write_bytes(archive(f="x"))
    world.copy("a.tar", "/x/")
    assert list(world.tree()) == ["x", "x/a.tar"]


@pytest.mark.parametrize(
    "data", [b"", b"text", compressed("gz", b"text"), compressed("gz", b"x" * 2000), b"\x1f\x8b\x08broken"]
)
def test_what_is_no_archive_is_copied(world: World, data: bytes) -> None:
    (world.context / "a.tar.gz").write_bytes(data)
    world.copy("a.tar.gz", "/x/", unpack=True)
    assert (world.image / "x/a.tar.gz").read_bytes() == data


def test_an_archive_that_is_cut_short(world: World) -> None:
    (world.context / "a.tar").write_bytes(archive(f="x" * 5000)[:2000])
    with pytest.raises(Corrupt):
        world.copy("a.tar", "/x/", unpack=True)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil"])
def test_an_archive_that_climbs_out(world: World, name: str) -> None:
    (world.context / "a.tar").write_bytes(archive(**{name: "x"}))
    with pytest.raises(KistError, match=r"\.\."):
        world.copy("a.tar", "/x/", unpack=True)
    assert not (world.image / "evil").exists()


def test_an_owner_reaches_into_an_archive_and_a_mode_does_not(world: World) -> None:
    (world.context / "a.tar").write_bytes(archive(**{"d/f": "x"}))
    world.copy("a.tar", "/x/", unpack=True, owner="1:2", mode=Mode.parse("0700"))
    kinds = {path: (world.image / path).stat() for path in ("x", "x/d/f")}
    assert {path: (status.st_uid, status.st_gid) for path, status in kinds.items()} == {"x": (1, 2), "x/d/f": (1, 2)}
    world.copy("a.tar", "/y/", unpack=True)
    assert (world.image / "y/d/f").stat().st_mode == kinds["x/d/f"].st_mode, "as it is in the archive"


# The context itself


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="unable to prepare context"):
        Context(str(tmp_path / "none"))


def test_a_dockerfile_that_is_not_there(world: World) -> None:
    world.write("Dockerfil")
    with Context(str(world.context)) as context, pytest.raises(NotFound, match="failed to read dockerfile") as caught:
        context.dockerfile()
    assert caught.value.hint == "did you mean -f Dockerfil?"


@pytest.mark.parametrize("path", ["../Dockerfile", "/../etc/passwd", "a/../../b", "..", "/.."])
def test_a_dockerfile_outside(world: World, path: str) -> None:
    with pytest.raises(InvalidInput, match="within the build context"):
        Context(str(world.context), dockerfile=path)


@pytest.mark.parametrize(
    ("there", "path"),
    [("d/File", "d/File"), ("d/File", "/d/File"), ("d/File", "d/../d/./File"), ("dockerfile", "Dockerfile")],
)
def test_a_dockerfile_is_found_from_the_root_of_the_context(world: World, there: str, path: str) -> None:
    world.write(there, "FROM scratch\n")
    with Context(str(world.context), dockerfile=path) as context:
        assert context.dockerfile().stages[0].base.image.text == "scratch"


def test_a_dockerfile_that_is_a_directory(world: World) -> None:
    world.write("d/x")
    with Context(str(world.context), dockerfile="d") as context, pytest.raises(InvalidInput, match="is a directory"):
        context.dockerfile()


@pytest.mark.parametrize("path", ["Dockerfile", ".dockerignore"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(world: World, path: str) -> None:
    world.write("Dockerfile", "FROM scratch\n")
    (world.context / path).unlink(missing_ok=True)
    os.mkfifo(world.context / path)
    with pytest.raises(InvalidInput, match=f'"{path}" cannot be read: is no regular file'):
        Context(str(world.context))


def test_a_dockerfile_that_no_link_leads_to(world: World) -> None:
    (world.context / "circle").symlink_to("circle")
    with Context(str(world.context), dockerfile="circle") as context, pytest.raises(InvalidInput, match="symbolic"):
        context.dockerfile()


def test_a_dockerfile_whose_name_leaves_no_room_for_one_more_word(world: World) -> None:
    world.write("n" * 255, "FROM scratch\n")
    with Context(str(world.context), dockerfile="n" * 255) as context:
        assert len(context.dockerfile().stages) == 1
    with Context(str(world.context), dockerfile="n" * 256) as context, pytest.raises(NotFound):
        context.dockerfile()


def test_an_ignored_dockerfile_is_read_all_the_same(world: World) -> None:
    world.write("Dockerfile", "FROM a")
    world.write(".dockerignore", "*")
    with Context(str(world.context)) as context:
        assert len(context.dockerfile().stages) == 1


# Contexts that somebody has meant ill with


def test_a_context_is_as_deep_as_a_layer_can_be(world: World) -> None:
    world.write("/".join("d" * 255) + "/file")
    world.write(".dockerignore", "x\n!y\n")
    world.copy(".", "/")
    assert (world.image / "/".join("d" * 255) / "file").read_text() == "text"


@pytest.mark.parametrize("levels", [300, 5000])
def test_what_is_nested_deeper_is_refused(world: World, levels: int) -> None:
    nest(world.context, levels)
    try:
        with pytest.raises(InvalidInput, match="nested deeper than 256 directories") as caught:
            world.copy(".", "/")
        assert ".dockerignore" in caught.value.hint
        world.write(".dockerignore", "d\n")
        world.write("kept")
        world.copy(".", "/x")
        assert "x/kept" in world.tree()
    finally:
        directories.remove_tree(str(world.context / "d"))


def test_holes_stay_holes(world: World) -> None:
    with open(world.context / "sparse", "wb") as sparse:
        sparse.truncate(64 << 20)
        sparse.seek(32 << 20)
        sparse.write(b"in the middle")
    world.copy("sparse", "/x/")
    status = (world.image / "x/sparse").stat()
    assert status.st_size == 64 << 20
    assert status.st_blocks * 512 < 1 << 20
    assert (world.image / "x/sparse").read_bytes() == (world.context / "sparse").read_bytes()


def test_names_of_one_file_stay_names_of_one(world: World) -> None:
    file = world.write("d/a", "text")
    for name in ("b", "e", "left-out"):
        os.link(file, world.context / "d" / name)
    world.write("d/other", "text")
    world.copy("d", "/x", excludes=("left-out",))
    found = {name: (world.image / "x" / name).stat() for name in ("a", "b", "e", "other")}
    assert {name: status.st_nlink for name, status in found.items()} == {"a": 3, "b": 3, "e": 3, "other": 1}
    assert found["a"].st_ino == found["b"].st_ino == found["e"].st_ino
    assert (world.image / "x/e").read_text() == "text"


def test_names_that_fall_together_in_the_image_are_no_links(world: World) -> None:
    """``m`` and ``n`` are one directory there, so what is first copied to it is not there any more."""
    first = world.write("d/m/f", "first")
    world.write("d/n/f", "second")
    (world.context / "d/o").mkdir()
    (world.context / "d/p").mkdir()
    os.link(first, world.context / "d/o/g")
    os.link(first, world.context / "d/p/f")
    (world.image / "x/m").mkdir(parents=True)
    (world.image / "x/n").symlink_to("m")
    (world.image / "x/p").symlink_to("o")
    os.link(first, world.context / "d/o/f")
    world.copy("d", "/x")
    texts = {path: (world.image / path).read_text() for path in ("x/m/f", "x/o/f", "x/o/g", "x/p/f")}
    assert texts == {"x/m/f": "second", "x/o/f": "first", "x/o/g": "first", "x/p/f": "first"}


def test_attributes_of_files_and_directories_are_kept(world: World) -> None:
    file = world.write("d/e/f")
    try:
        os.setxattr(file, "user.k", b"v")
        os.setxattr(file.parent, "user.d", b"w")
        os.setxattr(file, "user.kist.pretended", b"12:34")  # which nobody may say but the store
        os.setxattr(file, "security.capability", CAPABILITY)
    except OSError as error:
        pytest.skip(f"the file system of the tests has no attributes: {error}")
    world.copy("d", "/x", owner="12:34")
    image = world.image / "x/e"
    assert {name: os.getxattr(image / "f", name) for name in os.listxattr(image / "f")} == {
        "user.k": b"v",
        "security.capability": CAPABILITY,
    }
    assert os.getxattr(image, "user.d") == b"w"


def nest(directory: Path, levels: int) -> None:
    """So many directories called ``d`` in one another."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
