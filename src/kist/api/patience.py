"""How long the engine waits for a client that sends or takes nothing, and how many bodies move at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import msgspec

from kist.api.shares import OWNER, Caller, Shares
from kist.errors import KistError, Unavailable


class Patience(msgspec.Struct, frozen=True):
    """Bounds on slow clients; times in seconds.

    Attributes:
        head: from the first byte of a request's head to its last.
        body: from the head to the last byte of a body that is read whole (JSON).
        stall: without a byte of a body that is worked on while it comes, or of one that the client takes.
        bodies: how many of these hold a thread at once, in each direction (``kist.api.shares``).
        turn: how long another waits until one of them has moved.
        look: how often each is looked at while others wait: then it moves ``pace`` bytes between two looks, or goes.
        pace: see there.
        others: how many connections those have together who are not the engine's own user; 0 for a quarter of the
            descriptors that the engine may have.
    """

    head: float = 30.0
    body: float = 60.0
    stall: float = 600.0
    bodies: int = 64
    turn: float = 60.0
    look: float = 20.0
    pace: int = 64 << 10
    others: int = 0


class TooSlow(KistError):
    """The client has not sent in time what it announced (RFC 9110, section 15.5.9)."""

    http_status = 408


class Turns:
    """Bodies of one direction, each of which holds a thread while it moves; those beyond a caller's share wait.

    Used in the event loop only.
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._shares = Shares(patience.bodies)

    def waiting(self, caller: Caller = OWNER) -> int:
        """How many bodies of a caller wait for a turn."""
        return self._shares.waiting(caller)

    @contextlib.asynccontextmanager
    async def turn(self, on_slow: Callable[[], None], caller: Caller = OWNER) -> AsyncIterator["Turn"]:
        """One body's turn; ``on_slow`` is called when its client stalls, or is slow and others of the caller wait.

        Raises:
            Unavailable: none of the others has ended in time.
        """
        try:
            async with asyncio.timeout(self.patience.turn):
                await self._shares.take(caller)
        except TimeoutError:
            many = self._shares.limit(caller)
            raise Unavailable(
                f"{many} archives are being sent or received already", hint="try again in a moment"
            ) from None
        try:
            with Turn(self, on_slow, caller) as made:
                yield made
        finally:
            self._shares.give_back(caller)


class Turn:
    """Watches over the pace of one body.

    Attributes:
        moved: how many bytes have come or gone.
        awaits_client: it is the client's to send or to take more, and not ours.
    """

    def __init__(self, turns: Turns, on_slow: Callable[[], None], caller: Caller) -> None:
        self._turns = turns
        self._caller = caller
        self._on_slow = on_slow
        self._loop = asyncio.get_running_loop()
        self._seen = 0
        self._stalled_since = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.moved = 0
        self.awaits_client = False

    def __enter__(self) -> Self:
        self._timer = self._loop.call_later(self._turns.patience.look, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        patience, now = self._turns.patience, self._loop.time()
        moved, self._seen = self.moved - self._seen, self.moved
        if moved or not self.awaits_client:
            self._stalled_since = now
        crowded = self._turns.waiting(self._caller) and self.awaits_client and moved < patience.pace
        if crowded or now - self._stalled_since >= patience.stall:
            self._on_slow()
        else:
            self._timer = self._loop.call_later(patience.look, self._look)
