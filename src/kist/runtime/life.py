"""What a monitor does with its container by itself: it stops it, starts it again, ends it in time, checks its health.

What is decided is decided in ``restart`` and ``health``; here it is done. All of it is in ``state.json``, so that
another monitor goes on with it; moments there are ``time.monotonic_ns()``, which no one sets and all processes share.

Between two runs a container rests: it has no process and no cgroup, and its state is ``restarting``. Its network
namespace is kept, with its addresses and cables, and the next first process enters it: no engine is needed.
"""

from __future__ import annotations

import os
import time

from kist.kernel import process
from kist.kernel.lean import signal
from kist.runtime import messages
from kist.runtime.checks import Checks
from kist.runtime.restart import Restarts, asks_for_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from kist.runtime.monitor import Monitor

_SECOND = 1_000_000_000
# What the record says of one run only.
_OF_A_RUN = ("error", "restart_at", "started_at", "since", "oom_killed", "timed_out", "health", "usage")
# Of a process that lives once, and that nobody stops: a build step.
_ONCE: dict[str, Any] = {
    "stop_signal": signal.SIGTERM,
    "stop_timeout": 10,
    "timeout": 0,
    "restart": {"name": "no", "maximum_retry_count": 0},
    "health": None,
}


class Life:
    """The lifetime of one container, over all its runs.

    Args:
        monitor: whose container it is.
        settings: ``kist.runtime.plan.Life`` as JSON has it; None for a process that lives once.

    Attributes:
        holders: connections of those who are at the container's files: while there are any it is not started again.
    """

    def __init__(self, monitor: Monitor, settings: dict[str, Any] | None) -> None:
        self._monitor = monitor
        self._settings = settings or _ONCE
        self.restarts = Restarts(self._settings["restart"])
        self._checks: Checks | None = None
        self._network = -1
        self.holders: list[socket.socket] = []

    @property
    def resting(self) -> bool:
        """Whether the container is between two runs."""
        return bool(self._monitor.record.state.get("status") == "restarting")

    @property
    def held(self) -> dict[str, int]:
        """Descriptors of namespaces that outlive a run, by their kinds."""
        return {"network": self._network} if self._network >= 0 else {}

    @property
    def patience(self) -> int:
        """Seconds that a process has to end by itself when it is asked to; negative for no end."""
        return int(self._settings["stop_timeout"])

    # runs

    def begun(self) -> None:
        """The command runs, for the first time or again, or this monitor has just taken over from another."""
        state, loop = self._monitor.record.state, self._monitor.loop
        if limit := self._settings["timeout"]:
            loop.set_timer(state["since"] + limit * _SECOND, self._out_of_time)
        if moment := state.get("kill_at"):
            loop.set_timer(moment, self._out_of_patience)
        if settings := self._settings["health"]:
            self._checks = Checks(self._monitor, settings, self._unhealthy)

    def keep_network(self) -> None:
        """Take hold of the first process's network namespace, for the next run if there may be one.

        To be called before the process can have ended, which takes its namespaces.
        """
        again = self.restarts.policy["name"] != "no" or (self._settings["health"] or {}).get("on_failure") == "restart"
        if again and self._network < 0 and self._has_network():
            try:
                self._network = process.namespace_descriptor(self._monitor.first.command_pid, "net")
            except OSError:
                return  # it has ended already: see ``_network_lost``
            self._monitor.guard.holds("", self._monitor.first.pid, self.held)

    def have_network(self, network: int) -> None:
        """Have the first process in this network namespace, a descriptor, as if an earlier run had been in it."""
        self._network = network

    def _has_network(self) -> bool:
        """Whether it has a network namespace that is not the host's: its own, or another container's."""
        plan = self._monitor.plan
        if "runtime" in plan:
            return bool(plan["runtime"]["network"])
        return "network" in plan["namespaces"] or any("network" in each["kinds"] for each in plan.get("joined", ()))

    def _network_lost(self) -> bool:
        """Whether the next run would have another network than the run that has ended.

        One that nobody connected (``--network none``) is like the next: its command may end before anybody can take
        hold of its namespace.
        """
        if self._network >= 0 or not self._has_network():
            return False
        return self._monitor.plan["wait_for_network"] or "network" not in self._monitor.plan["namespaces"]

    def goes_on(self) -> bool:
        """A run has ended, and that is in the record: whether there will be another, which is seen to."""
        monitor = self._monitor
        state = monitor.record.state
        self._forget_run()
        if not monitor.notices.begun:
            return False  # it could not be started, and whoever started it hears of that
        now = time.monotonic_ns()
        wait = self.restarts.after(state["exit_code"], now - state.get("since", now))
        state |= self.restarts.saved()
        if wait is None:
            return False
        if self._network_lost():
            state["error"] = {"message": "its network was lost, so it cannot be started again without an engine"}
            return False
        state |= {"status": "restarting", "restart_at": now + wait}
        monitor.rest()
        monitor.loop.set_timer(now + wait, self._start_again)
        return True

    def _forget_run(self) -> None:
        for call in (self._out_of_time, self._out_of_patience):
            self._monitor.loop.clear_timer(call)
        self._monitor.record.state.pop("kill_at", None)
        if self._checks is not None:
            self._checks.end()
            self._checks = None

    def let_go(self) -> None:
        """Somebody is done with the container's files: if it was to be started again meanwhile, it is now."""
        state = self._monitor.record.state
        if self.resting and time.monotonic_ns() >= state["restart_at"]:
            self._start_again()

    def _start_again(self) -> None:
        if self.holders:
            return  # the last of them sees to it
        state = self._monitor.record.state
        for word in _OF_A_RUN:
            state.pop(word, None)
        state["exit_code"] = 0
        self._monitor.start_again()

    def resume(self, network: int) -> None:
        """Go on with what another monitor left, after its state has been read.

        Args:
            network: the descriptor of the network namespace that it kept; -1 for none.
        """
        state = self._monitor.record.state
        self.restarts = Restarts(self._settings["restart"], state)
        self._network = network
        if self.resting:
            self._monitor.loop.set_timer(state["restart_at"], self._start_again)
        else:
            self.keep_network()
            self.begun()

    # ends

    def stop(self, number: int, patience: float) -> None:
        """Have the container end, and stay so.

        Args:
            number: the signal that it gets first.
            patience: seconds from there to SIGKILL; negative for no end.
        """
        self._by_hand()
        if self.resting:
            self._end_rest()
        else:
            self._end_run(number, patience)

    def signal(self, number: int) -> None:
        """Send a signal to the first process, if there is one."""
        if asks_for_end(number, self._settings["stop_signal"]):
            self._by_hand()
            if self.resting:
                self._end_rest()
                return
        if not self.resting:
            self._monitor.first.signal(number)
            if asks_for_end(number, self._settings["stop_signal"]):
                self._monitor.thaw()

    def _by_hand(self) -> None:
        if not self.restarts.by_hand:
            self.restarts.by_hand = True
            self._save()

    def _save(self) -> None:
        record = self._monitor.record
        record.state |= self.restarts.saved()
        record.write(self._monitor.run_directory)

    def _end_run(self, number: int, patience: float) -> None:
        state = self._monitor.record.state
        self._send(number)
        if patience >= 0:
            # Whoever has the least patience counts.
            moment = time.monotonic_ns() + round(patience * _SECOND)
            state["kill_at"] = min(moment, state.get("kill_at", moment))
            self._save()
            self._monitor.loop.set_timer(state["kill_at"], self._out_of_patience)

    def _end_rest(self) -> None:
        state = self._monitor.record.state
        self._monitor.loop.clear_timer(self._start_again)
        del state["restart_at"]
        state["status"] = "exited"
        self._monitor.end()

    def _send(self, number: int) -> None:
        try:
            self._monitor.first.signal(number)
            self._monitor.thaw()
        except ProcessLookupError:
            return  # it has ended, which we are about to hear

    def _out_of_patience(self) -> None:
        self._monitor.notices.add("kill", {"signal": str(signal.SIGKILL.real)})
        self._send(signal.SIGKILL)

    def _out_of_time(self) -> None:
        self._monitor.record.state["timed_out"] = True
        self._send(signal.SIGKILL)

    def _unhealthy(self) -> None:
        action = self._settings["health"]["on_failure"]
        if action == "kill":
            self._send(signal.SIGKILL)
        elif action == "stop":
            self.stop(self._settings["stop_signal"], self._settings["stop_timeout"])
        elif action == "restart":
            self.restarts.want()
            self._end_run(self._settings["stop_signal"], self._settings["stop_timeout"])

    # changes

    def update(self, policy: dict[str, Any]) -> None:
        """Have another restart policy from now on."""
        self._settings = {**self._settings, "restart": policy}
        self.restarts.policy = policy
        # In the plan too, for another monitor.
        self._monitor.plan["life"] = self._settings
        messages.write_json(self._monitor.request["plan"], self._monitor.plan)
        if self.resting:
            if policy["name"] == "no":
                self._end_rest()
        else:
            self.keep_network()

    def close(self) -> None:
        """The container has ended: let go of what was kept for another run."""
        if self._network >= 0:
            os.close(self._network)
            self._network = -1
