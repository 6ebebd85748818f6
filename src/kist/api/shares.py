"""Places that callers have at once: nobody has so many that the others have none."""

import asyncio
import contextlib
from collections import Counter, deque
from typing import Final

Caller = str | None
"""Who shares with the others, as ``kist.api.visitors.caller_of`` calls them; None for the engine's own user."""
OWNER: Final = None
_ALL_OTHERS = 2


class Shares:
    """A number of places, of which each caller has a share; those who want more wait for their own to be given back.

    The engine's own user may have ``most``, whatever the others have. Of these each may have ``most`` divided by one
    more than there are of them, so that there is a share for somebody who comes later; all together at most twice
    ``most``, however many users somebody is. Used in the event loop only.

    Args:
        most: places.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[Caller] = Counter()
        self._waiting: dict[Caller, deque[asyncio.Future[None]]] = {}

    def limit(self, caller: Caller) -> int:
        """How many a caller may have now."""
        if caller is OWNER:
            return self._most
        others = {*self._taken, *self._waiting, caller} - {OWNER}
        return max(1, self._most // (len(others) + 1))

    def waiting(self, caller: Caller) -> int:
        """How many calls of a caller wait for a place."""
        return len(self._waiting.get(caller, ()))

    async def take(self, caller: Caller) -> None:
        """Have a place, in the order of asking; to be given back."""
        if caller not in self._waiting and self._has_room(caller):
            self._taken[caller] += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(caller, turn)
            else:  # it had come just now
                self.give_back(caller)
            raise

    def give_back(self, caller: Caller) -> None:
        """A place is free again."""
        self._drop(caller)
        for each in tuple(self._waiting):  # the share of all is larger where somebody has gone
            self._let_in(each)

    def _has_room(self, caller: Caller) -> bool:
        if self._taken[caller] >= self.limit(caller):
            return False
        return caller is OWNER or self._taken.total() - self._taken[OWNER] < _ALL_OTHERS * self._most

    def _let_in(self, caller: Caller) -> None:
        turns = self._waiting[caller]
        while turns and self._has_room(caller):
            turn = turns.popleft()
            if not turn.done():
                self._taken[caller] += 1
                turn.set_result(None)
        if not turns:
            del self._waiting[caller]

    def _drop(self, caller: Caller) -> None:
        self._taken[caller] -= 1
        if not self._taken[caller]:
            del self._taken[caller]

    def _leave(self, caller: Caller, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting.get(caller, deque())
        with contextlib.suppress(ValueError):
            turns.remove(turn)
        if not turns:
            self._waiting.pop(caller, None)
