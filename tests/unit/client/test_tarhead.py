"""Headers that we write are read by ``tarfile``."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.client.tarhead import DIRECTORY, END, FILE, LINK, header, padding

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=120).filter(
    lambda name: name.strip("/") == name
)


def read(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(data + END)) as archive:
        (member,) = archive.getmembers()
        return member


@given(NAMES, st.integers(0, 0o7777), st.integers(-(2**40), 2**40), st.binary(max_size=1100))
def test_a_file(name: str, mode: int, mtime: int, content: bytes) -> None:
    data = header(FILE, name, mode=mode, size=len(content), mtime=mtime) + content + padding(len(content))
    assert len(data) % 512 == 0
    found = read(data)
    assert (found.name, found.mode, found.size, found.mtime) == (name, mode, len(content), mtime)
    assert (found.uid, found.gid, found.uname, found.gname) == (0, 0, "", "")
    assert found.isreg()


@given(NAMES, NAMES)
def test_a_link(name: str, target: str) -> None:
    found = read(header(LINK, name, mode=0o777, target=target))
    assert (found.name, found.linkname, found.issym()) == (name, target, True)


def test_a_directory() -> None:
    found = read(header(DIRECTORY, "a/", mode=0o755))
    assert (found.name, found.isdir()) == ("a", True)


@pytest.mark.parametrize("size", [8**11 - 1, 8**11, 10**13])
def test_a_size_beyond_eleven_octal_digits(size: int) -> None:
    data = header(FILE, "x", mode=0o644, size=size)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        first = archive.next()
        assert first
        assert first.size == size


@pytest.mark.parametrize("length", range(90, 1100, 7))
def test_the_length_of_a_record_counts_itself(length: int) -> None:
    assert read(header(FILE, "n" * length, mode=0o644)).name == "n" * length


def test_names_that_are_no_text_keep_their_bytes() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert b"caf\xe9\0" in header(FILE, name, mode=0o644)
