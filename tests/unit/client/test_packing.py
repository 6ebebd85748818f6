"""A build context becomes a tar archive."""

import bz2
import gzip
import io
import lzma
import os
import socket
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kist.client.packing import PIPED, alone, is_archive, pack
from kist.errors import InvalidInput, NotFound

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep (capabilities(7))


def members(directory: Path, dockerfile: str = "Dockerfile") -> dict[str, tarfile.TarInfo]:
    data = b"".join(pack(str(directory), dockerfile))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_files_directories_and_links(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(os.urandom(1500))
    (tmp_path / "d" / "f").chmod(0o751)
    (tmp_path / "link").symlink_to("../outside")
    (tmp_path / ("n" * 200)).write_text("long name")
    (tmp_path / "ü").write_text("")
    data = b"".join(pack(str(tmp_path)))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["d", "d/f", "link", "n" * 200, "ü"]
        opened = archive.extractfile("d/f")
        assert opened
        assert opened.read() == (tmp_path / "d" / "f").read_bytes()
        found = archive.getmember("d/f")
        assert (found.mode, found.uid, found.uname) == (0o751, 0, "")
        assert archive.getmember("link").linkname == "../outside"
    assert data == b"".join(pack(str(tmp_path))), "the same tree gives the same bytes"


def test_a_dockerfile_alone_is_a_context() -> None:
    data = b"".join(alone(b"FROM base"))
    assert is_archive(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        opened = archive.extractfile("Dockerfile")
        assert opened
        assert (archive.getnames(), opened.read()) == (["Dockerfile"], b"FROM base")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, bytes])
def test_an_archive_is_told_from_a_dockerfile(compress: Callable[[bytes], bytes]) -> None:
    assert is_archive(compress(b"".join(alone(b"FROM base")))[:512])
    assert not is_archive(b"\xef\xbb\xbf# syntax=docker/dockerfile:1\nFROM base\n")


def test_what_the_ignore_file_leaves_out_is_not_read(tmp_path: Path) -> None:
    for name in ("a.txt", "a.log", "keep.log", "sub/b.log", "sub/c.txt", "out/x", "out/y/keep"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / ".dockerignore").write_text("**/*.log\n!keep.log\nout\n!out/y/keep\nDockerfile\n.dockerignore\n")
    (tmp_path / "Dockerfile").write_text("FROM x")
    assert set(members(tmp_path)) == {
        ".dockerignore", "Dockerfile", "a.txt", "keep.log", "out/y/keep", "sub", "sub/c.txt",
    }  # fmt: skip


def test_a_dockerfile_in_an_ignored_directory_is_sent(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "test").write_text("FROM x")
    (tmp_path / "docker" / "other").write_text("FROM x")
    (tmp_path / ".dockerignore").write_text("docker\n")
    assert set(members(tmp_path, "docker/test")) == {".dockerignore", "docker/test"}


@pytest.mark.parametrize(
    ("ignored", "told", "names"),
    [
        (None, b".dockerignore\n\n.dockerfile.piped\n", {"a", "b", "Dockerfile"}),
        ("b\nDockerfile", b"b\nDockerfile\n.dockerfile.piped\n", {"a"}),
    ],
)
def test_a_dockerfile_from_elsewhere_is_in_it_and_for_no_copy(
    tmp_path: Path, ignored: str | None, told: bytes, names: set[str]
) -> None:
    for name in ("a", "b", "Dockerfile", PIPED):
        (tmp_path / name).write_text("the directory's")
    if ignored is not None:
        (tmp_path / ".dockerignore").write_text(ignored)
    data = b"".join(pack(str(tmp_path), PIPED, b"FROM here"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert sorted(archive.getnames()) == sorted({".dockerignore", PIPED} | names), "each once"
        contents = {name: archive.extractfile(name).read() for name in (".dockerignore", PIPED)}  # type: ignore[union-attr]
    assert contents == {".dockerignore": told, PIPED: b"FROM here"}


@pytest.mark.parametrize(("text", "expected"), [("b\n", {"a"}), ("", {"a", "b"})])
def test_a_dockerfiles_own_ignore_file_goes_before_that_of_all(tmp_path: Path, text: str, expected: set[str]) -> None:
    for name in ("a", "b", "Dockerfile", "x.Dockerfile"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text("a\n*Dockerfile\n")
    (tmp_path / "x.Dockerfile.dockerignore").write_text(text)
    sent = set(members(tmp_path, "x.Dockerfile"))
    assert {"x.Dockerfile", "x.Dockerfile.dockerignore", ".dockerignore"} <= sent
    assert sent & {"a", "b"} == expected
    assert set(members(tmp_path)) & {"a", "b"} == {"b"}


def test_what_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(300):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(InvalidInput, match="nested deeper than 256 directories"):
        members(tmp_path)
    (tmp_path / ".dockerignore").write_text("d\n")
    assert set(members(tmp_path)) == {".dockerignore"}


def test_pipes_are_sent_and_sockets_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o640)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        (pipe,) = members(tmp_path).values()
    assert (pipe.name, pipe.type, pipe.mode) == ("pipe", tarfile.FIFOTYPE, 0o640)


@pytest.mark.root("makes a device")
def test_a_device_is_refused_unless_it_is_left_out(tmp_path: Path) -> None:
    os.mknod(tmp_path / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with pytest.raises(InvalidInput, match="'zero' in the build context is a device"):
        members(tmp_path)
    (tmp_path / ".dockerignore").write_text("zero\n")
    assert set(members(tmp_path)) == {".dockerignore"}


def test_names_of_one_file_are_hard_links(tmp_path: Path) -> None:
    (tmp_path / "left-out").write_text("content")
    for name in ("a", "b", "c"):
        os.link(tmp_path / "left-out", tmp_path / name)
    (tmp_path / "other").write_text("content")
    (tmp_path / ".dockerignore").write_text("left-out\n")
    found = members(tmp_path)
    assert {name: found[name].linkname for name in ("a", "b", "c", "other")} == {
        "a": "",
        "b": "a",
        "c": "a",
        "other": "",
    }
    assert (found["a"].size, found["b"].type, found["other"].type) == (7, tarfile.LNKTYPE, tarfile.REGTYPE)


def test_capabilities_and_what_users_have_set_go_along(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("content")
    try:
        os.setxattr(tmp_path / "d", "user.of-the-directory", b"1=2\n")
        os.setxattr(tmp_path / "d/f", "user.empty", b"")
        os.setxattr(tmp_path / "d/f", "user.kist.pretended", b"12:34")
    except OSError as error:
        pytest.skip(f"the file system of the tests has no attributes: {error}")
    expected = {"d": {"SCHILY.xattr.user.of-the-directory": "1=2\n"}, "d/f": {"SCHILY.xattr.user.empty": ""}}
    if os.geteuid() == 0:
        os.setxattr(tmp_path / "d/f", "security.capability", CAPABILITY)
        expected["d/f"]["SCHILY.xattr.security.capability"] = CAPABILITY.decode("utf-8", "surrogateescape")
    assert {name: member.pax_headers for name, member in members(tmp_path).items()} == expected


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="unable to prepare context"):
        list(pack(str(tmp_path / "none")))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 3_000_000)
    pieces = pack(str(tmp_path))
    next(pieces), next(pieces)
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(InvalidInput, match="became shorter"):
        list(pieces)
