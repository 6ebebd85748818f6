import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.bootstrap.deb822 import parse, parse_one
from kist.errors import ParseError


def test_paragraphs_are_separated_by_blank_lines() -> None:
    found = list(parse("A: 1\nB: 2\n\n \nA: 3\n"))
    assert [dict(paragraph) for paragraph in found] == [{"A": "1", "B": "2"}, {"A": "3"}]


def test_continuation_lines_belong_to_the_field_and_keep_their_blank() -> None:
    assert parse_one("Description: short\n long\n .\n  more\nB: x")["Description"] == "short\n long\n .\n  more"


def test_names_are_found_in_any_case_and_keep_their_own() -> None:
    paragraph = parse_one("pAcKaGe: x")
    assert (paragraph["Package"], list(paragraph)) == ("x", ["pAcKaGe"])


def test_comments_are_passed_over_even_inside_a_field() -> None:
    assert parse_one("# one\nA: 1\n# two\n 2\n")["A"] == "1\n 2"


def test_lists() -> None:
    paragraph = parse_one("Words: a  b\n c\nLines:\n one\n two three\n")
    assert paragraph.words("Words") == ("a", "b", "c")
    assert paragraph.lines("Lines") == ("one", "two three")
    assert paragraph.words("None") == paragraph.lines("None") == ()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("A: 1\nno field\n", 2, "expected a field"),
        (" continued\n", 1, "continuation line without a field"),
        ("A: 1\n\n b\n", 3, "continuation line without a field"),
        ("A: 1\na: 2\n", 2, "given twice"),
        (": x\n", 1, "expected a field"),
    ],
)
def test_an_error_points_at_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ParseError, match=message) as caught:
        list(parse(text, source="control"))
    assert (caught.value.source, caught.value.line) == ("control", line)


def test_an_empty_text_holds_no_paragraph() -> None:
    with pytest.raises(ParseError, match="no fields"):
        parse_one("\n# nothing\n\n")


VALUES = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["Z", "C"]), min_size=1, max_size=20
)
NAMES = st.from_regex(r"[A-Z][a-z]{0,8}", fullmatch=True)


@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_is_written_is_read(paragraphs: list[dict[str, str]]) -> None:
    text = "\n".join("".join(f"{name}: {value}\n" for name, value in p.items()) for p in paragraphs)
    assert [dict(paragraph) for paragraph in parse(text)] == paragraphs
