"""Whether a container is healthy, by the results of its checks: decisions, without a clock and without effects.

The rules are Docker's. Times are nanoseconds; a container's age is counted by a clock that no one sets.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
# How many results are kept, and how much of the output of each.
KEPT_RESULTS = 5
KEPT_OUTPUT = 4096


class Health:
    """The health of one run of a container.

    Args:
        settings: ``interval``, ``start_interval``, ``start_period`` (nanoseconds) and ``retries``, all set.
        known: ``saved`` of another monitor that had this container before.

    Attributes:
        status: ``starting``, ``healthy`` or ``unhealthy``.
        streak: how many checks have failed one after the other.
        log: the last results, the oldest first.
    """

    def __init__(self, settings: Mapping[str, int], known: Mapping[str, Any] | None = None) -> None:
        known = known or {}
        self._settings = settings
        self.status: str = known.get("status", STARTING)
        self.streak: int = known.get("streak", 0)
        self.log: list[dict[str, Any]] = list(known.get("log", ()))

    def saved(self) -> dict[str, Any]:
        """What goes into ``state.json``."""
        return {"status": self.status, "streak": self.streak, "log": self.log}

    def wait(self, age: int) -> int:
        """How long until the next check begins, when the container has run for ``age``."""
        within = self.status == STARTING and age < self._settings["start_period"]
        return self._settings["start_interval" if within else "interval"]

    def note(self, age: int, result: dict[str, Any]) -> bool:
        """Take a result; whether the status is another one now.

        Args:
            age: how long the container had run when the check began.
            result: ``start`` and ``end`` (nanoseconds since the epoch), ``exit_code`` (0 for healthy), ``output``.
        """
        before = self.status
        self.log = [*self.log, result][-KEPT_RESULTS:]
        if result["exit_code"] == 0:
            self.streak, self.status = 0, HEALTHY
        elif before != STARTING or age >= self._settings["start_period"]:
            # What fails while it is allowed to start does not count.
            self.streak += 1
            if self.streak >= self._settings["retries"]:
                self.status = UNHEALTHY
        return self.status != before


class Output:
    """Takes what a check prints, as a log does, and keeps the beginning."""

    full = False

    def __init__(self) -> None:
        self._data = b""
        self._more = False

    def write(self, _stream: str, data: bytes) -> None:
        """Add what was printed, on whichever stream."""
        room = KEPT_OUTPUT - len(self._data)
        self._more |= len(data) > room
        self._data += data[:room]

    def reached(self) -> tuple[int, int, dict[str, bytes]]:
        """It is in no file (see ``LogWriter.reached``)."""
        return 0, 0, {}

    def close(self) -> None:
        """There is nothing to close."""

    def text(self) -> str:
        """What was printed; with dots at the end when there was more."""
        return self._data.decode(errors="replace") + ("..." if self._more else "")
