"""``.dockerignore``: tables of Docker's own rules, and properties that hold for all patterns."""

import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import ParseError
from kist.spec.dockerfile import Ignore
from kist.spec.dockerfile.glob import name_pattern


@pytest.mark.parametrize(
    ("rules", "path", "excluded"),
    [
        # literal names, and everything below them
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "ab", False),
        ("a", "b/a", False),
        ("/a", "a", True),
        ("a/", "a/b", True),
        ("./a/../b", "b", True),
        ("a/b", "a/b", True),
        ("a/b", "a", False),
        ("  a  ", "a", True),
        ("# a", "# a", False),
        (" # a", "# a", True),
        (".", "a", False),
        ("/", "a", False),
        ("..", "a", False),
        ("", "a", False),
        # wildcards stay inside a component
        ("*", "a", True),
        ("*", "a/b", True),
        ("*.c", "x.c", True),
        ("*.c", "d/x.c", False),
        ("*/*.c", "d/x.c", True),
        ("*/temp*", "somedir/temporary.txt", True),
        ("*/*/temp*", "somedir/subdir/temporary.txt", True),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("temp?", "tempab", False),
        ("[a-c].x", "b.x", True),
        ("[a-c].x", "d.x", False),
        ("[^a].x", "b.x", True),
        ("[^a].x", "a.x", False),
        ("[!a].x", "!.x", True),
        ("[!a].x", "b.x", False),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("a.b", "axb", False),
        ("a+(b)", "a+(b)", True),
        ("a$b|c", "a$b|c", True),
        # ** is any number of directories
        ("**", "a", True),
        ("**", "a/b", True),
        ("**/*.go", "x.go", True),
        ("**/*.go", "a/b/x.go", True),
        ("**/*.go", "a/b/x.goo", False),
        ("**/a", "b/a/c", True),
        ("a/**", "a/b", True),
        ("a/**", "a", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "az", False),
        ("a**", "ab/c", True),
        ("a**/b", "ab", True),
        ("**.c", "x.c", True),
        ("**.c", "a/x.c", True),
        ("**d", "README.md", True),
        ("**d?", "md", False),
        ("**/.git", ".git/config", True),
        ("**/.git", "x.git", False),
        # exceptions; the last match decides
        ("*\n!a", "a", False),
        ("*\n!a", "b", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", True),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", False),
        ("a\n!a/b", "a/b", False),
        ("a\n!a/b", "a/b/c", False),
        ("a\n!a/b", "a/c", True),
        ("a\n!a/b\na/b/c", "a/b/c", True),
        ("!a\na", "a", True),
        ("*\n! /a", "a", False),
        ("docs\n!**/README.md", "docs/x/README.md", False),
    ],
)
def test_rules(rules: str, path: str, excluded: bool) -> None:
    ignore = Ignore.parse(rules)
    assert ignore.excludes(path) is excluded
    assert (ignore.why(path) is not None) is excluded


@pytest.mark.parametrize(
    ("rules", "directory", "expected"),
    [
        ("*", "a", False),
        ("*\n!a", "a", True),
        ("*\n!a", "b", False),
        ("*\n!a/b/c", "a/b", True),
        ("*\n!a/b/c", "a/x", False),
        ("*\n!*/b", "x", True),
        ("*\n!**/b", "x/y/z", True),
    ],
)
def test_where_a_walk_may_stop(rules: str, directory: str, expected: bool) -> None:
    assert Ignore.parse(rules).may_include_below(directory) is expected


def test_why_names_the_line() -> None:
    rule = Ignore.parse("# first\n\nx\n*.log\n").why("a.log")
    assert rule is not None
    assert (rule.line, str(rule)) == (4, "*.log")


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a\n!", 2, 1, "illegal exclusion pattern"),
        ("a[", 1, 1, "not closed"),
        ("  [b-a]", 1, 3, "reversed"),
        ("[]a]", 1, 1, "']' stands"),
        ("a\\", 1, 1, "ends in an escape"),
    ],
)
def test_malformed_pattern_is_pointed_at(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        Ignore.parse(text)
    assert message in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)


NAMES = st.text("ab.*", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES.filter(lambda name: "*" not in name), min_size=1, max_size=4).map("/".join)
PATTERNS = st.tuples(st.sampled_from(["", "!", "!"]), st.lists(NAMES, min_size=1, max_size=4).map("/".join)).map(
    "".join
)
RULES = st.lists(PATTERNS, max_size=6).map(lambda lines: Ignore.parse("\n".join(["**", *lines])))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        line = int(Ignore.parse(text).excludes("a/b"))
    except ParseError as error:
        line = error.line
    assert 0 <= line <= text.count("\n") + 1


@given(RULES, PATHS)
def test_what_is_taken_in_can_be_reached_by_a_walk(ignore: Ignore, path: str) -> None:
    if ignore.excludes(path):
        return
    above = posixpath.dirname(path)
    while above:
        assert not ignore.excludes(above) or ignore.may_include_below(above)
        above = posixpath.dirname(above)


@given(RULES, PATHS)
def test_the_reason_agrees_with_the_decision(ignore: Ignore, path: str) -> None:
    assert (ignore.why(path) is not None) == ignore.excludes(path)


def test_many_stars_take_no_longer() -> None:
    """Each star more took two hundred times as long, and a build's context is anybody's who may build."""
    name = "a" * 255
    assert not Ignore.parse("*a" * 40 + "b\n").excludes(name)
    assert Ignore.parse("*a" * 40 + "\n").excludes(name)
    assert name_pattern("*a" * 40 + "*").fullmatch(name)
    assert not name_pattern("*a" * 40 + "b").fullmatch(name)


def slow_expression(pattern: str) -> str:
    """The plain reading of a pattern: what ``re`` makes of it in whatever time that takes."""
    found = ""
    for part in re.findall(r"\*\*/|\*\*|.", pattern):
        found += {"**/": "(?:.*/)?", "**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.sub(r"\(\?:\.\*/\)\?\Z", ".*", found)


DEEP = st.text("ab*/", min_size=1, max_size=14).map(lambda text: posixpath.normpath(text).lstrip("/")).filter(
    lambda text: text not in {"", "."} and "//" not in text
)  # fmt: skip


@given(
    DEEP,
    st.text("ab/", min_size=1, max_size=10).filter(lambda path: "//" not in path).map(lambda path: path.strip("/")),
)
def test_quick_patterns_match_what_slow_ones_would(pattern: str, path: str) -> None:
    if pattern.startswith("**") and not pattern.startswith("**/") and not set(pattern[2:]) & set("*"):
        return  # which compares ends
    expected = re.fullmatch(f"(?:{slow_expression(pattern)})(?:/.*)?", path) is not None
    assert Ignore.parse(pattern).excludes(path) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "**/x/" * 60 + "y",
        "**/x*/" * 60 + "y",
        "a/" + "**/x/x/" * 60 + "**/y",
        "**/*x*/" * 60 + "y",
        "**x" * 60 + "y",
        "**x*" * 60 + "y",
        "x**" * 60 + "y",
        "*x**" * 60 + "y",
        "**/x**/x/" * 60 + "y",
        "**/**" * 60 + "/y",
        "*" * 60 + "y",
        "[x]**" * 60 + "y",
        "**/?/" * 60 + "y",
    ],
)
def test_many_directories_take_no_longer(pattern: str) -> None:
    """Six of them took minutes for one path."""
    path = "a/" + "x/" * 1000 + "x" * 255
    assert not Ignore.parse(f"{pattern}\n").excludes(path)
    assert not Ignore.parse("\n".join([pattern, f"!{pattern}"] * 5)).excludes(path)
