"""Quotes, escapes and variables of a word."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import ParseError
from kist.spec.dockerfile import Location, Source, Word, expand, expand_text, expand_words
from kist.spec.dockerfile.substitution import Pattern, replaced, without_prefix, without_suffix

VARIABLES = {
    "a": "one",
    "b": "two words",
    "empty": "",
    "_x1": "under",
    "p": "/a/b.tar.gz",
    "slash": "/",
    "ends": ".gz",
    "special": "*?\\}end",
}
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
        ("${p#*/}", "a/b.tar.gz"),
        ("${p##*/}", "b.tar.gz"),
        ("${p%.*}", "/a/b.tar"),
        ("${p%%.*}", "/a/b"),
        ("${p#x}", "/a/b.tar.gz"),
        ("${p%x}", "/a/b.tar.gz"),
        ("${p#}", "/a/b.tar.gz"),
        ("${p##}", "/a/b.tar.gz"),
        ("${p#*}", "/a/b.tar.gz"),
        ("${p##*}", ""),
        ("${p%*}", "/a/b.tar.gz"),
        ("${p%%*}", ""),
        ("${p#??}", "/b.tar.gz"),
        ("${p%.??}", "/a/b.tar"),
        ("${missing#x}", ""),
        ("${missing/x/y}", ""),
        ("${p/a/o}", "/o/b.tar.gz"),
        ("${p//a/o}", "/o/b.tor.gz"),
        ("${p//a/}", "//b.tr.gz"),
        ("${p/.*/}", "/a/b"),
        ("${p/?/x}", "xa/b.tar.gz"),
        (r"${p/\//-}", "-a/b.tar.gz"),
        (r"${p//\//-}", "-a-b.tar.gz"),
        ("${p//[a-z]/x}", "/a/b.tar.gz"),
        ("${p/$slash/$a}", "onea/b.tar.gz"),
        ("${p//t*z/}", "/a/b."),
        ("${p//*/x}", "x"),
        (r"${special#\*\?\\\}}", "end"),
        (r"${special%%\}*}", "*?\\"),
        ("${p%${ends}}", "/a/b.tar"),
        ('"${p##*/}"', "b.tar.gz"),
        ("${p##'*'/}", "b.tar.gz"),
        ("${missing:-${p##*/}}", "b.tar.gz"),
        ("${p#${missing:-/a}}", "/b.tar.gz"),
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
        ("${a:#b}", 5, "unsupported modifier '#'"),
        ("${a:%%b}", 5, "unsupported modifier '%'"),
        ("${a:/b/c}", 5, "unsupported modifier '/'"),
        ("${a#b", 5, "expected '}'"),
        ("x${a/b}", 6, "expected '/'"),
        ("x${a/b/c", 8, "expected '}'"),
        (r"${a#\b}", 5, r"invalid escape '\b'"),
        (r"${a//\b/c}", 6, r"invalid escape '\b'"),
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


def test_variables_make_no_text_of_any_length() -> None:
    """A line that holds the line before it twice is as long as it likes after a few of them."""
    values = {"a": "x " * 250_000, "one": "x"}
    assert len(expand(word("${a}${a}" + "y" * 1_000_000), values, SOURCE)) == 2_000_000
    assert expand_words(word("$a"), values, SOURCE) == ("x",) * 250_000
    for text in ("$a$a$a", '"${a}$a"${a}', "${one:+$a$a$a}", "${a//x/$a}", "${a//x/" + "y" * 10 + "}"):
        with pytest.raises(ParseError, match="longer than 1 MiB") as caught:
            expand(word(text), values, SOURCE)
        assert "keep long texts in files" in caught.value.hint


def test_a_pattern_has_one_escape_character() -> None:
    assert expand(word("${special#`*}"), VARIABLES, SOURCE, "`") == "?\\}end"


def test_a_pattern_of_many_stars_takes_no_long_time() -> None:
    value = {"x": "a" * 100_000}
    for text in ("${x##%sb}", "${x%%%%%sb}", "${x//%sb/}"):
        assert expand(word(text % ("*a" * 30)), value, SOURCE) == value["x"]


@given(st.text("ab/", max_size=12), st.text("ab*?", max_size=6), st.booleans())
def test_patterns_match_what_regular_expressions_would(value: str, pattern: str, longest: bool) -> None:
    star = ".*" if longest else ".*?"
    expression = "".join({"*": star, "?": "."}.get(char, char) for char in pattern)
    found = re.match(expression, value)
    parsed = Pattern.parse(pattern)
    assert without_prefix(value, parsed, longest=longest) == (value[found.end() :] if found else value)
    backwards = "".join({"*": star, "?": "."}.get(char, char) for char in pattern[::-1])
    found = re.match(backwards, value[::-1])
    assert without_suffix(value, parsed, longest=longest) == (value[: len(value) - found.end()] if found else value)
    first = re.search("".join({"*": ".*", "?": "."}.get(char, char) for char in pattern), value)
    once = value[: first.start()] + "#" + value[first.end() :] if first else value
    assert replaced(value, parsed, "#", everywhere=False, most=100) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$b", ("two", "words")), ('"$b"', ("two words",)), ("x$b", ("xtwo", "words")), ("$empty", ()), ("''", ())],
)
def test_a_list_is_cut_at_white_space_that_variables_bring(text: str, expected: tuple[str, ...]) -> None:
    assert expand_words(word(text), VARIABLES, SOURCE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"$a" it\'s', '"one" it\'s'),
        ("\\\n", "\n"),
        ("\\\\\n", "\\\n"),
        ("\\$a ${a}\n", "$a one\n"),
        ("${p##*/}\n${missing:-'x'}", "b.tar.gz\n'x'"),
    ],
)
def test_quotes_are_nothing_special_in_a_document(text: str, expected: str) -> None:
    assert expand_text(word(text), VARIABLES, SOURCE) == expected


def test_mistakes_in_a_document_are_pointed_at_in_their_line() -> None:
    source = Source.of("FROM a\nCOPY <<-E /e\nx\n\t\ty${a;}\nE", "Dockerfile")
    with pytest.raises(ParseError) as caught:
        expand_text(Word("x\ny${a;}\n", Location(3, 1)), VARIABLES, source)
    assert (caught.value.line, caught.value.column) == (4, 7)
