"""An archive that is unpacked beside an earlier one of nearly the same files: all comes out as it does without."""

import hashlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kist.errors import KistError
from kist.image.earlier import Earlier
from kist.image.layers import unpack

DIR, SYM, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
LARGE = bytes(range(256)) * 3000  # more than is read at once
ALMOST = LARGE[:-1] + b"x"
NOW = 1_750_000_000 * 10**9  # later than any member

Look = Callable[[os.stat_result], bytes | None]
Pack = Callable[[Sequence["Member"]], bytes]


class Member(NamedTuple):
    """What a member is made of (``entry`` of conftest.py)."""

    name: str
    content: str | bytes
    options: dict[str, Any]


def member(name: str, content: str | bytes = "", **options: Any) -> Member:
    return Member(name, content, options)


@pytest.fixture(scope="session")
def pack(tar: Callable[..., bytes], entry: Callable[..., Any]) -> Pack:
    return lambda members: tar(*(entry(each.name, each.content, **each.options) for each in members))


class Unpacked(NamedTuple):
    """What is below a directory by its path, or why there is nothing; and what was told of its files."""

    files: dict[str, tuple[object, ...]] | str
    noted: dict[tuple[int, ...], bytes]


def identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def unpacked(archive: bytes, into: Path, earlier: Path | None = None, known: Look = lambda _: None) -> Unpacked:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    noted: dict[tuple[int, ...], bytes] = {}
    root = str(earlier) if earlier else None
    try:
        with Earlier(root, known, lambda status, digest: noted.update({identity(status): digest})) as found:
            unpack(io.BytesIO(archive), str(into), devices=False, earlier=found)
    except KistError as error:
        return Unpacked(f"{type(error).__name__}: {error.message}", noted)
    return Unpacked({str(path.relative_to(into)): described(path) for path in sorted(into.rglob("*"))}, noted)


def described(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    # That of a directory which no member is, is now.
    time = status.st_mtime_ns if status.st_mtime_ns < NOW or not stat.S_ISDIR(status.st_mode) else 0
    content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
    return (status.st_mode, status.st_uid, status.st_gid, status.st_nlink if path.is_file() else 1, time, content)


def check(before: bytes, after: bytes, place: Path) -> set[str]:
    """Unpack one archive after the other; the paths of files that were moved."""
    first = unpacked(before, place / "first")
    inodes = {path.lstat().st_ino for path in (place / "first").rglob("*") if path.is_file() and not path.is_symlink()}
    alone = unpacked(after, place / "alone")
    beside = unpacked(after, place / "beside", place / "first", lambda status: first.noted.get(identity(status)))
    assert beside.files == alone.files
    there = [path for path in (place / "beside").rglob("*") if path.is_file() and not path.is_symlink()]
    for path in there:  # what is told of a file is so
        digest = beside.noted.get(identity(path.lstat()))
        assert digest in {None, hashlib.sha256(path.read_bytes()).digest()}
    return {str(path.relative_to(place / "beside")) for path in there if path.lstat().st_ino in inodes}


FILES = (member("d/", kind=DIR, mode=0o755), member("d/a", "a"), member("d/b", "b", mode=0o755), member("c", "c"))


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        (FILES, FILES, {"d/a", "d/b", "c"}),
        (FILES, (*FILES[:2], member("d/b", "x", mode=0o755), FILES[3]), {"d/a", "c"}),
        (FILES, (*FILES[:2], member("d/b", "b", mode=0o644), FILES[3]), {"d/a", "c"}),
        (FILES, (*FILES[:3], member("c", "c", mtime=5)), {"d/a", "d/b", "c"}),
        (FILES, (member("./d/a", "a"), member("/c", "c")), {"d/a", "c"}),
        (FILES, (member("c/", kind=DIR), FILES[3]), {"c"}),
        (FILES, (FILES[3], member("h", kind=HARD, link="c")), {"c", "h"}),
        ((FILES[3], member("h", kind=HARD, link="c")), FILES, set()),
        (FILES, (member("c", "c", pax={"SCHILY.xattr.user.note": "x"}),), set()),
        ((member("c", "c", pax={"SCHILY.xattr.user.note": "x"}),), (FILES[3],), set()),
        ((member("l", kind=SYM, link="d"), *FILES), (member("l/a", "a"),), {"l/a"}),
        ((member("x", LARGE),), (member("x", LARGE),), {"x"}),
        ((member("x", LARGE),), (member("x", ALMOST),), set()),
        ((member("x", LARGE),), (member("x", b"y" + LARGE[1:]),), set()),
        ((member("x", ""),), (member("x", ""),), {"x"}),
        (FILES, (), set()),
    ],
)  # fmt: skip
def test_what_is_the_same_is_moved(
    pack: Pack, tmp_path: Path, before: Sequence[Member], after: Sequence[Member], moved: set[str]
) -> None:
    assert check(pack(before), pack(after), tmp_path) == moved


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from(["", "x", "y", LARGE, ALMOST])
MEMBERS = st.lists(
    st.one_of(
        st.builds(member, NAMES, CONTENTS, mode=st.sampled_from([0o644, 0o4755]), mtime=st.sampled_from([1, 2])),
        st.builds(member, NAMES, kind=st.just(DIR), mode=st.sampled_from([0o755, 0o700])),
        st.builds(member, NAMES, kind=st.just(SYM), link=st.sampled_from(["a", "../b", "/c", "../../.."])),
        st.builds(member, NAMES, kind=st.just(HARD), link=NAMES),
    ),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(before=MEMBERS, after=MEMBERS)
@example(before=[member("a", kind=SYM, link="b"), member("b/c", "x")], after=[member("a/c", "x"), member("a", "y")])
def test_an_earlier_tree_changes_nothing(pack: Pack, tmp_path: Path, before: list[Member], after: list[Member]) -> None:
    check(pack(before), pack(after), tmp_path)
