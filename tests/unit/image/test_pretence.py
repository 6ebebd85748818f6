"""Files that a user namespace cannot hold, and what an archive tells of them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.image import tar
from kist.image.pretence import ATTRIBUTE, keep, keep_at, pretended, told
from kist.image.tar import Entry
from kist.kernel.userns import Ids

ALONE = Ids(((0, 1),), ((0, 1),))
SOME = Ids(((0, 1), (1, 100)), ((0, 1), (1, 100)))
NUMBERS = st.integers(0, 2**31 - 1)


def entry(
    kind: bytes = tar.REGULAR, uid: int = 0, gid: int = 0, device: tuple[int, int] = (0, 0), **xattrs: bytes
) -> Entry:
    return Entry(b"name", kind, 0o644, uid, gid, 0, 0, b"", device, dict(xattrs))


@given(
    st.sampled_from([tar.REGULAR, tar.DIRECTORY, tar.FIFO, tar.CHARACTER, tar.BLOCK_DEVICE]),
    NUMBERS,
    NUMBERS,
    st.tuples(st.integers(0, 4095), st.integers(0, (1 << 20) - 1)),
    st.sampled_from([ALONE, SOME]),
)
def test_what_was_pretended_is_told_as_it_was(
    kind: bytes, uid: int, gid: int, device: tuple[int, int], ids: Ids
) -> None:
    numbers = device if kind in {tar.CHARACTER, tar.BLOCK_DEVICE} else (0, 0)
    asked = entry(kind, uid, gid, numbers, kept=b"1")
    made = pretended(asked, ids)
    assert ids.holds(made.uid, made.gid)
    assert made.kind not in {tar.CHARACTER, tar.BLOCK_DEVICE}
    assert told(made) == (asked if kind is not tar.FIFO or ids.holds(uid, gid) else made)


def test_what_can_be_is_left_alone() -> None:
    asked = entry(uid=100, gid=1)
    assert pretended(asked, SOME) is asked


def test_what_an_archive_says_of_a_pretence_is_left_out() -> None:
    asked = entry(**{ATTRIBUTE: b"0:0:4:8:0:0", "kept": b"1"})
    assert pretended(asked, SOME).xattrs == {"kept": b"1"}
    assert pretended(entry(uid=7, **{ATTRIBUTE: b"0:0"}), ALONE).xattrs == {ATTRIBUTE: b"7:0"}


def test_what_is_no_pretence_is_told_as_it_is() -> None:
    asked = entry(uid=100, gid=1)
    assert told(asked) is asked


@pytest.mark.parametrize("kind", [tar.SYMBOLIC_LINK, tar.FIFO])
def test_what_has_no_attributes_loses_its_owner(kind: bytes) -> None:
    made = pretended(entry(kind, 7, 7), ALONE)
    assert (made.uid, made.gid, made.xattrs) == (0, 0, {})


@pytest.mark.parametrize(
    "words",
    [
        b"", b"x:1", b"1", b"1:2:3", b"1:2:3:4:5", b"1:2:3:4:5:6:7", b"-1:2", b"\xff:1", b"99999999999:1",
        b"4294967295:1", b"1:2:z:3:4:5", b"1:2:3:4096:0:0", b"1:2:3:0:1048576:0", b"1:2:3:1:1:4096", b"1:2:3:x:1:0",
    ],
)  # fmt: skip
def test_words_that_mean_nothing_are_left_out(words: bytes) -> None:
    found = told(Entry(b"name", tar.REGULAR, 0, 0, 0, 0, 0, b"", (0, 0), {ATTRIBUTE: words}))
    assert (found.uid, found.gid, found.kind, found.xattrs) == (0, 0, tar.REGULAR, {})


@pytest.mark.parametrize("owner", [(1000, 0), (0, 1000), (7, 7)])
def test_a_file_of_somebody_elses_is_that(owner: tuple[int, int]) -> None:
    found = told(entry(tar.REGULAR, *owner, **{ATTRIBUTE: b"0:0"}))
    assert (found.uid, found.gid, found.xattrs) == (*owner, {})


@pytest.mark.parametrize(("size", "mode"), [(5, 0), (0, 0o666), (0, 0o4755)])
def test_only_what_nobody_could_change_was_a_device(size: int, mode: int) -> None:
    found = told(Entry(b"name", tar.REGULAR, mode, 0, 0, size, 0, b"", (0, 0), {ATTRIBUTE: b"0:0:3:1:3:438"}))
    assert found.kind is tar.REGULAR


def test_an_attribute_is_left_out_where_the_file_system_has_none_and_only_there(tmp_path: Path) -> None:
    directory = os.open("/proc/self", os.O_RDONLY)
    file = os.open("/proc/self/comm", os.O_RDONLY)
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for attribute in ("user.note", ATTRIBUTE):
            keep(file, attribute, b"x")
            keep_at(directory, b"comm", attribute, b"x")
        with pytest.raises(FileNotFoundError):
            keep_at(here, b"nothing", "user.note", b"x")
        with pytest.raises(OSError, match="result out of range"):
            keep(here, f"user.{'x' * 300}", b"x")
    finally:
        for descriptor in (directory, file, here):
            os.close(descriptor)
