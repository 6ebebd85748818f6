import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kist.bootstrap.dpkg_database import database
from kist.bootstrap.normalise import normalise
from kist.bootstrap.tree import Tree
from kist.bootstrap.unpack import merge_usr, unpack_all
from kist.errors import Corrupt

Make = Callable[..., Any]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("outside")
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def unpack(tmp_path: Path, root: Path, make_deb: Make) -> Make:
    def run(*packages: dict[str, Any]) -> Any:
        files = []
        for number, package in enumerate(packages):
            path = tmp_path / f"{number}.deb"
            path.write_bytes(make_deb(**package))
            files.append(str(path))
        return unpack_all(str(root), files, lambda _: None)

    return run


def test_files_directories_and_links_get_their_modes_and_times(root: Path, unpack: Make, make: Make) -> None:
    files = [
        make("./", kind="directory"),
        make("./usr/", kind="directory", mode=0o2775),
        make("./usr/tool", b"#!", mode=0o4755),
        make("./usr/link", link="tool", kind="symlink"),
        make("./usr/absolute", link="/etc/passwd", kind="symlink"),
        make("./usr/hard", link="./usr/tool", kind="hardlink"),
    ]
    (package,) = unpack({"files": files})
    assert package.paths == ("", "usr", "usr/tool", "usr/link", "usr/absolute", "usr/hard")
    assert (root / "usr").stat().st_mode & 0o7777 == 0o2775
    assert (root / "usr/tool").stat().st_mode & 0o7777 == 0o4755
    assert (root / "usr/tool").stat().st_ino == (root / "usr/hard").stat().st_ino
    assert os.readlink(root / "usr/absolute") == "/etc/passwd"
    assert {int((root / p).lstat().st_mtime) for p in package.paths} == {1_700_000_000}


def test_the_first_package_settles_a_shared_directory(root: Path, unpack: Make, make: Make) -> None:
    shared = [{"files": [make("./srv/", kind="directory", mode=mode)]} for mode in (0o750, 0o755, 0o700)]
    unpack(*shared)
    assert (root / "srv").stat().st_mode & 0o777 == 0o750


def test_a_directory_that_is_a_link_stays_one_on_a_merged_system(root: Path, unpack: Make, make: Make) -> None:
    with Tree(str(root)) as tree:
        merge_usr(tree, "amd64")
    unpack(
        {
            "files": [
                make("./bin/", kind="directory"),
                make("./bin/sh", b"x"),
                make("./lib", link="usr/lib", kind="symlink"),
            ]
        }
    )
    assert os.readlink(root / "bin") == "usr/bin"
    assert (root / "usr/bin/sh").read_bytes() == b"x"
    assert sorted(os.listdir(root)) == ["bin", "lib", "lib64", "sbin", "usr"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("/etc/passwd", {}, "leads out of the root"),
        ("../outside", {}, "leads out of the root"),
        ("./a/../../outside", {}, "leads out of the root"),
        ("./hard", {"kind": "hardlink", "link": "../outside"}, "leads out of the root"),
        ("./hard", {"kind": "hardlink", "link": "/outside"}, "leads out of the root"),
        ("./dev", {"kind": "device"}, "is a device"),
        ("./fifo", {"kind": "fifo"}, "is a device"),
        ("./no/directory", {}, "No such file"),
        ("./file/below", {}, "Not a directory"),
        ("./file", {}, "is there already"),
        ("./loop/file", {}, "Too many levels of symbolic links"),
        (f"./{'x' * 300}", {}, "File name too long"),
    ],
)
def test_bad_paths_are_refused(root: Path, unpack: Make, make: Make, name: str, options: Any, message: str) -> None:
    with pytest.raises(Corrupt, match=f"the package hello 1.0-1 cannot be unpacked: .*{message}"):
        unpack(
            {
                "files": [
                    make("./file", b""),
                    make("./loop", link="loop", kind="symlink"),
                    make(name, b"evil" if not options else b"", **options),
                ]
            }
        )
    assert (root.parent / "outside").read_text() == "outside"


@pytest.mark.parametrize("target", ["..", "/", "../..", "/../../.."])
def test_a_link_never_leads_out(root: Path, unpack: Make, make: Make, target: str) -> None:
    unpack({"files": [make("./out", link=target, kind="symlink"), make("./out/outside", b"evil")]})
    assert (root.parent / "outside").read_text() == "outside"
    assert (root / "outside").read_bytes() == b"evil"


