"""The keys that detach, found in what is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.spec.detach import DetachKeys, parse_keys


def typed(keys: bytes, *pieces: bytes) -> tuple[bytes, bool]:
    watcher = DetachKeys(keys)
    out = b""
    for piece in pieces:
        out += watcher.feed(piece)
        if watcher.detached:
            break
    return out, watcher.detached


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"ls\r"], (b"ls\r", False)),
        ([b"\x10\x11"], (b"", True)),
        ([b"a\x10", b"\x11b"], (b"a", True)),
        ([b"\x10x"], (b"\x10x", False)),
        ([b"\x10\x10\x11"], (b"\x10", True)),
        ([b"\x11\x10"], (b"\x11", False)),
    ],
)
def test_the_default_keys(pieces: list[bytes], expected: tuple[bytes, bool]) -> None:
    assert typed(b"\x10\x11", *pieces) == expected


def test_a_sequence_that_overlaps_itself() -> None:
    assert typed(b"aab", b"aaab") == (b"a", True)
    assert typed(b"abab", b"abaabab") == (b"aba", True)


@given(st.binary(max_size=60), st.binary(min_size=1, max_size=4))
def test_everything_before_the_keys_goes_through(data: bytes, keys: bytes) -> None:
    out, detached = typed(keys, *(data[i : i + 1] for i in range(len(data))))
    at = data.find(keys)
    assert detached == (at >= 0)
    if detached:
        assert out == data[:at]
    else:
        assert data.startswith(out)
        assert keys.startswith(data[len(out) :])


def test_no_keys_detach_never() -> None:
    assert typed(b"", b"\x10\x11") == (b"\x10\x11", False)


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("a", b"a"), ("ctrl-[,x", b"\x1bx"), ("", b""), ("ctrl-@", b"\0")],
)
def test_keys_in_words(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", ",", "ü"])
def test_what_are_no_keys(text: str) -> None:
    with pytest.raises(ValueError, match="keys are"):
        parse_keys(text)
