"""A monitor's line to its keeper, which takes over from it when it is killed.

What a monitor says here, each a packet with ``at`` (the container's run directory, by which the keeper knows it):

``took``     a request, before anything is done about it
``holds``    a process (its name: empty for the first, else the id of an exec'd one) with duplicates of its descriptors
``started``  the first process has become the command
``drops``    descriptors of a process, or the whole process: the keeper closes its duplicates
``over``     the container has ended and nobody needs to take over; with ``unmounts``, its root is still mounted
``unmounted``  it is not any more: the container can be started again
"""

from __future__ import annotations

import os

from kist.kernel import process
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from kist.kernel.lean import socket

MOUNTS = "mounts"
"""What the descriptor of a container's mount namespace is called, where there is no control group."""


class Guard:
    """One monitor's line; without a keeper it says nothing and everything else goes on.

    Args:
        channel: where to say it: the line that all monitors of a keeper have in common, or one of this monitor's own.
        at: the container's run directory.
    """

    def __init__(self, channel: socket.socket | None, at: str) -> None:
        self._channel = channel
        self._at = at

    def use(self, channel: socket.socket) -> None:
        """Speak to another keeper from now on."""
        if self._channel is not None:
            self._channel.close()
        self._channel = channel

    def took(self, request: Mapping[str, Any], monitor: int, monitor_start: int = 0) -> None:
        """Tell what this monitor is to do."""
        self._tell({"took": request, "monitor": monitor, "monitor_start": monitor_start})

    def holds(self, name: str, pid: int, descriptors: Mapping[str, int]) -> None:
        """Leave duplicates of a process's descriptors with the keeper; they add to what it has of the process."""
        kept = {what: number for what, number in descriptors.items() if number >= 0}
        self._tell({"holds": name, "pid": pid, "fds": list(kept)}, list(kept.values()))

    def started(self) -> None:
        """From here on the container goes on when its monitor dies."""
        self._tell({"started": True})

    def drops(self, name: str, *descriptors: str) -> None:
        """Have the keeper close its duplicates of these, or of all that the process had."""
        self._tell({"drops": name, "fds": descriptors})

    def over(self, *, unmounts: bool = False) -> None:
        """The end has been recorded; with ``unmounts``, ``unmounted`` will follow."""
        # A keeper that ends looks for monitors that need what it keeps: this one is none of them any more.
        process.set_title("kist-ended")
        self._tell({"over": os.getpid(), **({"unmounts": True} if unmounts else {})})

    def unmounted(self) -> None:
        """Nothing that was mounted for the container is mounted any more."""
        self._tell({"unmounted": os.getpid()})

    def _tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        if self._channel is None:
            return
        message["at"] = self._at
        try:
            messages.send(self._channel, message, descriptors)
        except OSError as error:
            # The keeper was killed. Until an engine starts another, nobody would take over from this monitor.
            messages.complain(error)
            self._channel.close()
            self._channel = None
