"""Physical lines to logical ones: directives, comments, continuations (Dockerfile reference, "Format").

A logical line keeps where each of its pieces came from, so that any offset in it leads back to a line and a column.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

import msgspec

from kist.spec.dockerfile.source import Location, Source, Word

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_KNOWN_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_WHITE_SPACE = re.compile(r"[\t\v\f\r ]+")
_NOT_TEXT = re.compile("[\0\udc80-\udcff]")


class LogicalLine(msgspec.Struct, frozen=True):
    """One instruction's text, continuations joined as Docker joins them (nothing is put between the pieces).

    Attributes:
        text: the joined text.
        offsets: where each piece begins in ``text``.
        origins: where each piece begins in the source.
        escape: the escape character in force.
    """

    text: str
    offsets: tuple[int, ...]
    origins: tuple[Location, ...]
    escape: str
    source: Source

    def location(self, offset: int) -> Location:
        """The place in the source of ``text[offset]``."""
        piece = bisect_right(self.offsets, offset) - 1
        origin = self.origins[piece]
        return Location(origin.line, origin.column + offset - self.offsets[piece])

    def span(self, start: int, end: int) -> "Span":
        """The part from ``start`` to ``end``, without white space at its ends."""
        part = self.text[start:end]
        start += len(part) - len(part.lstrip())
        return Span(self, start, start + len(part.strip()))


class Span(msgspec.Struct, frozen=True):
    """A part of a logical line."""

    line: LogicalLine
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters of the part."""
        return self.line.text[self.start : self.end]

    @property
    def location(self) -> Location:
        """Where the part begins; for an empty part at the end of a line, the place just after it."""
        return self.line.location(self.start)

    def word(self, start: int = 0, end: int | None = None) -> Word:
        """The word at these offsets of the part."""
        text = self.text[start:end]
        return Word(text, self.line.location(self.start + start))

    def split(self, limit: int = 0) -> list[Word]:
        """The words between white space, quotes not regarded; at most ``limit`` + 1 of them when ``limit`` is given."""
        words: list[Word] = []
        begin, text = 0, self.text
        for gap in _WHITE_SPACE.finditer(text):
            if limit and len(words) == limit:
                break
            words.append(self.word(begin, gap.start()))
            begin = gap.end()
        return [*words, self.word(begin)] if text else []


def logical_lines(source: Source) -> Iterator[LogicalLine]:
    """The instructions' lines of a Dockerfile, in order.

    Raises:
        ParseError: a directive is wrong, or an instruction holds bytes that are not UTF-8 or a NUL.
    """
    escape, index = _directives(source)
    lines = source.lines
    while index < len(lines):
        raw = lines[index]
        stripped = raw.lstrip()
        if not stripped or stripped.startswith("#"):
            index += 1
            continue
        line, index = _join(source, index, len(raw) - len(stripped), escape)
        _check_text(line)
        if line.text.strip():
            yield line


def _directives(source: Source) -> tuple[str, int]:
    """The escape character and the number of lines that hold directives."""
    seen: dict[str, str] = {}
    for index, line in enumerate(source.lines):
        match = _DIRECTIVE.match(line.lstrip())
        if match is None or (name := match[1].lower()) not in _KNOWN_DIRECTIVES:
            return seen.get("escape", "\\"), index
        column = len(line) - len(line.lstrip()) + match.start(1) + 1
        if name in seen:
            raise source.error(Location(index + 1, column), f"only one {name} directive can be used")
        if name == "escape" and match[2] not in {"\\", "`"}:
            place = Location(index + 1, column + match.start(2) - match.start(1))
            raise source.error(place, f"invalid escape character {match[2]!r}: expected \\ or `")
        seen[name] = match[2]
    return seen.get("escape", "\\"), len(source.lines)


def _join(source: Source, index: int, indent: int, escape: str) -> tuple[LogicalLine, int]:
    """The logical line that begins at ``index``, and the index after it."""
    piece, goes_on = _continuation(source.lines[index][indent:], escape)
    pieces, offsets, origins = [piece], [0], [Location(index + 1, indent + 1)]
    length = len(piece)
    index += 1
    while goes_on and index < len(source.lines):
        raw = source.lines[index]
        index += 1
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        piece, goes_on = _continuation(raw, escape)
        pieces.append(piece)
        offsets.append(length)
        origins.append(Location(index, 1))
        length += len(piece)
    return LogicalLine("".join(pieces), tuple(offsets), tuple(origins), escape, source), index


def _continuation(line: str, escape: str) -> tuple[str, bool]:
    """The line without its continuation character, and whether it had one (a doubled one is none)."""
    bare = line.rstrip(" \t")
    if bare.endswith(escape) and not bare.endswith(escape * 2):
        return bare[:-1], True
    return line, False


def _check_text(line: LogicalLine) -> None:
    wrong = _NOT_TEXT.search(line.text)
    if wrong is not None:
        what = "a NUL byte" if wrong[0] == "\0" else "bytes that are not UTF-8"
        raise line.source.error(line.location(wrong.start()), f"the instruction holds {what}: expected UTF-8 text")
