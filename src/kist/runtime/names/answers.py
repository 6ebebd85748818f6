"""Answers of other servers that are kept while they are good, and what is said again word for word.

Times are seconds of ``time.monotonic()``.
"""

from __future__ import annotations

from kist.runtime.names import message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 3600
# A name may be about to be made; somebody is waiting for it.
_LONGEST_NEGATIVE = 15
# That nobody could tell is true for a moment (RFC 9520, section 3.2).
_FAILURE = 1
_MOST = 1024
_MOST_BYTES = 4 << 20


class Kept:
    """An answer that is good for some time; its TTLs are counted down.

    Args:
        data: the message.
        now: when it came.
    """

    __slots__ = ("_age", "_aged", "_data", "_places", "_since", "_until")

    def __init__(self, data: bytes, now: float) -> None:
        self._since = now
        self._data = self._aged = data
        self._age = 0
        if message.response_code(data) == message.SERVFAIL:
            self._places: tuple[int, ...] = ()
            self._until = now + _FAILURE
        elif message.is_truncated(data):
            self._places, self._until = (), now
        else:
            seconds, self._places = message.lifetime(data, _LONGEST, _LONGEST_NEGATIVE)
            self._until = now + seconds

    def __len__(self) -> int:
        return len(self._data)

    def at(self, now: float) -> bytes | None:
        """The message as it is now, None when it is not good any more."""
        if now >= self._until:
            return None
        age = int(now - self._since)
        if age != self._age:
            self._age, self._aged = age, message.aged(self._data, self._places, age)
        return self._aged


class Answers:
    """What is kept, by what was asked (``message.passed_on``); what was kept first goes first."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}
        self._size = 0

    def keep(self, asked: bytes, data: bytes, now: float) -> Kept | None:
        """Keep an answer, if it is good for any time."""
        try:
            kept = Kept(data, now)
        except message.Malformed:
            return None
        if kept.at(now) is None:
            return None
        self._drop(asked)
        self._kept[asked] = kept
        self._size += len(kept)
        while len(self._kept) > _MOST or self._size > _MOST_BYTES:
            self._drop(next(iter(self._kept)))
        return kept

    def get(self, asked: bytes, now: float) -> Kept | None:
        """The answer, if it is good."""
        kept = self._kept.get(asked)
        if kept is not None and kept.at(now) is None:
            self._drop(asked)
            return None
        return kept

    def clear(self) -> None:
        """Other servers are asked from now on."""
        self._kept.clear()
        self._size = 0

    def _drop(self, asked: bytes) -> None:
        if (kept := self._kept.pop(asked, None)) is not None:
            self._size -= len(kept)


class Repeated:
    """What is said to whoever sends these very bytes again, but for the identifier: no need to read them again.

    Either ways to say it in turn, or an answer that is kept.
    """

    __slots__ = ("_kept", "_question", "_turn", "_ways")

    def __init__(
        self, ways: Sequence[bytes] = (), turn: int = 0, kept: Kept | None = None, question: bytes = b""
    ) -> None:
        self._ways = ways
        self._turn = turn
        self._kept = kept
        self._question = question

    def at(self, now: float) -> bytes | None:
        """All of the message behind the identifier; None when it is to be found out anew."""
        if self._kept is None:
            self._turn = turn = (self._turn + 1) % len(self._ways)
            return self._ways[turn]
        data = self._kept.at(now)
        return None if data is None else respelt(data, self._question)


def respelt(data: bytes, question: bytes) -> bytes:
    """An answer without its identifier, with the question as this client has spelt it."""
    if data[4:6] != b"\0\1":
        return data[2:]
    return data[2:12] + question + data[12 + len(question) :]
