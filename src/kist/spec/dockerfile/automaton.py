"""Patterns in which ``**`` stands inside of names, matched in one pass over the path.

``re`` tries all ways in which several parts of any length can share a text, which for ``**a**a**a**b`` takes longer
than anybody waits. Here all are followed at once: a bit for each place in the pattern.
"""

import re
from collections.abc import Sequence

from kist.spec.dockerfile.glob import ALL, ANY, DIRECTORIES


class Automaton:
    """Matches a path that a pattern covers: the path itself, or a directory above it.

    Args:
        parts: expressions that take one character each, and those of ``kist.spec.dockerfile.glob`` for any number.
    """

    def __init__(self, parts: Sequence[str]) -> None:
        # Places, by how they are left: with a character that fits, with any, with any but a slash, or with none.
        self._single: dict[str, int] = {}
        self._stays = self._stays_in_name = self._skipped = 0
        self._enters = self._inside = 0
        place = 1
        for part in parts:
            if part == DIRECTORIES:
                self._enters |= place
                self._inside |= place << 1
                place <<= 2
                continue
            if part == ALL:
                self._stays |= place
            elif part == ANY:
                self._stays_in_name |= place
            else:
                self._single[part] = self._single.get(part, 0) | place
            place <<= 1
        self._skipped = self._stays | self._stays_in_name
        self._end = place
        self._fits: dict[str, int] = {}

    def covers(self, path: str) -> bool:
        """Whether the pattern matches the path or a directory above it."""
        places = self._reached(1)
        for character in path:
            if character == "/" and places & self._end:
                return True
            places = self._reached(self._after(places, character))
            if not places:
                return False
        return bool(places & self._end)

    def _after(self, places: int, character: str) -> int:
        fits = self._fits.get(character)
        if fits is None:
            fits = self._fits[character] = self._fitting(character)
        after = (places & fits) << 1 | places & self._stays
        after |= (places & self._enters) << 1 | places & self._inside
        if character == "/":
            return after | (places & self._enters) << 2 | (places & self._inside) << 1
        return after | places & self._stays_in_name

    def _reached(self, places: int) -> int:
        """The same, and those that are reached without a character."""
        while True:
            more = places | (places & self._skipped) << 1 | (places & self._enters) << 2
            if more == places:
                return places
            places = more

    def _fitting(self, character: str) -> int:
        found = 0
        for part, places in self._single.items():
            if re.fullmatch(part, character, re.DOTALL):
                found |= places
        return found