def test_a_link_in_place_of_a_file_is_not_written_through(root: Path, unpack: Make, make: Make) -> None:
    with pytest.raises(Corrupt, match="/x is there already"):
        unpack({"files": [make("./x", link="../outside", kind="symlink"), make("./x", b"evil")]})
    assert (root.parent / "outside").read_text() == "outside"


def test_a_hard_link_to_a_link_does_not_reach_what_that_points_to(root: Path, unpack: Make, make: Make) -> None:
    unpack({"files": [make("./x", link="../outside", kind="symlink"), make("./y", link="./x", kind="hardlink")]})
    assert os.readlink(root / "y") == "../outside"


def test_two_packages_with_the_same_file_are_refused(unpack: Make, make: Make) -> None:
    with pytest.raises(Corrupt, match="/file is there already"):
        unpack({"files": [make("./file", b"a")]}, {"files": [make("./file", b"b")]})


def test_dpkg_finds_its_database(unpack: Make, make: Make) -> None:
    packages = unpack(
        {
            "fields": "Multi-Arch: same\n",
            "files": [
                make("./", kind="directory"),
                make("./etc", kind="directory"),
                make("./etc/c", b"1"),
                make("./f", b"2"),
            ],
            "control": [
                ("conffiles", b"/etc/c\n"),
                ("postinst", b"#!/bin/sh\n"),
                ("triggers", b"interest-noawait /usr/share/x\ninterest ld\nactivate-noawait y\n"),
            ],
        }
    )
    files = {file.path.removeprefix("var/lib/dpkg/"): file for file in database(packages)}
    assert files["info/hello:all.list"].data == b"/.\n/etc\n/etc/c\n/f\n"
    assert files["info/hello:all.md5sums"].data == b"c81e728d9d4c2f636f067f89cc14862c  f\n"
    assert files["info/hello:all.postinst"].mode == 0o755
    assert files["triggers/File"].data == b"/usr/share/x hello:all/noawait\n"
    assert files["triggers/ld"].data == b"hello:all\n"
    status = files["status"].data.decode()
    assert "Status: install ok unpacked\n" in status
    assert "Conffiles:\n /etc/c c4ca4238a0b923820dcc509a6f75849b\n" in status
    assert "info/hello:all.control" not in files


def test_a_system_is_cleaned(root: Path) -> None:
    gone = [
        "etc/hostname",
        "etc/passwd-",
        "tmp/x/y",
        "var/cache/debconf/config.dat-old",
        "var/cache/ldconfig/aux-cache",
        "var/lib/apt/lists/x",
        "var/log/dpkg.log",
    ]
    emptied = ["etc/machine-id", "var/log/faillog"]
    kept = ["etc/passwd", "var/cache/debconf/config.dat", "var/lib/dpkg/status"]
    for path in (*gone, *emptied, *kept):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("text")
    with Tree(str(root)) as tree:
        normalise(tree)
        normalise(tree)
    assert not [path for path in gone if (root / path).exists()]
    assert [(root / path).read_text() for path in (*emptied, *kept)] == ["", "", "text", "text", "text"]
    assert (root / "var/cache/ldconfig").is_dir()
    assert (root / "run/lock").stat().st_mode & 0o7777 == 0o1777


def test_many_directories_do_not_use_up_the_descriptors(root: Path, unpack: Make, make: Make) -> None:
    names = [f"./d{n}" for n in range(400)]
    unpack({"files": [e for n in names for e in (make(n, kind="directory"), make(f"{n}/f", b"x"))]})
    assert len(list(root.glob("*/f"))) == 400


def test_a_tar_that_ends_early_is_refused(
    tmp_path: Path, root: Path, make: Make, make_ar: Make, make_tar: Make
) -> None:
    whole = make_tar([make("./control", b"Package: x\nVersion: 1\n")])
    data = make_tar([make("./file", b"x" * 5000)])[:2048]
    path = tmp_path / "x.deb"
    path.write_bytes(make_ar([("debian-binary", b"2.0\n"), ("control.tar", whole), ("data.tar", data)]))
    with pytest.raises(Corrupt, match="x 1 cannot be unpacked"):
        unpack_all(str(root), [str(path)], lambda _: None)
