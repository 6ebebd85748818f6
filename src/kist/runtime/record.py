"""What a monitor writes about its container: ``state.json``.

While the container runs it is in the run directory, which may be in memory; its end goes to the container's own.
"""

from __future__ import annotations

import os
import time

from kist.kernel import process
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FILE = "state.json"


class Record:
    """The state of one container, as it will be read by engines.

    Args:
        identity: the container's id.
        machine: ``boot`` (the boot id) and ``keeper`` (process id and start time of who would take over).
        directory: the container's own.
        run_directory: the other one.
    """

    def __init__(self, identity: str, machine: dict[str, Any], directory: str, run_directory: str) -> None:
        self._directory = directory
        self._run_directory = run_directory
        self.state: dict[str, Any] = {"id": identity, **machine}

    def note_running(self, pid: int, pipes: Sequence[int]) -> None:
        """Write that it runs: who watches over it, and what finds its first process and its pipes again."""
        # Whoever takes over finds it paused.
        status = "paused" if self.state.get("status") == "paused" else "running"
        self.state |= {"status": status, "pid": pid, "pid_start": process.start_time(pid), "pipes": pipes}
        self._note_monitor()
        self.state.setdefault("started_at", time.time_ns())
        # The same moment by a clock that nobody sets.
        self.state.setdefault("since", time.monotonic_ns())
        self.write(self._run_directory)

    def note_monitor(self) -> None:
        """Write that this process watches over it now, and nothing else that is new."""
        self._note_monitor()
        self.write(self._run_directory)

    def _note_monitor(self) -> None:
        own = os.getpid()
        self.state |= {"monitor": own, "monitor_start": process.start_time(own)}

    def note(self, **facts: object) -> None:
        """Write something more that is true while it runs."""
        self.state |= facts
        self.write(self._run_directory)

    def note_end(self, exit_code: int, usage: dict[str, int] | None) -> None:
        """Remember the end; ``write_end`` puts it on disk."""
        failed = self.state.get("error")
        self.state |= {
            "status": "exited",
            "pid": 0,
            "exit_code": failed.get("exit_code", 128) if failed else exit_code,
            "finished_at": time.time_ns(),
        }
        if usage is not None:
            self.state["usage"] = usage
            self.state["oom_killed"] = usage.get("oom_kills", 0) > 0

    def write_end(self) -> None:
        """Write the end; where the container's own directory takes nothing more, to the run directory."""
        if not self.write(self._directory):
            self.write(self._run_directory)

    def write(self, directory: str) -> bool:
        """Write the state as it is; whether that was possible."""
        try:
            messages.write_json(f"{directory}/{FILE}", self.state)
        except OSError as error:
            # The directory is gone (the container was removed by force), or its disk is full. The container goes on,
            # and an engine that watches is told its end over the socket.
            messages.complain(error)
            return False
        return True

    def read(self, directory: str) -> dict[str, Any] | None:
        """What another monitor wrote there."""
        try:
            return messages.read_json(f"{directory}/{FILE}")
        except (FileNotFoundError, ValueError):
            return None
