import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import Corrupt, InvalidInput
from kist.spec.docker.frames import FrameReader, frame
from kist.spec.docker.versions import check_version, parse_version


def test_a_frame_is_eight_bytes_of_header_and_the_data():
    assert frame("stderr", b"abc") == b"\x02\x00\x00\x00\x00\x00\x00\x03abc"


@given(
    st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=20)), max_size=5),
    st.lists(st.integers(0, 100), max_size=5),
)
def test_frames_are_told_apart_however_they_arrive(frames: list[tuple[str, bytes]], cuts: list[int]):
    sent = b"".join(frame(stream, data) for stream, data in frames)
    places = sorted({min(cut, len(sent)) for cut in cuts} | {0, len(sent)})
    pieces = [sent[start:end] for start, end in itertools.pairwise(places)]
    reader = FrameReader()
    assert [found for piece in pieces for found in reader.feed(piece)] == frames


def test_a_stream_that_is_none_is_refused():
    with pytest.raises(Corrupt, match="stream number 72"):
        list(FrameReader().feed(b"HTTP/1.1 200 OK"))


def test_versions_compare_as_numbers():
    assert parse_version("1.9") < parse_version("1.24")
    assert parse_version("1.44.0") == parse_version("1.44") == parse_version("1.044")
    assert parse_version("1.44.1") > parse_version("1.44")
    assert check_version("1.24") == (1, 24)
    assert check_version("1.56.0") == (1, 56)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("1.23", "client version 1.23 is too old. Minimum supported API version is 1.24"),
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.56"),
        ("1.56.1", "client version 1.56.1 is too new."),
        ("2", "client version 2 is too new."),
        ("1." + "9" * 5000, "is too new."),
        ("1", "client version 1 is too old."),
        ("1.4.1", "client version 1.4.1 is too old."),
        (".", "client version . is too old."),
    ],
)
def test_a_version_that_is_not_spoken_gets_dockers_words(version: str, text: str):
    with pytest.raises(InvalidInput) as caught:
        check_version(version)
    assert text in caught.value.message
