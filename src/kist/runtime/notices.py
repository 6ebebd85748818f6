"""What happens in a container and belongs in the engines' event logs (``kist.engine.events``)."""

from __future__ import annotations

import time

from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.kernel.lean import socket
    from kist.runtime.control import Control

# How many notices are kept while nobody listens; the oldest go first.
_MOST = 256


class Notices:
    """Tells every engine that listens; what nobody hears is kept for the next, and at the end goes into ``state.json``.

    Args:
        control: the engine that asked for the start.
        waiters: the connections of those who wait for the container's end; the monitor's own list.
    """

    def __init__(self, control: Control, waiters: list[socket.socket]) -> None:
        self._control = control
        self._waiters = waiters
        self.begun = False
        self.kept: list[dict[str, Any]] = []

    def begin(self) -> None:
        """The command runs: from here on there is something to tell."""
        self.begun = True
        self.pass_on()

    def add(self, action: str, attributes: dict[str, str]) -> None:
        """Tell what happened, or keep it."""
        self.kept.append({"action": action, "time": time.time_ns(), "attributes": attributes})
        self.pass_on()

    def pass_on(self) -> None:
        """Tell the notices that are kept, in their order, to those who listen now."""
        while self.kept and self.begun and self._told(self.kept[0]):
            del self.kept[0]
        del self.kept[:-_MOST]

    def _told(self, notice: dict[str, Any]) -> bool:
        heard = [messages.send_line(waiter, {"notice": notice}) for waiter in self._waiters]
        return self._control.notice(notice) or any(heard)
