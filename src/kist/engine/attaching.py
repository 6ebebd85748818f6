"""The standard streams of containers, and what goes with them: their terminal's size, how far the log has grown."""

import contextlib
import os
import socket
import threading
from collections.abc import Sequence

from kist.engine.events import Events
from kist.engine.guardians import Guardians
from kist.engine.lifetime import refuse_restarting
from kist.engine.roster import Roster
from kist.errors import Conflict
from kist.runtime.launch import Attachment
from kist.spec.container import Container


class Attaching:
    """Connects clients to containers: to the monitor of one that runs; to the next start of one that does not."""

    def __init__(self, roster: Roster, guardians: Guardians, events: Events) -> None:
        self._roster = roster
        self._guardians = guardians
        self._events = events
        # Protects the dictionary.
        self._lock = threading.Lock()
        self._pending: dict[str, list[Attachment]] = {}

    def open(self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool) -> socket.socket:
        """A stream socket to the container's standard streams, also before it is started."""
        return self._open(name, {"stdin": stdin, "stdout": stdout, "stderr": stderr})[0]

    def open_after_log(
        self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool
    ) -> tuple[socket.socket, tuple[int, int]]:
        """The same, and the inode and size that the log had at that moment; what is in it is not in the stream."""
        return self._open(name, {"stdin": stdin, "stdout": stdout, "stderr": stderr}, logs=True)

    def _open(
        self, name: str | Container, wanted: dict[str, bool], *, logs: bool = False
    ) -> tuple[socket.socket, tuple[int, int]]:
        container = self._roster.get(name)
        refuse_restarting(container)
        if container.state.status == "paused":
            raise Conflict(f"container {container.id} is paused, unpause the container before attach",
                           hint=f"kist unpause {container.name}")  # fmt: skip
        if container.state.running:
            message = {"op": "attach", **wanted, "logs": logs}
            connection, answer = self._guardians.request(self._roster.places(container), message)
            self._events.container("attach", container)
            inode, size = answer.get("log", (0, 0))
            return connection, (inode, size)
        ours, theirs = socket.socketpair()
        self._events.container("attach", container)
        with self._lock:
            self._pending.setdefault(container.id, []).append(Attachment(theirs, **wanted))
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(self._roster.log_path(container))
            return ours, (found.st_ino, found.st_size)
        return ours, (0, 0)

    def note_detached(self, name: str | Container) -> None:
        """Note that a client has detached by the keys for that: it has not vanished."""
        self._events.container("detach", self._roster.get(name))

    def open_follow(self, name: str | Container) -> socket.socket:
        """A socket that is readable when the log has grown, and at its end when the container has ended."""
        container = self._roster.get(name)
        with contextlib.suppress(Conflict):
            connection = self._guardians.connect(self._roster.places(container))
            try:
                connection.sendall(b'{"op": "follow"}\n')
            except OSError:  # it has ended since, and its monitor has closed what it had not yet accepted
                connection.close()
            else:
                return connection
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours

    def resize(self, name: str | Container, height: int, width: int) -> None:
        """Set the size of the container's terminal, in characters; where it has none, nothing, as in Docker."""
        container = self._roster.get(name)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        refuse_restarting(container)
        if not container.options.tty:
            return
        self._guardians.ask(self._roster.places(container), {"op": "resize", "height": height, "width": width})
        self._events.container("resize", container, height=height, width=width)

    def take(self, container: Container) -> Sequence[Attachment]:
        """Who has attached to a container that is about to start; the caller closes the connections."""
        with self._lock:
            return self._pending.pop(container.id, [])

    def drop(self, container: Container) -> None:
        """End the streams of those who wait for a start that will not be."""
        for attachment in self.take(container):
            attachment.connection.close()

    def close(self) -> None:
        """End the streams of all who wait for a start."""
        with self._lock:
            for attachments in self._pending.values():
                for attachment in attachments:
                    attachment.connection.close()
