"""Whatever the text, it is read, or refused with a place that exists in it."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from kist.errors import ParseError, Unsupported
from kist.spec.dockerfile import Location, Source, Word, expand, parse
from kist.spec.dockerfile.instructions import Dockerfile

T = TypeVar("T")

WORDS = (
    *("FROM", "RUN", "ENV", "ARG", "COPY", "ADD", "LABEL", "CMD", "ENTRYPOINT", "EXPOSE", "VOLUME", "USER", "WORKDIR"),
    *("SHELL", "HEALTHCHECK", "ONBUILD", "XYZ", "NONE", "AS b", "a", "a=b", '["a"]', "--from=", "--chown=x", "--"),
    *("<<EOF", "$x", "${x:-", "}", "=", '"', "'", "[", "]", ",", "/", "é", "\0", " ", " ", "\t", "\n", "\n", "\\\n"),
    *(
        "<<-'E'",
        "<<",
        "E",
        "\nE\n",
        "\nEOF\n",
        "--link",
        "--exclude=*",
        "--chmod=u=rwX",
        "--mount=type=cache,target=/x",
    ),
    *("${x##*/}", "${x/a/b}", "${x%", "/}"),
    *("\r\n", "\\", "#", "# escape=`\n", "`\n"),
)
PIECES = st.sampled_from(WORDS)
TEXTS = st.lists(PIECES, max_size=30).map("".join)


def outcome(work: Callable[[], T]) -> T | ParseError | Unsupported:
    try:
        return work()
    except (ParseError, Unsupported) as error:
        return error


def check(text: str) -> None:
    found = outcome(lambda: parse(text))
    lines = text.split("\n")
    if isinstance(found, ParseError):
        assert 1 <= found.line <= len(lines)
        assert 1 <= found.column <= len(lines[found.line - 1]) + 1
        assert str(found)
    elif isinstance(found, Unsupported):
        assert "Dockerfile:" in found.message
    else:
        check_places(found, lines)


def check_places(file: Dockerfile, lines: list[str]) -> None:
    for stage in file.stages:
        for instruction in (stage.base, *stage.instructions):
            place = instruction.location
            found = lines[place.line - 1].removeprefix("\ufeff")[place.column - 1 :]
            assert found.upper().startswith(instruction.keyword[:1])


@given(TEXTS)
def test_pieces_of_dockerfiles(text: str) -> None:
    check(text)


@given(TEXTS)
def test_pieces_after_a_from(text: str) -> None:
    check("FROM a\n" + text)


@given(st.text(max_size=200))
def test_arbitrary_text(text: str) -> None:
    check(text)


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    assert outcome(lambda: parse(data)) is not None


@given(st.text("$a{}:-+?'\"\\ b#/%", max_size=25))
def test_arbitrary_words_expand_or_are_refused(text: str) -> None:
    source = Source.of(text, "Dockerfile")
    found = outcome(lambda: expand(Word(text, Location(1, 1)), {"a": "1", "b": ""}, source))
    if isinstance(found, ParseError):
        assert 1 <= found.column <= len(text) + 1
