"""What a keeper has of one container, for a monitor that would take over."""

from __future__ import annotations

import os

from kist.kernel.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.kernel.lean import socket


class Held:
    """A process: its id, and duplicates of descriptors by name.

    ``pidfd``, and ``inside`` where an outside runtime made the command; ``stdin``, ``stdout`` and ``stderr`` or
    ``master`` and ``slave``; the first one's has ``door`` too, the sockets of the name server
    where there is one, and ``mounts``, a mount namespace, where there is no control group.
    """

    __slots__ = ("fds", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fds: dict[str, int] = {}

    def kill(self) -> None:
        """End the process, if it has not ended by itself."""
        for name in ("inside", "pidfd"):
            try:
                signal.pidfd_send_signal(self.fds[name], signal.SIGKILL)
            except (KeyError, ProcessLookupError):
                continue

    def drop(self, names: list[str]) -> None:
        """Close these."""
        for name in names:
            descriptor = self.fds.pop(name, -1)
            if descriptor >= 0:
                os.close(descriptor)


class Kept:
    """One container.

    Attributes:
        request: as the engine made it: ``plan`` (a path), ``directory``, ``run_directory``.
        monitor: the process id of who watches over it now.
        monitor_fd: a pidfd of it when it is not this keeper's child, else -1.
        line: what a successor hears the ends of its processes on; None while the first monitor lives.
        held: the processes by name.
        started: whether the first process has become the command.
        is_parent: whether the container's processes become this keeper's children when the monitor dies.
        ended: wait statuses of its processes that the keeper has reaped.
        successors: how many monitors died of it.
    """

    __slots__ = (
        "ended", "held", "is_parent", "line", "monitor", "monitor_fd", "request", "started", "successors",
    )  # fmt: skip

    def __init__(self, request: dict[str, Any], monitor: int) -> None:
        self.request = request
        self.monitor = monitor
        self.monitor_fd = -1
        self.line: socket.socket | None = None
        self.held: dict[str, Held] = {}
        self.started = False
        self.is_parent = True
        self.ended: dict[int, int] = {}
        self.successors = 0

    @property
    def at(self) -> str:
        """What it is known by: the container's run directory."""
        where: str = self.request["run_directory"]
        return where

    def hold(self, name: str, pid: int, fds: dict[str, int]) -> None:
        """Take descriptors of a process; another process of the same name takes the place of the one before."""
        held = self.held.get(name)
        if held is None or held.pid != pid:
            if held is not None:
                held.drop(list(held.fds))
            held = self.held[name] = Held(pid)
        held.drop(list(fds))
        held.fds.update(fds)

    def drop(self, name: str, what: list[str]) -> None:
        """Let go of descriptors of a process, or of all of it."""
        held = self.held.get(name)
        if held is not None:
            held.drop(what or list(held.fds))
            if not what:
                del self.held[name]

    def close(self) -> None:
        """Let go of everything."""
        for held in self.held.values():
            held.drop(list(held.fds))
        self.held = {}
        if self.line is not None:
            self.line.close()
            self.line = None
        if self.monitor_fd >= 0:
            os.close(self.monitor_fd)
            self.monitor_fd = -1
