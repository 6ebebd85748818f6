import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput
from kist.spec.docker.times import describe_duration, read_time, write_time

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_577_883_600 * SECOND, "2020-01-01T13:00:00Z"),
        (1_577_883_600 * SECOND + 120_000_000, "2020-01-01T13:00:00.12Z"),
    ],
)
def test_times_are_written_as_go_writes_them(nanoseconds: int, text: str):
    assert write_time(nanoseconds) == text


@given(st.integers(1, 4_000_000_000 * SECOND))
def test_a_written_time_is_read_back_to_the_nanosecond(moment: int):
    assert read_time(write_time(moment)) == moment


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("", 0),
        ("0", 0),
        ("1577883600", 1_577_883_600 * SECOND),
        ("1577883600.000000001", 1_577_883_600 * SECOND + 1),
        ("1577883600.5", 1_577_883_600 * SECOND + 500_000_000),
        ("2020-01-01T13:00:00Z", 1_577_883_600 * SECOND),
        ("2020-01-01T15:00:00+02:00", 1_577_883_600 * SECOND),
        ("2020-01-01T13:00", 1_577_883_600 * SECOND),
        ("2020-01-01", 1_577_836_800 * SECOND),
        ("10m", 9_400 * SECOND),
        ("1h30m", 4_600 * SECOND),
        ("1.5h", 4_600 * SECOND),
    ],
)
def test_a_moment_is_read_in_each_of_dockers_forms(text: str, nanoseconds: int):
    assert read_time(text, now=10_000 * SECOND) == nanoseconds


@pytest.mark.parametrize("text", ["yesterday", "1.2.3", "2020-13-01", "10m5", "m", "1e5", "2020-01-01T99:00:00Z"])
def test_what_is_no_moment_is_refused(text: str):
    with pytest.raises(InvalidInput, match="since"):
        read_time(text, what="since")


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "Less than a second"),
        (SECOND, "1 second"),
        (59 * SECOND, "59 seconds"),
        (60 * SECOND, "About a minute"),
        (5 * 60 * SECOND, "5 minutes"),
        (HOUR, "About an hour"),
        (3 * HOUR, "3 hours"),
        (47 * HOUR, "47 hours"),
        (3 * DAY, "3 days"),
        (15 * DAY, "2 weeks"),
        (90 * DAY, "3 months"),
        (800 * DAY, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_lengths_of_time_are_told_in_dockers_words(length: int, words: str):
    assert describe_duration(length) == words
