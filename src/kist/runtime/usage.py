"""What a container used, read at its end before it is gone, and the moments at which it ran out of memory."""

from __future__ import annotations

import os

from kist.kernel import process
from kist.runtime import loop as events
from kist.runtime import messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.runtime.memory_watch import MemoryWatch
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
        # Where there is no control group that knows.
        self._watch: MemoryWatch | None = None

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
        limit = monitor.plan["limits"].get("memory", 0)
        if monitor.cgroup is None:
            self._keep_limit(limit)
            return
        if self._memory >= 0 or limit <= 0:
            return
        try:
            watch = monitor.cgroup.watch_oom()
        except OSError as error:
            messages.complain(error)
            return
        if watch is not None:
            self._memory = watch
            monitor.loop.watch(watch, events.READ, lambda _: self._ran_out())

    def _keep_limit(self, limit: int) -> None:
        if self._watch is None:
            members = self._monitor.members
            if limit <= 0 or members is None:
                return
            from kist.runtime.memory_watch import MemoryWatch  # noqa: PLC0415 - few containers are watched

            self._watch = MemoryWatch(self._monitor.loop, members, self._killed)
        self._watch.begin(limit)

    def _killed(self) -> None:
        self._monitor.notices.add("oom", {})
        self._monitor.record.note(oom_killed=True)

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

    def end(self) -> dict[str, int]:
        """What was used, once the first process has ended and before it is waited for."""
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
            return used | self._without_cgroup()
        used |= self._monitor.cgroup.stats()
        if used.get("oom_kills") and not self._shortages:
            self._monitor.notices.add("oom", {})
        self._shortages = 0
        return used

    def _without_cgroup(self) -> dict[str, int]:
        from kist.kernel import consumption  # noqa: PLC0415 - for containers without a control group

        used = consumption.ended(self._monitor.first.command_pid)
        if self._watch is not None:
            self._watch.end()
            # A monitor before this one may have killed too.
            kills = self._watch.kills or int(self._monitor.record.state.get("oom_killed", False))
            used |= {"memory_peak": self._watch.peak, "oom_kills": kills}
            self._watch = None
        return used
