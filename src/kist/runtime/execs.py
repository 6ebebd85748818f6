"""A further process in the container, and the file that says what became of it."""

from __future__ import annotations

from kist.kernel import faults, process
from kist.kernel.lean import signal
from kist.runtime import child, messages
from kist.runtime.streams import Client, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kist.kernel.lean import socket
    from kist.runtime.monitor import Monitor


# Seconds that who makes exec'd processes stays for the next one.
STAYS = 10.0


class Exec:
    """One exec'd process: from a request (``start``), or taken over from a monitor that died."""

    def __init__(self, monitor: Monitor, identifier: str) -> None:
        self._monitor = monitor
        self._id = identifier
        self.streams = Streams(monitor.loop, None, stdin_once=True, on_idle=self._forget, on_output=lambda: None)
        self.child = child.Child(monitor.loop, self.streams, monitor.guard, identifier, self._started, self.ended)
        self.child.limits = monitor.limits
        self._client: Client | None = None
        self._connection: socket.socket | None = None
        self._failure: dict[str, Any] | None = None
        self._tells_end = False
        self.is_starting = False
        self.afterwards: list[Callable[[], None]] = []
        """Called once it runs, or cannot."""

    def start(self, plan: dict[str, Any], connection: socket.socket, *, detach: bool) -> None:
        """Start it; the connection gets one line and then, unless ``detach``, the streams."""
        clone = self._monitor.zygotes.cloner(plan, stays=STAYS)
        self._connection = connection
        self._tells_end = plan.get("tells_end", False)
        if not detach:
            # Attached before the first byte, and held until the answer's line has gone ahead of the stream.
            self._client = Client(connection, stdin=plan["stdin"], stdout=True, stderr=True)
            self._client.held = True
            self.streams.attach(self._client)
            if plan["stdin"] or plan["terminal"]:
                self.streams.on_vanished = self._abandon
        faults.point("monitor: about to exec")
        self.child.start(plan, clone, None)
        faults.point("monitor: cloned an exec'd process")
        self._monitor.execs[self._id] = self
        self.is_starting = True
        # While the child is on its way: what executes it is not to wait for a file afterwards.
        self.write(running=True, exit_code=0)
        faults.point("monitor: noted an exec'd process")

    def _started(self, failure: dict[str, Any] | None) -> None:
        assert self._connection is not None
        self._failure = failure
        self.is_starting = False
        if failure is not None:
            self.write(running=False, exit_code=0)
        line = {"failed": failure} if failure else {"ok": True, "pid": self.child.pid}
        messages.send_line(self._connection, line)
        if self._client is None:
            self._connection.close()
        else:
            self.streams.release(self._client)
        for call in self.afterwards:
            call()
        self.afterwards = []

    def ended(self, status: int) -> None:
        """It has ended with this wait status."""
        faults.point("monitor: reaped an exec'd process")
        code = process.exit_code(status) if self._failure is None else self._failure.get("exit_code", 126)
        self.write(running=False, exit_code=code)
        faults.point("monitor: wrote an exec'd process's end")
        self.streams.drain()
        self.streams.finish(code if self._tells_end else None)
        # Whoever waits for the end need not wait for these, too. Until it is dropped, a successor tells of it again.
        faults.point("monitor: told an exec'd process's end")
        self._monitor.notices.add("exec_die", {"execID": self._id, "exitCode": str(code)})
        self._monitor.guard.drops(self._id)
        if self.streams.idle:
            self._forget()

    def leave(self) -> None:
        """Whoever typed here goes on purpose (the keys that detach): the process goes on without."""
        self.streams.on_vanished = lambda: None

    def _abandon(self) -> None:
        """Whoever typed here has gone: as with a terminal that is hung up, the process is told.

        It must end, and has as long for that as a stop of its container.
        """
        self.streams.on_vanished = lambda: None
        self.child.signal_group(signal.SIGHUP)
        if self.streams.terminal >= 0:
            self._monitor.guard.drops(self._id, "master", "slave")
            self.streams.close_terminal()
        if (patience := self._monitor.life.patience) >= 0:
            self._monitor.loop.after(patience, lambda: self.child.signal_group(signal.SIGKILL))

    def write(self, *, running: bool, exit_code: int) -> None:
        """Say on disk what has become of it."""
        path = f"{self._monitor.run_directory}/exec-{self._id}.json"
        try:
            messages.write_json(path, {"running": running, "exit_code": exit_code, "pid": self.child.pid})
        except OSError as error:
            messages.complain(error)

    def _forget(self) -> None:
        self._monitor.execs.pop(self._id, None)
