"""An instruction's text, of how many lines of the file it may be (Dockerfile reference, "Format").

A logical line keeps where each of its pieces came from, so that any offset in it leads back to a line and a column.
"""

import re
from bisect import bisect_right

import msgspec

from kist.spec.dockerfile.source import Location, Source, Word

_TABS = re.compile(r"^\t+", re.MULTILINE)
_WHITE_SPACE = re.compile(r"[\t\v\f\r ]+")


class Heredoc(msgspec.Struct, frozen=True):
    """A here-document: its name, its lines as they stand in the file, ``first`` of them that has this number."""

    name: str
    text: str
    word: Word
    first: int
    expands: bool = True
    chomps: bool = False

    @property
    def content(self) -> Word:
        """Its text without the tabs that are left out, and where that begins."""
        return Word(_TABS.sub("", self.text) if self.chomps else self.text, Location(self.first, 1))


class LogicalLine(msgspec.Struct, frozen=True):
    """One instruction's text, continuations joined as Docker joins them (nothing is put between the pieces).

    Attributes:
        text: the joined text.
        offsets: where each piece begins in ``text``.
        origins: where each piece begins in the source.
        escape: the escape character in force.
        heredocs: the here-documents that it begins, in order.
    """

    text: str
    offsets: tuple[int, ...]
    origins: tuple[Location, ...]
    escape: str
    source: Source
    heredocs: tuple[Heredoc, ...] = ()

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
