"""What a check that took too long is told with."""

import pytest

from kist.runtime.checks import _in_words

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("nanoseconds", "words"),
    [
        (1_000_000, "1ms"),
        (300_000_000, "300ms"),
        (1_500_000, "1.5ms"),
        (SECOND, "1s"),
        (1_500_000_000, "1.5s"),
        (30 * SECOND, "30s"),
        (60 * SECOND, "1m0s"),
        (90 * SECOND, "1m30s"),
        (3600 * SECOND, "1h0m0s"),
        (3661 * SECOND, "1h1m1s"),
    ],
)
def test_lengths_of_time_are_as_go_writes_them(nanoseconds: int, words: str) -> None:
    assert _in_words(nanoseconds) == words
