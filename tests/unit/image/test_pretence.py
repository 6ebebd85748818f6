"""Files that a user namespace cannot hold, and what an archive tells of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.image import tar
from kist.image.pretence import ATTRIBUTE, pretended, told
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
    st.tuples(st.integers(0, 4095), st.integers(0, 1 << 20)),
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
    assert told(made) == asked


def test_what_can_be_is_left_alone() -> None:
    asked = entry(uid=100, gid=1)
    assert pretended(asked, SOME) is asked
    assert told(asked) is asked


def test_a_symbolic_link_loses_its_owner() -> None:
    made = pretended(entry(tar.SYMBOLIC_LINK, 7, 7), ALONE)
    assert (made.uid, made.gid, made.xattrs) == (0, 0, {})


@pytest.mark.parametrize("words", [b"", b"x:1", b"1", b"1:2:3", b"1:2:z:3:4:5", b"-1:2", b"\xff:1", b"1:2:3:x:y"])
def test_words_of_somebody_else_mean_nothing(words: bytes) -> None:
    found = told(entry(uid=3, gid=4, **{ATTRIBUTE: words}))
    assert (found.uid, found.gid, found.kind, found.xattrs) == (3, 4, tar.REGULAR, {})


def test_only_an_empty_file_was_a_device() -> None:
    full = Entry(b"name", tar.REGULAR, 0o644, 0, 0, 5, 0, b"", (0, 0), {ATTRIBUTE: b"0:0:3:1:3"})
    assert told(full).kind is tar.REGULAR
