"""Hostile and odd archives: nothing is ever written outside the target, and every refusal names the member."""

import contextlib
import io
import os
import stat
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.errors import Corrupt, InvalidInput, KistError
from kist.image.layers import apply, unpack

DIR, SYM, HARD, CHR, FIFO = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE


def tree(directory: str) -> dict[str, str]:
    """Every path below a directory, and what is there."""
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            short = os.path.relpath(path, directory)
            if os.path.islink(path):
                found[short] = "-> " + os.readlink(path)
            elif os.path.isdir(path):
                found[short] = "/"
            elif os.path.isfile(path):
                with open(path, encoding="utf-8") as file:
                    found[short] = file.read()
            else:
                found[short] = "special"
    return found


def test_files_directories_and_links_arrive_as_they_were_packed(bottom, upper, tar, entry):
    data = tar(
        entry("./", kind=DIR, mode=0o711),
        entry("d/", kind=DIR, mode=0o1777, mtime=1_500_000_000),
        entry("d/f", "content", mode=0o4755, mtime=1_600_000_000),
        entry("d/l", kind=SYM, link="../../x"),
        entry("d/h", kind=HARD, link="d/f"),
        entry("d/p", kind=FIFO, mode=0o666),
        entry("e/implicit/f", "x", mode=0o600),
        entry("/absolute", "x"),
    )
    applied = apply(io.BytesIO(data), bottom)
    assert applied.entries == 8
    assert applied.size == len("content") + 2
    assert tree(upper) == {
        "d": "/", "d/f": "content", "d/l": "-> ../../x", "d/h": "content", "d/p": "special",
        "e": "/", "e/implicit": "/", "e/implicit/f": "x", "absolute": "x",
    }  # fmt: skip
    modes = {
        name: stat.S_IMODE(os.lstat(f"{upper}/{name}").st_mode)
        for name in (".", "d", "d/f", "d/p", "e", "e/implicit/f")
    }
    assert modes == {".": 0o711, "d": 0o1777, "d/f": 0o4755, "d/p": 0o666, "e": 0o755, "e/implicit/f": 0o600}
    assert os.stat(f"{upper}/d").st_mtime == 1_500_000_000
    assert os.stat(f"{upper}/d/f").st_mtime == 1_600_000_000
    assert os.stat(f"{upper}/d/f").st_ino == os.stat(f"{upper}/d/h").st_ino


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_owners_devices_and_attributes_arrive(bottom, upper, tar, entry):
    data = tar(
        entry("own", "x", uid=1234, gid=4321, mode=0o6755),
        entry("dir/", kind=DIR, uid=99, gid=98, mode=0o2750),
        entry("dir/inside", "x", uid=0, gid=0),
        entry("null", kind=CHR, device=(1, 3), mode=0o666),
        entry("link", kind=SYM, link="own", uid=5, gid=6),
        entry("cap", "x", pax={"SCHILY.xattr.user.note": "hi", "SCHILY.xattr.trusted.overlay.redirect": "/etc"}),
    )
    apply(io.BytesIO(data), bottom)
    status = {name: os.lstat(f"{upper}/{name}") for name in ("own", "dir", "dir/inside", "null", "link")}
    assert {name: (s.st_uid, s.st_gid) for name, s in status.items()} == {
        "own": (1234, 4321), "dir": (99, 98), "dir/inside": (0, 0), "null": (0, 0), "link": (5, 6)
    }  # fmt: skip
    assert stat.S_IMODE(status["own"].st_mode) == 0o6755
    assert stat.S_IMODE(status["dir"].st_mode) == 0o2750
    assert status["null"].st_rdev == os.makedev(1, 3)
    assert os.listxattr(f"{upper}/cap") == ["user.note"]


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ([("a", "old"), ("a", "new")], {"a": "new"}),
        ([("a/", DIR), ("a/b", "x"), ("a", "file now")], {"a": "file now"}),
        ([("a", "file"), ("a/", DIR), ("a/b", "x")], {"a": "/", "a/b": "x"}),
        ([("a/", DIR), ("a/b", "x"), ("a/", DIR)], {"a": "/", "a/b": "x"}),
        ([("a", SYM, "b"), ("a", "plain")], {"a": "plain"}),
        ([("a", "x"), ("a", SYM, "b")], {"a": "-> b"}),
        ([("a", "x"), ("b", "y"), ("b", HARD, "a")], {"a": "x", "b": "x"}),
        ([("a", "x"), ("a", HARD, "a")], {"a": "x"}),
        ([("a", SYM, "b"), ("a/", DIR)], {"a": "/"}),
        ([("b/", DIR), ("a", SYM, "b"), ("a/c", "x")], {"a": "-> b", "b": "/", "b/c": "x"}),
        ([("b/", DIR), ("a", SYM, "/b"), ("a/c", "x")], {"a": "-> /b", "b": "/", "b/c": "x"}),
        ([("a//.//b", "x"), ("./a/c", "y")], {"a": "/", "a/b": "x", "a/c": "y"}),
        ([("a/b/", DIR), ("a/b/c", "x"), ("a", "x"), ("a", SYM, "z"), ("a", "end")], {"a": "end"}),
    ],
)
def test_the_last_member_of_a_name_wins(members, wanted, bottom, upper, tar, entry):
    made = []
    for name, what, *link in members:
        if isinstance(what, bytes):
            made.append(entry(name, kind=what, link=link[0] if link else "", mode=0o755))
        else:
            made.append(entry(name, what))
    apply(io.BytesIO(tar(*made)), bottom)
    assert tree(upper) == wanted


