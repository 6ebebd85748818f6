"""Where a word of a Dockerfile stands, and the errors that point there."""

import re
from typing import Self

import msgspec

from kist.errors import ParseError, Unsupported

_NOT_UTF8 = re.compile("[\ud800-\udfff]")


class Location(msgspec.Struct, frozen=True):
    """A place in the text: 1-based line and 1-based column, in characters."""

    line: int
    column: int


class Word(msgspec.Struct, frozen=True):
    """A piece of an instruction as it was written (quotes and variables still in it) and where it begins."""

    text: str
    location: Location


class Source(msgspec.Struct, frozen=True):
    """The text that is read: its name for messages, and its lines without their ends."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str, name: str) -> Self:
        """The lines of ``text``, without a byte order mark; a line ends with LF or CR LF."""
        lines = text.removeprefix("\ufeff").split("\n")
        return cls(name, tuple(line.removesuffix("\r") for line in lines))

    def error(self, location: Location, message: str, *, hint: str = "") -> ParseError:
        """What to raise for a mistake at ``location``."""
        line, column = location.line, location.column
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        text = _NOT_UTF8.sub("\ufffd", text)  # one for one, so that the caret stays under its place
        return ParseError(message, source=self.name, line=line, column=column, text=text, hint=hint)

    def unsupported(self, location: Location, message: str, *, hint: str = "") -> Unsupported:
        """What to raise for something that is right and not done yet; shows the place as a mistake is shown."""
        return Unsupported(str(self.error(location, message)), hint=hint)
