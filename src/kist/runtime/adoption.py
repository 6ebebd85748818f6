"""A monitor that takes over from one that died: forked by the keeper, with all that it holds for the container.

The container goes on as before: its output goes to the log again, its end is learnt, requests are answered. Attached
clients of the dead monitor have lost their connections, and may attach anew; what it had read and not yet written (the
beginning of a line) is lost.
"""

from __future__ import annotations

import os
import sys

from kist.kernel import ends, faults, process
from kist.kernel.lean import signal, socket
from kist.runtime import loop as events
from kist.runtime import messages
from kist.runtime.execs import Exec
from kist.runtime.guard import MOUNTS, Guard
from kist.runtime.monitor import Monitor
from kist.runtime.names import served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from kist.runtime.child import Child
    from kist.runtime.kept import Held, Kept
    from kist.runtime.machine import Machine

UNKNOWN = 255 << 8
"""The wait status that stands for an end that nobody saw: exit code 255."""


def become(kept: Kept, keeper: socket.socket, line: socket.socket, machine: Machine) -> NoReturn:
    """Be the monitor of this container from now on.

    Args:
        kept: what the keeper has of it.
        keeper: where it tells the ends of its children, ``pid`` and ``status``.
        line: for this monitor's own guard.
        machine: as for every monitor.
    """
    try:
        plan = messages.read_json(kept.request["plan"])
        process.set_title(f"kist-monitor {plan['id'][:12]}")
        Successor(plan, kept, keeper, line, machine).run()
    except BaseException:  # noqa: BLE001 - the last frame of this process: what went wrong goes to the engine's log
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


