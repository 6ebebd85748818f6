"""Words of an instruction: quoted words, flags, JSON arrays (Dockerfile reference, "Format" and each instruction)."""

import re
from functools import cache

import msgspec

from kist.spec.dockerfile.lines import LogicalLine, Span
from kist.spec.dockerfile.source import Location, Word

_KEYWORD = re.compile(r"\S+")
_ESCAPED = re.compile(r"\\(.)|[\"']", re.DOTALL)
_ALMOST_JSON = re.compile(r"""\[(?:\s*"(?:[^"\\]|\\.)*"\s*,)*\s*'[^']*'\s*(?:,.*)?\]\Z""", re.DOTALL)


class Flag(msgspec.Struct, frozen=True):
    """``--name=value``; ``value`` is None where there is no ``=``."""

    name: str
    value: Word | None
    location: Location


class Head(msgspec.Struct, frozen=True):
    """An instruction cut into its keyword, what follows it, the flags at the begin of that, and the rest."""

    keyword: Word
    body: Span
    flags: tuple[Flag, ...]
    rest: Span

    @property
    def line(self) -> LogicalLine:
        """The whole logical line."""
        return self.rest.line


@cache
def _word_pattern(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    double = rf'"(?:{e}.|[^"{e}])*(?:"|{e}?\Z)'
    return re.compile(rf"(?:{e}.|[^\s'\"{e}]|'[^']*(?:'|\Z)|{double}|{e}\Z)+", re.DOTALL)


def quoted_words(span: Span) -> list[Word]:
    """The words between unquoted white space; quotes and escapes stay in them for the expansion to take away."""
    words = []
    text, escape = span.text, span.line.escape
    for match in _word_pattern(escape).finditer(text):
        end = match.end()
        if end == len(text) and (end - len(text.rstrip(escape))) % 2:
            end -= 1  # an escape with nothing after it stands for nothing
        if end > match.start():
            words.append(span.word(match.start(), end))
    return words


def cut(line: LogicalLine, start: int = 0) -> Head:
    """Cut the instruction that begins at ``start`` of the line."""
    whole = line.span(start, len(line.text))
    keyword = _KEYWORD.match(whole.text)
    assert keyword is not None
    flags: list[Flag] = []
    at = whole.start + keyword.end()
    body = line.span(at, whole.end)
    while True:
        rest = line.span(at, whole.end)
        match = _word_pattern("\\").match(rest.text) if rest.text.startswith("--") else None
        if match is None:
            break
        at = rest.start + match.end()
        if match[0] == "--":
            rest = line.span(at, whole.end)
            break
        flags.append(_flag(rest.word(0, match.end())))
    return Head(whole.word(0, keyword.end()), body, tuple(flags), rest)


def _flag(word: Word) -> Flag:
    name, equals, value = word.text.partition("=")
    place = Location(word.location.line, word.location.column + len(name) + 1)
    text = _ESCAPED.sub(lambda match: match[1] or "", value)
    return Flag(_ESCAPED.sub(lambda match: match[1] or "", name), Word(text, place) if equals else None, word.location)


def json_words(span: Span) -> tuple[str, ...] | None:
    """The strings of a JSON array; None where the text is not JSON, which Docker then reads as plain words.

    Raises:
        ParseError: it is a JSON array and holds something other than strings.
    """
    text = span.text
    if not text.startswith("["):
        return None
    try:
        values = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        raise span.line.source.error(
            span.location,
            "arrays in the exec form hold strings only",
            hint='put every element in double quotes: ["command", "1"]',
        )
    return tuple(values)


def looks_like_json(text: str) -> bool:
    """Whether the writer of ``text`` meant an array and used single quotes."""
    return _ALMOST_JSON.match(text) is not None
