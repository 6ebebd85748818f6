"""What a container used, read at its end before it is gone, and the moments at which it ran out of memory."""

from __future__ import annotations

import os

from kist.kernel import process
from kist.runtime import loop as events
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.runtime.monitor import Monitor


class Usage:
    """The measurements of one container.

    The counters of its network are read through a file that is opened while its first process lives: a namespace goes
    with its last process, and a process that has ended has none any more.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._network = -1
        self._memory = -1
        self._shortages = 0

    def begin(self) -> None:
        """The first process is there (and, for one who takes over, has been for a while)."""
        if self._monitor.plan["wait_for_network"] and self._network < 0:
            try:
                self._network = process.open_network_counters(self._monitor.first.command_pid)
            except OSError:
                return  # it has ended already, without having sent anything
        self.watch_memory()

    def watch_memory(self) -> None:
        """Hear of it when memory runs out; where there is no limit of its own, the end tells."""
        monitor = self._monitor
        if monitor.cgroup is None or self._memory >= 0 or monitor.plan["limits"].get("memory", 0) <= 0:
            return
        try:
            watch = monitor.cgroup.watch_oom()
        except OSError as error:
            messages.complain(error)
            return
        if watch is not None:
            self._memory = watch
            monitor.loop.watch(watch, events.READ, lambda _: self._ran_out())

    def _ran_out(self) -> None:
        assert self._monitor.cgroup is not None
        try:
            shortages = self._monitor.cgroup.read_oom(self._memory, self._shortages)
        except BlockingIOError:
            return
        if shortages > self._shortages:
            self._shortages = shortages
            self._monitor.notices.add("oom", {})
            self._monitor.record.note(oom_killed=True)

    def end(self) -> dict[str, int] | None:
        """What was used, once the first process has ended; None without a cgroup."""
        used: dict[str, int] = {}
        if self._network >= 0:
            used["network_received"], used["network_sent"] = process.network_bytes(self._network)
            os.close(self._network)  # with it the namespace goes, and the cable
            self._network = -1
        if self._memory >= 0:
            self._ran_out()
            self._monitor.loop.forget(self._memory)
            os.close(self._memory)
            self._memory = -1
        if self._monitor.cgroup is None:
            return used or None
        used |= self._monitor.cgroup.stats()
        if used.get("oom_kills") and not self._shortages:
            self._monitor.notices.add("oom", {})
        self._shortages = 0
        return used