HOSTILE = {
    "parent": ([("../evil", "x")], InvalidInput, r"'\.\./evil'.*'\.\.'"),
    "parent inside": ([("a/../../evil", "x")], InvalidInput, r"a/\.\./\.\./evil"),
    "link to outside": ([("a", SYM, "../../outside"), ("a/evil", "x")], InvalidInput, "'a' is no directory.*'a/evil'"),
    "absolute link": ([("a", SYM, "{outside}"), ("a/evil", "x")], InvalidInput, "'a' is no directory"),
    "link chain": ([("a", SYM, "b"), ("b", SYM, "{outside}"), ("a/evil", "x")], InvalidInput, "'a' is no directory"),
    "link loop": ([("a", SYM, "b"), ("b", SYM, "a"), ("a/evil", "x")], InvalidInput, "'a' is no directory"),
    "directory in a link": ([("a", SYM, "{outside}"), ("a/evil/", DIR)], InvalidInput, "'a' is no directory"),
    "file in a file": ([("a", "x"), ("a/b", "y")], InvalidInput, "'a' is no directory.*'a/b'"),
    "hard link out": ([("h", HARD, "../outside/secret")], InvalidInput, r"'\.\./outside/secret'.*member 'h'"),
    "hard link absolute": ([("h", HARD, "{outside}/secret")], Corrupt, "not there.*member 'h'"),
    "hard link through link": ([("a", SYM, "{outside}"), ("h", HARD, "a/secret")], Corrupt, "not there.*'h'"),
    "hard link to nothing": ([("h", HARD, "missing")], Corrupt, "'missing', which is not there"),
    "hard link to a directory": ([("d/", DIR), ("h", HARD, "d")], InvalidInput, "hard link to the directory 'd'"),
    "long component": ([("x" * 300, "x")], InvalidInput, "name too long"),
    "deep": ([("d/" * 600 + "f", "x")], InvalidInput, "nested deeper"),
    "root as a file": ([(".", "x")], InvalidInput, "root of the archive"),
    "empty link": ([("a", SYM, "")], InvalidInput, "'a'"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("how", ["apply", "unpack"])
def test_a_hostile_archive_is_refused_and_nothing_is_written_outside(case, how, bottom, upper, tmp_path, tar, entry):
    members, error, text = HOSTILE[case]
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    made = []
    for name, what, *link in members:
        if isinstance(what, bytes):
            target = link[0].replace("{outside}", str(outside)) if link else ""
            made.append(entry(name, kind=what, link=target, mode=0o755))
        else:
            made.append(entry(name, what))
    stream = io.BytesIO(tar(*made))
    with pytest.raises(error, match=text):
        apply(stream, bottom) if how == "apply" else unpack(stream, upper, devices=False)
    assert tree(str(outside)) == {"secret": "secret"}
    assert not (tmp_path / "evil").exists()
    assert (outside / "secret").stat().st_nlink == 1


def test_the_last_directory_is_not_followed_through_a_link_that_took_its_place(bottom, tmp_path, tar, entry):
    """A directory's attributes are set at the end; by then its name may be a link to somewhere else."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    data = tar(entry("a/", kind=DIR, mode=0o777), entry("a", kind=SYM, link=str(outside)))
    apply(io.BytesIO(data), bottom)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700


def test_devices_are_refused_in_a_context_and_named(upper, tar, entry):
    data = tar(entry("dev/sda", kind=tarfile.BLKTYPE, device=(8, 0)))
    with pytest.raises(InvalidInput, match=r"device node is not allowed here.*'dev/sda'"):
        unpack(io.BytesIO(data), upper, devices=False)
    assert tree(upper) == {"dev": "/"}


def test_a_cut_archive_is_refused_in_the_middle_of_a_file(bottom, tar, entry):
    data = tar(entry("a/b", b"x" * 5000))
    with pytest.raises(Corrupt, match="cut short"):
        apply(io.BytesIO(data[:3000]), bottom)


@pytest.mark.parametrize("size", [0, 1024])
def test_an_archive_that_ends_between_two_members_is_taken_only_where_a_digest_vouches_for_it(
    size, bottom, upper, tar, entry
):
    data = tar(entry("a", "x"))[:size]
    assert apply(io.BytesIO(data), bottom).entries == (1 if size else 0)
    with pytest.raises(Corrupt, match="cut short"):
        unpack(io.BytesIO(data), upper, devices=False)


def test_what_was_there_is_replaced_and_the_rest_stays(tmp_path, tar, entry):
    target = tmp_path / "t"
    (target / "keep").mkdir(parents=True)
    (target / "keep" / "mine").write_text("mine")
    (target / "f").write_text("old")
    os.link(target / "f", target / "other name")
    data = tar(entry("f", "new"), entry("keep/", kind=DIR, mode=0o755), entry("keep/more", "more"))
    unpack(io.BytesIO(data), str(target), devices=False)
    assert tree(str(target)) == {
        "f": "new", "other name": "old", "keep": "/", "keep/mine": "mine", "keep/more": "more"
    }  # fmt: skip


def test_a_descriptor_serves_as_the_target_and_whiteouts_are_plain_files(upper, tar, entry):
    descriptor = os.open(upper, os.O_RDONLY)
    try:
        unpack(io.BytesIO(tar(entry(".wh.x", "plain"))), descriptor, devices=False)
        assert os.fstat(descriptor)
    finally:
        os.close(descriptor)
    assert tree(upper) == {".wh.x": "plain"}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask_and_the_umask_stays(mask, bottom, upper, tar, entry):
    before = os.umask(mask)
    try:
        apply(io.BytesIO(tar(entry("f", mode=0o666), entry("d/", kind=DIR, mode=0o777), entry("i/f"))), bottom)
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE(os.stat(f"{upper}/{name}").st_mode) for name in ("f", "d", "i")}
    assert modes == {"f": 0o666, "d": 0o777, "i": 0o755}


PARTS = st.sampled_from(["a", "b", "..", ".", "", "link", "/", "x" * 256, ".wh.a", ".wh..wh..opq"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    members=st.lists(
        st.tuples(PATHS, st.sampled_from([tarfile.REGTYPE, DIR, SYM, HARD, FIFO]), PATHS | st.just("{outside}")),
        max_size=8,
    )
)
def test_no_archive_writes_outside(members, tmp_path_factory, tar, entry):
    base = tmp_path_factory.mktemp("any")
    target, outside = base / "target", base / "outside"
    target.mkdir()
    outside.mkdir()
    made = [
        entry(name, "x" if kind == tarfile.REGTYPE else None, kind=kind, link=link.replace("{outside}", str(outside)))
        for name, kind, link in members
    ]
    with contextlib.suppress(KistError):
        unpack(io.BytesIO(tar(*made)), str(target), devices=False)
    assert os.listdir(outside) == []
    assert sorted(os.listdir(base)) == ["outside", "target"]


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, DIR], ids=["file", "directory"])
@pytest.mark.parametrize(
    ("pax", "text"),
    [
        ({"SCHILY.xattr.user." + "n" * 300: "x"}, "numerical result out of range"),
        ({"SCHILY.xattr.user.x": "v" * 100_000}, "argument list too long"),
        ({"SCHILY.xattr.": "x"}, "numerical result out of range"),
        ({"SCHILY.xattr.user.a\0b": "x"}, "zero byte"),
        ({"size": str(1 << 63)}, "none that a file can have"),
        ({"size": str(1 << 80)}, "none that a file can have"),
        ({**SPARSE, "GNU.sparse.realsize": str(1 << 63)}, "none that a file can have"),
        ({**SPARSE, "GNU.sparse.realsize": str(1 << 80)}, "none that a file can have"),
        ({**SPARSE, "GNU.sparse.realsize": "-5"}, "none that a file can have"),
        ({"mtime": "1e400"}, "a number in an extended header is none"),
    ],
)
def test_what_no_file_can_have_is_the_archives_fault(upper, tar, entry, kind, pax, text):
    if kind == DIR and any("size" in key for key in pax):
        pytest.skip("a directory has no size")
    content = b"0\n".ljust(512, b"\0") if "GNU.sparse.major" in pax else b""
    data = tar(entry("d/x/" if kind == DIR else "x", content, kind=kind, mode=0o755, pax=pax))
    with pytest.raises((Corrupt, InvalidInput), match=text) as caught:
        unpack(io.BytesIO(data), upper, devices=False, sparse=True)
    assert "x" in str(caught.value)
