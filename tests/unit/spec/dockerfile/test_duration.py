import pytest

from kist.spec.dockerfile.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("1us", 1000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1m30s", 90_000_000_000),
        ("1h1m1s1ms", 3_661_001_000_000),
    ],
)
def test_duration_is_read(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1s ", "1x", "1.s.", "99999999999h"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)
