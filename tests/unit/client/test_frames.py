"""Docker's multiplexed stream, cut anywhere."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kist.client.frames import END, STDERR, STDOUT, Demultiplexer, frame

FRAMES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=50)), max_size=10)


@given(FRAMES, st.lists(st.integers(0, 700), max_size=8))
def test_each_stream_comes_out_whole_and_in_order(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    demultiplexer = Demultiplexer()
    out = [part for begin, end in itertools.pairwise(edges) for part in demultiplexer.feed(data[begin:end])]
    for wanted in (STDOUT, STDERR):
        assert b"".join(p for s, p in out if s == wanted) == b"".join(p for s, p in frames if s == wanted)
    runs = [s for s, group in itertools.groupby(s for s, p in frames if p)]
    assert [s for s, group in itertools.groupby(s for s, p in out if p)] == runs


def test_payload_comes_out_before_its_frame_is_whole() -> None:
    demultiplexer = Demultiplexer()
    assert demultiplexer.feed(frame(STDOUT, b"abcdef")[:11]) == [(STDOUT, b"abc")]
    assert demultiplexer.feed(b"def") == [(STDOUT, b"def")]


def test_neighbours_of_one_stream_are_joined() -> None:
    data = frame(STDOUT, b"a") + frame(STDOUT, b"b") + frame(STDERR, b"c") + frame(STDOUT, b"d")
    assert Demultiplexer().feed(data) == [(STDOUT, b"ab"), (STDERR, b"c"), (STDOUT, b"d")]


@given(st.integers(0, 255), st.integers(0, 40))
def test_the_end_is_no_output_and_told_when_it_is_whole(code: int, cut: int) -> None:
    data = frame(STDOUT, b"out") + frame(END, str(code).encode())
    demultiplexer = Demultiplexer()
    out = demultiplexer.feed(data[:cut])
    assert demultiplexer.exit_code == (code if cut >= len(data) else None)
    out += demultiplexer.feed(data[cut:])
    assert b"".join(payload for _, payload in out) == b"out"
    assert demultiplexer.exit_code == code


def test_the_daemons_own_errors_are_errors() -> None:
    assert Demultiplexer().feed(frame(3, b"oh")) == [(STDERR, b"oh")]
