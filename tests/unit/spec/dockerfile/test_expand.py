"""Quotes, escapes and variables of a word."""

import pytest

from kist.errors import ParseError, Unsupported
from kist.spec.dockerfile import Location, Source, Word, expand, expand_words

VARIABLES = {"a": "one", "b": "two words", "empty": "", "_x1": "under"}
SOURCE = Source.of("", "Dockerfile")


def word(text: str) -> Word:
    return Word(text, Location(1, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$a", "one"),
        ("${a}", "one"),
        ("x${a}y", "xoney"),
        ("$a$a", "oneone"),
        ("$a-x", "one-x"),
        ("$ab", ""),
        ("$_x1.", "under."),
        ("$missing", ""),
        ("${missing}", ""),
        ("$", "$"),
        ("a$", "a$"),
        ("$ a", "$ a"),
        ("$.a", "$.a"),
        ("$1a", "a"),
        ("$@$*$#$?$!", ""),
        (r"\$a", "$a"),
        (r"\\$a", r"\one"),
        (r"\a", "a"),
        (r"a\ b", "a b"),
        ("a\\", "a"),
        ("'$a'", "$a"),
        (r"'\a'", r"\a"),
        ('"$a"', "one"),
        ('"${a}"', "one"),
        (r'"\$a"', "$a"),
        (r'"\""', '"'),
        (r'"\\"', "\\"),
        (r'"\a"', r"\a"),
        ("\"'$a'\"", "'one'"),
        ("'\"'", '"'),
        ("\"a\"'b'c", "abc"),
        ("${a:-d}", "one"),
        ("${empty:-d}", "d"),
        ("${missing:-d}", "d"),
        ("${missing:-}", ""),
        ("${missing:-$a}", "one"),
        ("${missing:-${empty:-deep}}", "deep"),
        ("${missing:-'$a'}", "$a"),
        ("${missing:-a b}", "a b"),
        (r"${missing:-\}}", "}"),
        ("${a:+d}", "d"),
        ("${empty:+d}", ""),
        ("${missing:+d}", ""),
        ("${a-d}", "one"),
        ("${empty-d}", ""),
        ("${missing-d}", "d"),
        ("${a+d}", "d"),
        ("${empty+d}", "d"),
        ("${missing+d}", ""),
        ("${a:?bad}", "one"),
        ("${empty?bad}", ""),
        ("héé$a", "hééone"),
    ],
)
def test_word_is_expanded(text: str, expected: str) -> None:
    assert expand(word(text), VARIABLES, SOURCE) == expected


def test_the_other_escape_character() -> None:
    assert expand(word(r"C:\x`$a$a"), VARIABLES, SOURCE, "`") == r"C:\x$aone"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("x'a", 2, "single quote is not closed"),
        ('x"a', 2, "double quote is not closed"),
        ("x${a", 2, "expected '}'"),
        ("${", 1, "expected '}'"),
        ("x${}", 2, "bad substitution"),
        ("${:x}", 1, "bad substitution"),
        ("${{a}", 1, "bad substitution"),
        ("${a:", 1, "expected '}'"),
        ("${a:-x", 6, "expected '}'"),
        ("${a;b}", 4, "unsupported modifier ';'"),
        ("${a:=b}", 5, "unsupported modifier '='"),
        ("${missing:?give it}", 1, "missing: give it"),
        ("${empty:?}", 1, "empty: is not allowed to be unset or empty"),
    ],
)
def test_mistake_is_pointed_at(text: str, column: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        expand(word(text), VARIABLES, SOURCE)
    assert message in caught.value.message
    assert caught.value.column == column


def test_substitutions_nest_only_so_deep() -> None:
    assert expand(word("${x:-" * 40 + "end" + "}" * 40), VARIABLES, SOURCE) == "end"
    with pytest.raises(ParseError, match="nested more than 50 deep"):
        expand(word("${x:-" * 10_000), VARIABLES, SOURCE)


@pytest.mark.parametrize("text", ["${a#o}", "${a%%e}", "${a/o/x}"])
def test_operators_that_come_later_are_refused(text: str) -> None:
    with pytest.raises(Unsupported, match="not supported yet"):
        expand(word(text), VARIABLES, SOURCE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$b", ("two", "words")), ('"$b"', ("two words",)), ("x$b", ("xtwo", "words")), ("$empty", ()), ("''", ())],
)
def test_a_list_is_cut_at_white_space_that_variables_bring(text: str, expected: tuple[str, ...]) -> None:
    assert expand_words(word(text), VARIABLES, SOURCE) == expected
