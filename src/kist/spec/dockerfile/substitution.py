r"""``${name#pattern}``, ``${name%pattern}``, ``${name/pattern/text}`` (reference, "Environment replacement").

In a pattern ``*`` stands for any characters, also none, ``?`` for one, and ``\`` keeps what they mean out of them.
A pattern is cut at its ``*`` into pieces of a known length, which are looked for one after the other: however many
there are, a value is gone through once for each.
"""

import re
from collections.abc import Iterator
from typing import Self

Piece = tuple[str, ...]
"""Characters that stand for themselves; an empty string for any one."""


class Pattern:
    """A pattern that can be looked for; made of what stands between its stars."""

    def __init__(self, pieces: tuple[Piece, ...]) -> None:
        expressions = ["".join(re.escape(char) or "." for char in piece) for piece in pieces]
        self._parts = pieces
        self._pieces = [re.compile(expression, re.DOTALL) for expression in expressions]
        self._last = re.compile(f".*(?:{expressions[-1]})", re.DOTALL)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pattern that ``text`` is.

        Raises:
            ValueError: a backslash stands before a character that needs none, or at the end.
        """
        return cls(tuple(_pieces(text)))

    def backwards(self) -> "Pattern":
        """The pattern that matches the same read from the end."""
        return Pattern(tuple(piece[::-1] for piece in self._parts[::-1]))

    def prefix(self, value: str, *, longest: bool) -> int:
        """The length of the shortest or longest part at the start of ``value`` that matches; 0 where none does."""
        return max(self._end(value, 0, longest=longest), 0)

    def find(self, value: str, start: int = 0) -> tuple[int, int] | None:
        """Where the first part that matches begins and ends, as long as it can be; None where there is none."""
        found = self._pieces[0].search(value, start)
        if found is None:
            return None
        end = self._end(value, found.start(), longest=True)
        # Where the pieces do not follow the first place of the first piece, they follow no later one.
        return (found.start(), end) if end >= 0 else None

    def _end(self, value: str, begin: int, *, longest: bool) -> int:
        found = self._pieces[0].match(value, begin)
        if found is None:
            return -1
        for piece in self._pieces[1:]:
            begin = found.end()
            found = piece.search(value, begin)
            if found is None:
                return -1
        if longest and len(self._pieces) > 1:
            found = self._last.match(value, begin)
            assert found is not None
        return found.end()


def without_prefix(value: str, pattern: Pattern, *, longest: bool) -> str:
    """``${name#pattern}`` and ``##``."""
    return value[pattern.prefix(value, longest=longest) :]


def without_suffix(value: str, pattern: Pattern, *, longest: bool) -> str:
    """``${name%pattern}`` and ``%%``."""
    return value[: len(value) - pattern.backwards().prefix(value[::-1], longest=longest)]


def replaced(value: str, pattern: Pattern, text: str, *, everywhere: bool, most: int) -> str:
    """``${name/pattern/text}`` and ``//``; an empty match beside another one is none, as in Go.

    Raises:
        OverflowError: what is put in is longer than ``most`` characters.
    """
    out: list[str] = []
    at, last = 0, -1
    while at <= len(value) and (found := pattern.find(value, at)) is not None:
        begin, end = found
        out.append(value[at:begin])
        if begin != end or begin != last:
            out.append(text)
            most -= len(text)
            if most < 0:
                raise OverflowError
        last = end
        if begin == end:  # go on behind the next character
            out.append(value[end : end + 1])
            end += 1
        at = end
        if not everywhere:
            break
    return "".join(out) + value[at:]


def _pieces(text: str) -> Iterator[Piece]:
    """What stands between the stars."""
    piece: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "*":
            yield tuple(piece)
            piece = []
        elif char == "\\":
            at += 1
            following = text[at : at + 1]
            if not following or following not in "*?\\}/":
                raise ValueError(f"invalid escape '\\{following}'")
            piece.append(following)
        else:
            piece.append("" if char == "?" else char)
        at += 1
    yield tuple(piece)
