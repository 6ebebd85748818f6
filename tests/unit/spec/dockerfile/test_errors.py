"""Mistakes: the place, what was expected, and what to do."""

import pytest

from kist.errors import ParseError
from kist.spec.dockerfile import parse


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("", 1, 1, "no instructions", "FROM debian:12"),
        ("# only this\n", 1, 1, "no instructions", ""),
        ("ARG A", 1, 1, "expected FROM after the ARGs", ""),
        ("RUN x", 1, 1, "expected FROM before RUN", ""),
        ("FROM a\nRUNN x", 2, 1, "unknown instruction: RUNN", "did you mean RUN?"),
        ("FROM a\n  COPPY x y", 2, 3, "unknown instruction: COPPY", "did you mean COPY?"),
        ("FROM a\nqwertz x", 2, 1, "unknown instruction: QWERTZ", "known are ADD, ARG"),
        ("FROM a\nRUN x &&\n  y", 3, 3, "unknown instruction: Y", ""),
        ("FROM", 1, 5, "FROM needs an argument: expected the name of an image", ""),
        ("FROM a b", 1, 8, "expected FROM image or FROM image AS name", ""),
        ("FROM a AS", 1, 6, "expected FROM image or FROM image AS name", ""),
        ("FROM a AS 1x", 1, 11, "invalid name for a build stage: '1x'", ""),
        ("FROM --plattform=x a", 1, 6, "unknown flag: --plattform", "did you mean --platform?"),
        ("FROM --platform a", 1, 6, "missing a value on flag --platform", ""),
        ("FROM a\nCOPY --chwn=1 a b", 2, 6, "unknown flag: --chwn", "did you mean --chown?"),
        ("FROM a\nCOPY --from=a --from=b c d", 2, 15, "duplicate flag: --from", ""),
        ("FROM a\nCOPY --parents=no a b", 2, 16, "--parents=no: expected true or false", ""),
        ("FROM a\nCOPY --link --link a b", 2, 13, "duplicate flag: --link", ""),
        ("FROM a\nCOPY --unpack a b", 2, 6, "unknown flag: --unpack", "known are --chmod, --chown, --exclude"),
        ("FROM a\nCOPY --exclude= a b", 2, 6, "missing a value on flag --exclude", ""),
        ("FROM a\nADD --parent a b", 2, 5, "unknown flag: --parent", ""),
        ("FROM a\nCOPY --chown= a b", 2, 6, "missing a value on flag --chown", ""),
        ("FROM a\nENV --x=y a=b", 2, 5, "unknown flag: --x", "ENV takes no flags"),
        ("FROM a\nCOPY", 2, 5, "COPY needs an argument: expected a source and a destination", ""),
        ("FROM a\nCOPY a", 2, 6, "expected a destination after 'a'", ""),
        ('FROM a\nCOPY ["a"]', 2, 6, "expected a destination after 'a'", ""),
        ("FROM a\nCOPY []", 2, 6, "the array is empty", ""),
        ("FROM a\nENV", 2, 4, "ENV needs an argument: expected NAME=value", ""),
        ("FROM a\nENV a", 2, 5, "ENV a has no value: expected ENV a=value", ""),
        ("FROM a\nENV a=b \\\n    c", 3, 5, "expected NAME=value, found 'c'", "double quotes"),
        ("FROM a\nENV =b", 2, 5, "ENV names can not be blank", ""),
        ("FROM a\nLABEL a=b c", 2, 11, "expected NAME=value, found 'c'", ""),
        ("FROM a\nARG", 2, 4, "expected NAME or NAME=default", ""),
        ("FROM a\nARG =x", 2, 5, "ARG names can not be blank", ""),
        ("FROM a\nRUN", 2, 4, "expected a command", ""),
        ("FROM a\nRUN []", 2, 5, "the array is empty", ""),
        ("FROM a\nRUN [1, 2]", 2, 5, "strings only", "double quotes"),
        ("FROM a\nSHELL /bin/sh", 2, 7, "JSON form", ""),
        ("FROM a\nSHELL []", 2, 7, "JSON form", ""),
        ("FROM a\nVOLUME []", 2, 8, "expected a path", ""),
        ("FROM a\nONBUILD ONBUILD RUN x", 2, 9, "chaining ONBUILD is not allowed", ""),
        ("FROM a\nONBUILD FROM x", 2, 9, "FROM isn't allowed as a trigger", ""),
        ("FROM a\nONBUILD RUUN x", 2, 9, "unknown instruction: RUUN", "did you mean RUN?"),
        ("FROM a\nHEALTHCHECK x", 2, 13, "expected CMD or NONE", ""),
        ("FROM a\nHEALTHCHECK CMD", 2, 13, "missing command after HEALTHCHECK CMD", ""),
        ("FROM a\nHEALTHCHECK NONE x", 2, 18, "takes no arguments", ""),
        ("FROM a\nHEALTHCHECK --interval=5 CMD x", 2, 24, "expected a duration such as 30s", ""),
        ("FROM a\nHEALTHCHECK --timeout=1us CMD x", 2, 23, "at least 1ms", ""),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x", 2, 23, "expected a whole number", ""),
        ("FROM a\nHEALTHCHECK --intervall=5s CMD x", 2, 13, "unknown flag", "did you mean --interval?"),
        ("# escape=/\nFROM a", 1, 10, "invalid escape character '/'", ""),
        ("# escape=`\n# escape=`\nFROM a", 2, 3, "only one escape directive", ""),
        ("FROM a\nRUN x\0y", 2, 6, "a NUL byte", ""),
        ("FROM a\nRUN cat <<EOF\nx", 2, 9, "expected a line EOF before the end", "holds EOF and nothing else"),
        ("FROM a\nRUN \\\n  <<-E\n x\n E", 3, 3, "is not closed", "line 5 has white space beside E"),
        ("FROM a\nCOPY <<E /e\nx\n\tE\n", 2, 6, "is not closed", "take it away, or write <<-E"),
        ("FROM a\nCOPY <<A <<'B' /e/\nx\nA\ny\n", 2, 10, "expected a line B", ""),
        ("FROM a\nCOPY a <<E\nx\nE", 2, 8, "cannot accept a here-document as a destination", ""),
        ("FROM a\nCOPY <<E /e\nab\0\nE", 3, 3, "the here-document holds a NUL byte", ""),
        ("FROM a\nRUN cat <<E\nx\nE\nXYZ", 5, 1, "unknown instruction: XYZ", ""),
    ],
)
def test_mistake_is_pointed_at(text: str, line: int, column: int, message: str, hint: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text, "Dockerfile.x")
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert message in error.message
    assert hint in error.hint
    assert f"Dockerfile.x:{line}:{column}: " in str(error)


def test_bytes_that_are_not_utf8_are_pointed_at() -> None:
    with pytest.raises(ParseError, match="not UTF-8") as caught:
        parse(b"FROM a\nRUN caf\xe9")
    assert (caught.value.line, caught.value.column) == (2, 8)
    assert str(caught.value).encode()


@pytest.mark.parametrize("column", [1, 60, 400, 700, 1000])
def test_a_long_line_is_shown_around_the_place(column: int) -> None:
    text = "x" * (column - 1) + "!" + "y" * (1000 - column)
    *_, shown, caret = str(ParseError("wrong", source="Dockerfile", line=3, column=column, text=text)).splitlines()
    assert len(shown) < 180
    assert shown[caret.index("^")] == "!"
    assert shown.endswith("…") is (column < 900)