class Successor:
    """Makes a ``Monitor`` go on where another one stopped."""

    def __init__(
        self, plan: dict[str, Any], kept: Kept, keeper: socket.socket, line: socket.socket, machine: Machine
    ) -> None:
        self._plan = plan
        self._kept = kept
        self._keeper: socket.socket | None = keeper
        self._children: dict[int, Child] = {}
        self._monitor = Monitor(plan, kept.request, None, machine, Guard(line, kept.at))

    def run(self) -> None:
        """Take over, and stay until the end."""
        monitor = self._monitor
        record = monitor.record
        if kept_end := record.read(self._kept.request["directory"]):
            # The last thing that it did was to write this, or nearly.
            record.state = kept_end
            monitor.exited = True
            monitor.streams.drain()
            self._open_door()
            monitor.close_up()
            monitor.stay()
            return
        record.state = {**(record.read(monitor.run_directory) or {}), **record.state}
        faults.point("successor: read the state")
        if self._keeper is not None:
            monitor.loop.watch(self._keeper.fileno(), events.READ, lambda _: self._keeper_said())
        first = self._kept.held.get("")
        if not self._kept.started or first is None:
            self._end_what_had_not_started(first)
            return
        self._open_door()
        network = first.fds.pop("network", -1)
        self._take_volumes(first)
        self._serve_names(first)
        for name, held in self._kept.held.items():
            if name:
                self._take_exec(name, held)
        self._publish_again()
        if record.state.get("status") == "restarting":
            self._rest(first)
        else:
            self._go_on(first)
        monitor.notices.begun = True
        monitor.life.resume(network)
        monitor.stay()

    def _take_volumes(self, first: Held) -> None:
        for name in [name for name in first.fds if name.startswith("volume ")]:
            self._monitor.volumes[name.removeprefix("volume ")] = first.fds.pop(name)

    def _go_on(self, first: Held) -> None:
        monitor = self._monitor
        self._take(monitor.first, first)
        monitor.know_members(first.fds.pop(MOUNTS, -1))
        if "inside" in first.fds:
            monitor.first.inside = monitor.record.state["pid"]
        faults.point("successor: took over")
        monitor.usage.begin()
        try:
            monitor.record.note_running(monitor.first.command_pid, monitor.streams.pipes())
            faults.point("successor: noted that it runs")
            if self._plan["ends_with_engine"]:
                monitor.first.signal(signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            monitor.record.note_monitor()  # it has died with its monitor, and the keeper is about to tell its end

    def _rest(self, first: Held) -> None:
        """Between two runs; what the next one had of processes when the monitor died is begun anew."""
        monitor = self._monitor
        if first.pid:
            first.kill()
        if monitor.cgroup is not None:
            monitor.cgroup.kill()
            monitor.remove_cgroup()
        monitor.record.note_monitor()
        monitor.streams.drain()  # of the run that is over nothing is left to carry
        faults.point("successor: noted that it rests")

    def _serve_names(self, first: Held) -> None:
        """Answer what has been asked meanwhile, and what will be."""
        udp, tcp = (first.fds.pop(name, -1) for name in (served.UDP, served.TCP))
        if udp >= 0 and tcp >= 0:
            self._monitor.serve_names(udp, tcp)

    def _publish_again(self) -> None:
        """Listen where the dead monitor did; a port that somebody has taken since is lost, the container goes on."""
        for each in self._monitor.record.state.get("publish", ()):
            try:
                self._monitor.publish([each])
            except OSError as error:
                messages.complain(error)
        self._monitor.put_port_rules()
        try:
            self._monitor.enter_room()
        except OSError as error:
            messages.complain(error)  # it is gone, with all that were in it: nothing is reached by the ports

    def _open_door(self) -> None:
        descriptor = self._kept.held[""].fds.pop("door", -1) if "" in self._kept.held else -1
        if descriptor >= 0:
            self._monitor.door.take(descriptor)
        else:
            self._monitor.door.open()

    def _take(self, child: Child, held: Held) -> None:
        child.take(held.pid, held.fds)
        if self._kept.is_parent and self._keeper is not None:
            self._children[held.pid] = child
        else:
            self._watch(child)

    def _take_exec(self, name: str, held: Held) -> None:
        running = Exec(self._monitor, name)
        self._monitor.execs[name] = running
        self._take(running.child, held)
        running.write(running=True, exit_code=0)

    def _end_what_had_not_started(self, first: Held | None) -> None:
        """What the engine was told: the monitor died, so there is no container."""
        monitor = self._monitor
        if first is not None:
            first.kill()
        if monitor.cgroup is not None:
            monitor.cgroup.kill()
        faults.point("successor: killed what had not started")
        if first is not None and "door" in first.fds:
            monitor.door.take(first.fds["door"])
        monitor.fail({"operation": "prepare", "arguments": {}, "errno": 0, "path": "", "message": KILLED})

    # ends

    def _keeper_said(self) -> None:
        assert self._keeper is not None
        message, _ = messages.receive(self._keeper)
        if message is None:
            self._monitor.loop.forget(self._keeper.fileno())
            self._keeper.close()
            self._keeper = None
            for child in self._children.values():
                self._watch(child)
            self._children = {}
        elif message["pid"] in self._children:
            self._children.pop(message["pid"]).finish(message["status"])

    def _watch(self, child: Child) -> None:
        """See the end of somebody else's child."""
        self._monitor.loop.watch(child.pidfd, events.READ, lambda event: self._seen(child, event))

    def _seen(self, child: Child, event: int) -> None:
        status = ends.status_of(child.pidfd, child.pid)
        if status is None and not event & events.CLOSED and ends.tells_when_reaped():
            # Its parent has yet to reap it; the kernel says so by a hang-up, and then tells the status.
            self._monitor.loop.watch(child.pidfd, 0, lambda event: self._seen(child, event))
            return
        self._monitor.loop.forget(child.pidfd)
        if status is None and child is self._monitor.first:
            self._monitor.record.state["error"] = {"message": UNSEEN, "exit_code": 255}
        child.finish(UNKNOWN if status is None else status)


KILLED = "the container's monitor was killed while it started the container"
UNSEEN = "the container's monitor was killed, and its end was not seen by anybody who could tell the exit code"
