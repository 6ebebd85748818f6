"""When a container that has ended is started again: decisions, without a clock and without effects.

The rules are Docker's: the wait doubles from 100 ms to a minute, and begins anew after a run of ten seconds; a
container that was stopped by hand stays stopped. Times are nanoseconds of a clock that no one sets.
"""

from __future__ import annotations

from kist.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FIRST_WAIT = 100_000_000
LONGEST_WAIT = 60_000_000_000
# A run of this length was no failed attempt.
LONG_RUN = 10_000_000_000
# What somebody sends who wants the container to end; of the other signals, HUP and USR1 mostly ask for something else.
_ENDING = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


class Restarts:
    """The restart policy of one container, and what has come of it.

    Args:
        policy: ``name`` (``no``, ``always``, ``unless-stopped``, ``on-failure``) and ``maximum_retry_count`` (of
            on-failure; 0 for no limit).
        known: ``saved`` of another monitor that had this container before.

    Attributes:
        policy: may be replaced at any time.
        count: how often the container was started again.
        by_hand: somebody asked for the end of the container.
    """

    def __init__(self, policy: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> None:
        known = known or {}
        self.policy = policy
        self.count: int = known.get("restart_count", 0)
        self.by_hand: bool = known.get("by_hand", False)
        self._wait: int = known.get("restart_wait", 0)
        self._wanted: bool = known.get("restart_wanted", False)

    def saved(self) -> dict[str, Any]:
        """What goes into ``state.json``; only what differs from a container that nobody stopped or started again."""
        values = {
            "restart_count": self.count,
            "by_hand": self.by_hand,
            "restart_wait": self._wait,
            "restart_wanted": self._wanted,
        }
        return {name: value for name, value in values.items() if value}

    def want(self) -> None:
        """After its next end the container is started again once, whatever the policy; by a failed health check."""
        self._wanted = True

    def after(self, exit_code: int, lasted: int) -> int | None:
        """The container has ended: how long to wait before its next start; None when it stays ended.

        Args:
            exit_code: of this run.
            lasted: how long it ran.
        """
        wanted, self._wanted = self._wanted, False
        if self.by_hand or not (wanted or self._applies(exit_code)):
            return None
        self.count += 1
        before = 0 if lasted >= LONG_RUN else self._wait
        self._wait = min(before * 2, LONGEST_WAIT) if before else FIRST_WAIT
        return self._wait

    def _applies(self, exit_code: int) -> bool:
        name = self.policy["name"]
        if name == "on-failure":
            most = self.policy["maximum_retry_count"]
            return exit_code != 0 and (not most or self.count < most)
        return name in {"always", "unless-stopped"}


def asks_for_end(number: int, stop_signal: int) -> bool:
    """Whether who sends this signal to the container wants it to end and stay so."""
    return number == stop_signal or number in _ENDING
