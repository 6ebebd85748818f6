"""Tables, times and sizes as Docker shows them; nearest words; help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.cli.dispatch import PROGRAM, load
from kist.cli.help import Style, command_help, group_help, program_help, wrap
from kist.cli.suggest import nearest
from kist.cli.table import one_line, shorten, table
from kist.cli.units import binary_size, duration, epoch, size
from kist.cli.verbs import GROUPS, VERBS
from kist.spec.distance import edit_distance


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
     (120, "2 minutes"), (3599, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"), (5400, "2 hours"),
     (47 * 3600, "47 hours"), (48 * 3600, "2 days"), (13 * 86400, "13 days"), (14 * 86400, "2 weeks"),
     (59 * 86400, "8 weeks"), (60 * 86400, "2 months"), (729 * 86400, "24 months"), (731 * 86400, "2 years")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1880, "1.88kB"), (999_999, "1MB"), (1_980_000, "1.98MB"),
     (116_500_000, "116MB"), (5_000_000_000, "5GB")],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_binary_sizes() -> None:
    assert binary_size(25_273_000_000) == "23.54GiB"


def test_dates_of_the_engine() -> None:
    assert epoch("0001-01-01T00:00:00Z") == 0.0
    assert epoch("1970-01-01T00:00:01.5Z") == 1.5
    assert epoch("1970-01-01T00:00:01Z") == 1.0
    assert epoch("1970-01-01T01:00:01.25+01:00") == 1.25


def test_a_table_has_dockers_measure() -> None:
    text = table(("A", "LONGER HEADER", "LAST"), [("x" * 12, "y", "z"), ("a", "b", "")])
    assert text == "A              LONGER HEADER   LAST\nxxxxxxxxxxxx   y               z\na              b"


def test_an_empty_table_is_its_header() -> None:
    assert table(("IMAGE", "ID"), []) == "IMAGE     ID"


def test_long_texts_are_cut_and_control_characters_are_not_shown() -> None:
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"
    assert one_line("a\x1b[2J\nb") == "a [2J b"


@pytest.mark.parametrize(
    ("a", "b", "distance"), [("", "", 0), ("run", "rnu", 1), ("abc", "", 3), ("kitten", "sitting", 3)]
)
def test_distances(a: str, b: str, distance: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == distance


@pytest.mark.parametrize(
    ("word", "near"), [("rnu", "run"), ("image", "images"), ("sotp", "stop"), ("xyzzy", ""), ("boot", "bootstrap")]
)
def test_the_nearest_verb(word: str, near: str) -> None:
    assert nearest(word, [verb for verb in VERBS if " " not in verb]) == near


@given(st.text("ab c", max_size=80), st.integers(5, 40))
def test_wrapping_keeps_the_words(text: str, width: int) -> None:
    lines = wrap(text, width).split("\n")
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line.strip() for line in lines)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_help_fits_the_terminal_and_is_aligned(width: int) -> None:
    plain = Style(on=False)
    texts = [program_help(PROGRAM.options, plain, width), *(group_help(group, plain, width) for group in GROUPS)]
    assert all(len(line) <= width for line in texts[0].partition("Containers:")[0].splitlines())
    for text in (*texts, *(command_help(load(verb), plain, width) for verb in VERBS)):
        for line in text.splitlines():
            if line.startswith(("  -", "      --")):
                assert len(line) <= max(width, 64)
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_headings_are_bold_on_a_terminal_only() -> None:
    assert "\x1b[1mUsage:\x1b[0m" in program_help((), Style(on=True), 80)
    assert "\x1b" not in program_help((), Style(on=False), 80)
