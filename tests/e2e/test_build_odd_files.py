"""Contexts, archives and stages with files that are not just files: kept, or refused with a clear word."""

import contextlib
import io
import os
import shutil
import socket
import struct
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

import needs
from kist.store import directories
from rootless_user import User
from storages import a_cli_on

NAME = os.fsdecode(b"caf\xe9")
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep (capabilities(7))
HOLE = 2 << 20
ENDLESS = 1 << 50  # bytes
WAYS = """\
FROM scratch AS copied
COPY t /copied
FROM scratch AS added
ADD t.tar /added
FROM copied AS from
COPY --from=copied /copied /from
FROM from
COPY --from=added /added /added
"""


def odd_files(directory: Path) -> None:
    """A file of every kind that a user, or root, may make."""
    directory.mkdir(parents=True)
    (directory / "a").write_text("text")
    (directory / "z").mkdir()
    for name in ("b", "z/c"):
        os.link(directory / "a", directory / name)
    with (directory / "sparse").open("wb") as file:
        file.truncate(HOLE)
        file.seek(HOLE // 2)
        file.write(b"x")
    os.mkfifo(directory / "pipe", 0o640)
    (directory / NAME).write_text("latin")
    (directory / "link").symlink_to(NAME)
    (directory / "suid").write_text("")
    (directory / "suid").chmod(0o4711)
    (directory / "sticky").mkdir()
    (directory / "sticky").chmod(0o3777)
    (directory / "old").write_text("")
    os.utime(directory / "old", (-5, -5))
    os.setxattr(directory / "a", "user.file", b"1\0")
    os.setxattr(directory / "z", "user.directory", b"2")
    if os.geteuid() == 0:
        (directory / "capable").write_text("")
        os.setxattr(directory / "capable", "security.capability", CAPABILITY)
    with socket.socket(socket.AF_UNIX) as bound:
        above = os.open(directory, os.O_PATH)  # a socket's path has 107 bytes
        bound.bind(f"/proc/self/fd/{above}/socket")
        os.close(above)


def archive_of(directory: Path, *names: str) -> bytes:
    """As GNU tar writes it with attributes and holes."""
    words = ["tar", "-c", "--sparse", "--format=posix", "--xattrs", "--xattrs-include=*", "-C", str(directory), *names]
    return subprocess.run(words, check=True, capture_output=True).stdout


def seen(data: bytes) -> dict[str, Any]:
    """What is at each path of an archive."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isreg() else None
            content = opened.read() if opened else b""
            if len(content) == HOLE:
                content = content.strip(b"\0")
            xattrs = {name.removeprefix("SCHILY.xattr."): value for name, value in member.pax_headers.items()}
            xattrs = {name: value for name, value in xattrs.items() if name.startswith(("user.", "security."))}
            kind = {tarfile.AREGTYPE: tarfile.REGTYPE}.get(member.type, member.type)
            found[member.name] = (kind, member.mode, member.linkname, content, xattrs, member.size)
    return found


def expected(top: str) -> dict[str, Any]:
    """The same of ``odd_files`` below a directory."""
    file, link, name, directory, pipe = (tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, b"6")
    found = {
        "a": (file, 0o644, "", b"text", {"user.file": "1\0"}, 4),
        "b": (link, 0o644, f"{top}/a", b"", {}, 0),
        NAME: (file, 0o644, "", b"latin", {}, 5),
        "link": (name, 0o777, NAME, b"", {}, 0),
        "old": (file, 0o644, "", b"", {}, 0),
        "pipe": (pipe, 0o640, "", b"", {}, 0),
        "sparse": (file, 0o644, "", b"x", {}, HOLE),
        "sticky": (directory, 0o3777, "", b"", {}, 0),
        "suid": (file, 0o4711, "", b"", {}, 0),
        "z": (directory, 0o755, "", b"", {"user.directory": "2"}, 0),
        "z/c": (link, 0o644, f"{top}/a", b"", {}, 0),
    }
    if os.geteuid() == 0:
        capability = CAPABILITY.decode("utf-8", "surrogateescape")
        found["capable"] = (file, 0o644, "", b"", {"security.capability": capability}, 0)
    return {f"{top}/{name}": what for name, what in found.items()}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A context of such files, as they are and in an archive."""
    where = tmp_path / "context"
    try:
        odd_files(where / "t")
    except OSError as error:
        pytest.skip(f"the file system of the tests cannot have such files: {error}")
    (where / "t.tar").write_bytes(archive_of(where / "t", "."))
    (where / "Dockerfile").write_text(WAYS)
    return where


STORAGES = [
    "overlay",
    pytest.param("copy", marks=needs.LONG),
    pytest.param("btrfs", marks=[needs.LONG, pytest.mark.root("mounts a file system")]),
]


@pytest.mark.parametrize("storage", STORAGES)
def test_odd_files_are_kept_in_every_way(storage: str, odd: Path, tmp_path: Path) -> None:
    tops = ("copied", "added", "from")
    with a_cli_on(storage, tmp_path / "kist") as cli:
        out, again = tmp_path / "out.tar", tmp_path / "again.tar"
        cli.good("build", "-q", "-t", "odd:1", "-o", "type=image", "-o", f"type=tar,dest={out}", str(odd))
        found = seen(out.read_bytes())
        for top in tops:
            assert {path: what for path, what in found.items() if path.startswith(f"{top}/")} == expected(top)
        # The same context as an archive is known.
        told = cli("build", "-o", f"type=tar,dest={again}", "-", stdin=archive_of(odd, "."))
        assert told.returncode == 0, told.stderr
        assert told.stderr.count("CACHED") == 8, told.stderr
        assert seen(again.read_bytes()) == found
        # Layers are what was copied: another engine's files are made of them.
        cli.good("save", "-o", str(out), "odd:1")
        cli.good("rmi", "odd:1")
        cli.good("builder", "prune", "-af")
        cli.good("load", "-i", str(out))
        (odd / "Dockerfile").write_text("FROM scratch\nCOPY --from=odd:1 / /\n")
        cli.good("build", "-q", "-o", f"type=tar,dest={again}", str(odd))
        assert seen(again.read_bytes()) == found


BOTH = pytest.mark.parametrize("user", ["range", "alone"], indirect=True)


OTHERS = {"of-33": (33, 33), "of-70000": (70000, 70000)}


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def member(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.root("becomes ordinary users itself")
@BOTH
def test_a_user_builds_of_an_archive_with_others_files(user: User) -> None:
    """As ``tar c . | kist build -`` of anybody's directory: the image's owners are COPY's, and the added archive's."""
    inner = packed(*((member(name, uid=uid, gid=gid), b"") for name, (uid, gid) in OTHERS.items()))
    dockerfile = "FROM busybox:test\nCOPY t /t\nADD inner.tar /i\nRUN stat -c '%n %u %g' /t/* /i/of-33\n"
    context = packed(
        (member("Dockerfile", uid=70000, gid=1234), dockerfile.encode()),
        (member("t/file", uid=70000, gid=33), b""),
        (member("t/mine", uid=1000, gid=1000), b""),
        (member("inner.tar"), inner),
    )
    done = user("build", "--progress", "plain", "-t", "others:1", "-", stdin=context)
    assert done.returncode == 0, done.stderr
    told = done.stderr.decode()
    assert " /t/file 0 0\n" in told
    assert " /t/mine 0 0\n" in told
    archive = user("build", "-q", "-o", "-", "-", stdin=context).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        owners = {name: (files.getmember(f"i/{name}").uid, files.getmember(f"i/{name}").gid) for name in OTHERS}
    assert owners == OTHERS


@pytest.mark.root("becomes ordinary users itself")
@BOTH
def test_a_device_of_a_user_stays_one_from_stage_to_stage(user: User) -> None:
    """An ordinary user's engine cannot have it; its layers have."""
    device = member("d/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    plain = member("d/empty", mode=0, uid=33, gid=33)
    dockerfile = b"FROM scratch AS made\nADD a.tar /\nFROM scratch\nCOPY --from=made --chown=5:6 /d /copied\n"
    context = packed((member("Dockerfile"), dockerfile), (member("a.tar"), packed((device, b""), (plain, b""))))
    archive = user("build", "-q", "-o", "-", "-", stdin=context).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        found = files.getmember("copied/null")
        assert (found.type, found.devmajor, found.devminor, found.mode) == (tarfile.CHRTYPE, 1, 3, 0o666)
        assert (found.uid, found.gid) == (5, 6)
        empty = files.getmember("copied/empty")
        assert (empty.isreg(), empty.mode, empty.uid, empty.gid) == (True, 0, 5, 6)


@pytest.mark.root("becomes ordinary users itself")
@BOTH
def test_a_file_that_the_user_may_not_read_is_named(user: User) -> None:
    context = user.who.home / "unreadable"
    context.mkdir()
    user.file("unreadable/Dockerfile", "FROM scratch\nCOPY . /\n")
    (context / "secret").write_text("of root")
    (context / "secret").chmod(0o600)
    try:
        told = user.refused("build", str(context))
        assert '"secret" cannot be read: permission denied' in told
        assert "add it to .dockerignore: secret" in told
        user.file("unreadable/.dockerignore", "secret\n")
        user.good("build", "-q", str(context))
    finally:
        shutil.rmtree(context)


def nested(levels: int) -> str:
    return "/".join(["d"] * levels)


def test_what_is_nested_too_deep_is_told(cli: Any, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    place = os.open(context, os.O_RDONLY)
    for _ in range(300):  # 5,000 are one of the unit tests
        os.mkdir("d", dir_fd=place)
        deeper = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    try:
        done = cli("build", str(context))
        assert done.returncode
        assert "nested deeper than 256 directories" in done.stderr
        assert ".dockerignore" in done.stderr
    finally:
        directories.remove_tree(str(context / "d"))


@pytest.mark.parametrize("levels", [300, 5000])
@pytest.mark.parametrize("way", ["context", "added"])
def test_an_archive_that_is_nested_too_deep_is_told(cli: Any, levels: int, way: str) -> None:
    deep = (member(nested(levels) + "/file"), b"")
    dockerfile = member("Dockerfile"), b"FROM scratch\n" + (b"COPY . /\n" if way == "context" else b"ADD a.tar /\n")
    data = packed(dockerfile, deep) if way == "context" else packed(dockerfile, (member("a.tar"), packed(deep)))
    done = cli("build", "-", stdin=data)
    assert done.returncode
    assert "nested deeper than 256 directories" in done.stderr


@pytest.mark.parametrize(
    ("way", "kind", "words"),
    [
        ("context", "device", "a device node is not allowed here"),
        ("context", "old sparse", "sparse"),
        ("added", "old sparse", "sparse"),
        ("context", "link to itself", "a hard link to itself, and nothing is there"),
        ("context", "hole", "file too large"),
        ("context", "attributes", "too many extended attributes"),
        ("added", "attributes", "too many extended attributes"),
    ],
)
def test_what_an_archive_cannot_bring_is_named(cli: Any, tmp_path: Path, way: str, kind: str, words: str) -> None:
    if kind == "device":
        odd = packed((member("t/odd", type=tarfile.CHRTYPE, devmajor=1, devminor=5), b""))
    elif kind == "link to itself":
        odd = packed((member("t/odd", type=tarfile.LNKTYPE, linkname="./t/odd"), b""))
    elif kind == "hole":
        with (tmp_path / "probe").open("wb") as file, contextlib.suppress(OSError):
            file.truncate(ENDLESS)
            pytest.skip("the file system of the tests takes a file of a petabyte")
        told = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "t/odd"}
        told["GNU.sparse.realsize"] = str(ENDLESS)
        odd = packed((member("t/odd", pax_headers=told), (b"1\n%d\n0\n" % ENDLESS).ljust(512, b"\0")))
    elif kind == "attributes":
        names = [f"user.number{number:04}" for number in range(2000)]
        (tmp_path / "probe").touch()
        with contextlib.suppress(OSError):
            for name in names:
                os.setxattr(tmp_path / "probe", name, b"value")
            pytest.skip("the file system of the tests takes a file of 2,000 attributes")
        odd = packed((member("t/odd", pax_headers={f"SCHILY.xattr.{name}": "value" for name in names}), b""))
    else:
        (tmp_path / "t").mkdir()
        with (tmp_path / "t/odd").open("wb") as file:
            file.truncate(HOLE)
        made = ["tar", "-c", "--sparse", "--format=gnu", "-C", str(tmp_path), "t/odd"]
        odd = subprocess.run(made, check=True, capture_output=True).stdout
    if way == "context":
        data = packed((member("Dockerfile"), b"FROM scratch\nCOPY t /\n"))[:-10240] + odd
    else:
        data = packed((member("Dockerfile"), b"FROM scratch\nADD a.tar /\n"), (member("a.tar"), odd))
    done = cli("build", "-", stdin=data)
    assert done.returncode
    assert "t/odd" in done.stderr
    assert words in done.stderr
