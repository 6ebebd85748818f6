"""A monitor's line to the engine that asked for the start; it may go away at any time.

The monitor says ``created`` (with the network namespace where the plan waits for the network), ``started`` or
``failed``, and ``exited``. The engine says ``go``: true when the network is there, with the sockets of the container's
name server.
"""

from __future__ import annotations

import os

from kist.kernel import process
from kist.kernel.lean import socket
from kist.runtime import loop as events
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Control:
    """The line, or nothing once the engine has gone.

    Args:
        loop: where it is watched.
        connection: None for a monitor that took over: whoever waited has heard that the first one died.
        on_go: called with what the engine says and the descriptors that came with it, and with None when it has gone.
    """

    def __init__(
        self,
        loop: events.Loop,
        connection: socket.socket | None,
        on_go: Callable[[bool | None, Sequence[int]], None],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._on_go = on_go
        self._engine = -1

    def end_with_engine(self) -> None:
        """Take the end of the engine's process for the end of the line, which forks of that process may hold open."""
        assert self._connection is not None
        try:
            self._engine = os.pidfd_open(messages.peer(self._connection))
        except ProcessLookupError:
            return  # the line says so, as soon as it is listened to
        self._loop.watch(self._engine, events.READ, lambda _: self._gone())

    def created(self, pid: int, warnings: Sequence[str], *, with_network: bool) -> None:
        """Tell that there is a first process, and listen from now on."""
        try:
            namespace = process.namespace_descriptor(pid, "net") if with_network else -1
        except (FileNotFoundError, PermissionError):
            # Init has failed already; what it reported comes next. Of a dead process only root may see the namespaces.
            namespace = -1
        descriptors = [namespace] if namespace >= 0 else []
        self.tell({"event": "created", "pid": pid, "warnings": list(warnings)}, descriptors)
        if namespace >= 0:
            os.close(namespace)
        if self._connection is not None:
            self._loop.watch(self._connection.fileno(), events.READ, self._ready)

    def tell(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Say something, if somebody listens."""
        if self._connection is None:
            return
        try:
            messages.send(self._connection, message, descriptors)
        except OSError:
            self._gone()  # whoever waits for its word is to know

    def notice(self, notice: dict[str, Any]) -> bool:
        """Tell what happened in the container; whether the engine hears it."""
        if self._connection is None:
            return False
        try:
            messages.send(self._connection, {"event": "notice", "notice": notice}, flags=socket.MSG_DONTWAIT)
        except OSError:
            # Gone, which its own watch notices, or stopped: a container does not wait for its engine.
            return False
        return True

    def forget(self) -> None:
        """Let go of the engine."""
        if self._connection is not None:
            self._loop.forget(self._connection.fileno())
            self._connection.close()
            self._connection = None
        if self._engine >= 0:
            self._loop.forget(self._engine)
            os.close(self._engine)
            self._engine = -1

    def _gone(self) -> None:
        self.forget()
        self._on_go(None, ())

    def _ready(self, _events: int) -> None:
        assert self._connection is not None
        message, descriptors = messages.receive(self._connection)
        if message is None:
            self._gone()
        else:
            self._on_go(bool(message.get("go")), descriptors)
