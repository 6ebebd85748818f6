"""Lines of a log that match a pattern: the others are left out before anything is made of them."""

import re
from collections.abc import Callable, Iterable, Iterator

from kist.errors import InvalidInput
from kist.runtime.logformat import Run

# Parts of a line are matched together up to here; output without line ends must not fill the memory.
_LONGEST = 1 << 20
_FULL = b"F "
_PART = b"P "


class Grep:
    """A pattern, and the lines that have begun and not ended yet.

    Args:
        pattern: of Python's ``re``; matched in text (UTF-8, what is none of it as surrogates), a line at a time.
        ignore_case: whether capitals match small letters.

    Raises:
        InvalidInput: the pattern is malformed; the message points at the place.
    """

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        try:
            compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
        except (re.error, RecursionError, OverflowError) as error:
            place = getattr(error, "colno", None) or 1
            raise InvalidInput(
                f"invalid pattern for grep: {error}\n  {pattern}\n  {' ' * (place - 1)}^",
                hint="write a regular expression as Python's re has them",
            ) from None
        literal = pattern.encode("utf-8", "surrogateescape")
        self._plain = literal if re.escape(pattern) == pattern and not ignore_case else b""
        self._match: Callable[[bytes], object] = lambda text: compiled.search(text.decode("utf-8", "surrogateescape"))
        self._begun: dict[str, tuple[bytes, list[bytes], int]] = {}

    def select(self, found: Iterable[Run]) -> Iterator[Run]:
        """The lines of these runs that match."""
        for run in found:
            if not run.full or run.stream in self._begun:
                yield from self._with_parts(run)
            elif self._plain and self._plain not in run.body:
                continue
            else:
                yield from self._matching(run.head, run.texts(), b"\n")

    def rest(self) -> Iterator[Run]:
        """At the end of the output: what matches of lines without an end."""
        for head, parts, _ in self._begun.values():
            yield from self._matching(head[:-2] + _PART, [b"".join(parts)], b"\n")
        self._begun.clear()

    def _with_parts(self, run: Run) -> Iterator[Run]:
        for text in run.texts():
            head, parts, size = self._begun.pop(run.stream, (run.head, [], 0))
            parts.append(text)
            size += len(text)
            if run.full or size >= _LONGEST:
                yield from self._matching(head[:-2] + (_FULL if run.full else _PART), [b"".join(parts)], b"\n")
            else:
                self._begun[run.stream] = (head, parts, size)

    def _matching(self, head: bytes, texts: list[bytes], end: bytes) -> Iterator[Run]:
        plain = self._plain
        kept = [text for text in texts if plain in text] if plain else list(filter(self._match, texts))
        if kept:
            yield Run(head, (b"\n" + head).join(kept) + end)
