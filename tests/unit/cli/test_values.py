"""Values of options: what is taken, and what a wrong one is told."""

import time
from collections.abc import Callable

import pytest

from kist.cli import values
from kist.cli.words.life import duration
from kist.cli.words.limits import ulimit


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512m", 512 << 20), ("512M", 512 << 20), ("1g", 1 << 30), ("1.5g", 3 << 29), ("64k", 65536), ("100", 100),
     ("100b", 100), ("1gb", 1 << 30), ("1GiB", 1 << 30), ("2t", 2 << 40), ("0", 0), (" 8m", 8 << 20)],
)  # fmt: skip
def test_sizes(text: str, expected: int) -> None:
    assert values.size(text) == expected


@pytest.mark.parametrize("text", ["", "b", "m", "x", "1x", "-1m", "1e3", "nan", "inf", "1..5g", "1 m m", "٣m", "0x10"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="a size is"):
        values.size(text)


def test_a_whole_number_is_one_of_64_bits() -> None:
    """The engine would refuse it, and without the option's name."""
    assert values.whole(-1, "a limit")("9223372036854775807") == (1 << 63) - 1
    with pytest.raises(ValueError, match="value out of range: a limit is"):
        values.whole(-1, "a limit")("9223372036854775808")


@pytest.mark.parametrize(
    ("parse", "most", "more"),
    [
        (values.size, "8388607t", "8388608t"),
        (values.memory, "9223372036854774784", "9" * 20 + "g"),
        (values.cpus, "9223372036", "9223372037"),
        (duration, "2562047h", "2562048h"),
        (ulimit, "nofile=9223372036854775807", "nofile=9223372036854775808"),
        (ulimit, "nofile=1:9223372036854775807", "nofile=1:9223372036854775808"),
    ],
)
def test_so_is_every_number(parse: Callable[[str], object], most: str, more: str) -> None:
    assert parse(most)
    with pytest.raises(ValueError, match="value out of range"):
        parse(more)


def test_a_limit_of_memory_has_a_floor() -> None:
    assert values.memory("6m") == 6 << 20
    assert values.memory("0") == 0
    with pytest.raises(ValueError, match="minimum memory limit is 6m"):
        values.memory("5m")


@pytest.mark.parametrize(
    ("text", "expected"), [("1", 10**9), ("0.5", 5 * 10**8), (".5", 5 * 10**8), ("1.", 10**9), ("0", 0)]
)
def test_cpus(text: str, expected: int) -> None:
    assert values.cpus(text) == expected


@pytest.mark.parametrize("text", ["", ".", "a", "-1", "1,5", "inf", "0.001"])
def test_what_is_no_number_of_cpus(text: str) -> None:
    with pytest.raises(ValueError, match=r"CPUs"):
        values.cpus(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("TERM", "TERM"), ("sigterm", "TERM"), ("9", "9"), ("RTMIN+3", "RTMIN+3"), ("rtmax-1", "RTMAX-1")],
)
def test_signals(text: str, expected: str) -> None:
    assert values.signal_name(text) == expected


@pytest.mark.parametrize("text", ["", "0", "65", "TE RM", "-9", "²"])
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(ValueError, match="a signal is"):
        values.signal_name(text)


@pytest.mark.parametrize("text", ["TERM", "sigterm", "9", "RTMIN+3", "rtmax-1"])
def test_signals_that_there_are(text: str) -> None:
    assert values.known_signal(text) == values.signal_name(text)


@pytest.mark.parametrize("text", ["FOO", "RTMIN+", "RTMIN+x", "_DFL", "TE RM"])
def test_signals_that_there_are_not(text: str) -> None:
    with pytest.raises(ValueError, match="a signal is"):
        values.known_signal(text)


@pytest.mark.parametrize("text", ["web", "a1", "0x_.-y"])
def test_names(text: str) -> None:
    assert values.container_name(text) == text


@pytest.mark.parametrize("text", ["", "a", "-ab", ".ab", "a/b", "ä1", "a b"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="a name has"):
        values.container_name(text)


def test_whole_numbers_and_choices() -> None:
    assert values.whole(-1, "n")("-1") == -1
    for text in ("", "-2", "1.5", "x", "--1"):
        with pytest.raises(ValueError, match="whole number from -1 up"):
            values.whole(-1, "n")(text)
    with pytest.raises(ValueError, match="allowed are a, b"):
        values.choice("a", "b")("c")


@pytest.mark.parametrize("text", ["=x", "", "="])
def test_an_assignment_has_a_name(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=VALUE"):
        values.assignment(text)


def test_paths_and_capabilities() -> None:
    assert values.absolute("/x") == "/x"
    with pytest.raises(ValueError, match="absolute"):
        values.absolute("x")
    assert values.capability("net_admin") == "NET_ADMIN"
    with pytest.raises(ValueError, match="capability"):
        values.capability("NET-ADMIN")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10m", "400.000000000"), ("1h", "-2600.000000000"), ("1m30s", "910.000000000"), ("1700000000.5", "1700000000.5"),
     ("2026-01-31T10:20:30+00:00", "1769854830.000000000"),
     ("2026-01-31T10:20:30.123456789Z", "1769854830.123456789")],
)  # fmt: skip
def test_points_in_time(text: str, expected: str) -> None:
    assert values.timestamp(lambda: 1000.0)(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "10", "5x", "m", "2026-13-01"])
def test_what_is_no_point_in_time(text: str) -> None:
    if text == "10":
        assert values.timestamp(time.time)(text) == "10"
        return
    with pytest.raises(ValueError, match="a time is like"):
        values.timestamp(time.time)(text)
