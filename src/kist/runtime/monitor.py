"""A container's guardian: the parent of its processes, for as long as they live.

It makes the cgroup, starts the first process, carries the streams, writes the log and the state, runs exec'd
processes, and serves ``monitor.sock`` in the container's run directory. Engine processes come and go; the monitor
needs none of them. When it is killed, its keeper has another one go on (``kist.runtime.adoption``).

This module puts the parts together: ``child`` (a process), ``streams`` and ``logwriter``, ``record`` (what is on disk),
``control`` (the engine that asked), ``door`` and ``requests`` (anybody who asks), ``guard`` (the keeper).
"""

from __future__ import annotations

import os

from kist.kernel import cgroup, faults, namespaces, process
from kist.kernel.lean import signal, socket
from kist.runtime import child, logwriter, messages, requests
from kist.runtime import loop as events
from kist.runtime.control import Control
from kist.runtime.door import Door, connect
from kist.runtime.guard import MOUNTS
from kist.runtime.life import Life
from kist.runtime.names import served
from kist.runtime.notices import Notices
from kist.runtime.record import Record
from kist.runtime.streams import Client, Streams, nothing
from kist.runtime.usage import Usage
from kist.runtime.zygote import Zygotes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from kist.kernel.members import Members
    from kist.runtime.execs import Exec
    from kist.runtime.guard import Guard
    from kist.runtime.machine import Machine
    from kist.runtime.portrules import PortRules
    from kist.runtime.ports import Ports


# Seconds after a start at which a monitor gives back the memory that it shares again; who ends before need not.
_AT_REST = 2


class Monitor:
    """One container's monitor.

    Args:
        plan: the plan (``kist.runtime.plan.Plan`` as JSON).
        request: as it came: ``directory``, the container's own, for the log and, at the end, ``state.json``;
            ``run_directory`` for the socket, ``state.json`` while it runs, and the state of exec'd processes. What is
            in the latter need not outlive the machine, so it can be in memory.
        control: to the engine that asked for the start.
        machine: what is the same for all containers.
        guard: the line to the keeper.
    """

    def __init__(
        self,
        plan: dict[str, Any],
        request: dict[str, Any],
        control: socket.socket | None,
        machine: Machine,
        guard: Guard,
    ) -> None:
        self.plan = plan
        self.request = request
        self._checkpoint = machine.checkpoint
        directory, run_directory = request["directory"], request["run_directory"]
        self.run_directory: str = run_directory
        self.guard = guard
        self.loop = events.Loop()
        roots = cgroup.Hierarchies(**plan["hierarchies"]) if "hierarchies" in plan else machine.hierarchies
        self.cgroup = cgroup.Cgroup(roots, plan["cgroup"]) if plan["cgroup"] else None
        self.record = Record(plan["id"], machine.words, directory, run_directory)
        self.control = Control(self.loop, control, self._engine_said)
        self.door = Door(self.loop, run_directory, self._visited)
        self.exited = False
        self.waiters: list[socket.socket] = []
        self.followers: list[socket.socket] = []
        self.notices = Notices(self.control, self.waiters)
        self.execs: dict[str, Exec] = {}
        self.zygotes = Zygotes(self)
        self.ports: Ports | None = None
        self.port_rules: PortRules | None = None
        self.names: served.Served | None = None
        self.members: Members | None = None
        self.limits: tuple[int, int] | None = None
        # Descriptors of mounted volumes, by name, for all runs of the container (``kist.runtime.held``).
        self.volumes: dict[str, int] = {}
        # Its mount namespace, where nobody is to wait until everything is unmounted (see ``Plan.own_mounts``).
        self._mounts = -1
        self.usage = Usage(self)
        self.life = Life(self, plan.get("life"))
        # Another one where nothing is to be started (see ``kist.runtime.rehearsal``).
        self.clone_first: Callable[[dict[str, Any], int | None, Mapping[str, int]], child.Clone] = child.clone_first
        self._make_first()

    def _make_first(self) -> None:
        plan = self.plan
        writer = logwriter.open_log(self.loop, plan["log"], self.request["directory"], self._log_takes_more)
        self.streams = Streams(
            self.loop,
            writer,
            stdin_once=plan["stdin_once"],
            on_idle=nothing,
            on_output=self._log_grew,
        )
        self.first = child.Child(self.loop, self.streams, self.guard, "", self._started, self.ended)
        self.first.on_mounts = self._know_mounts
        self.first.limits = self.limits

    def run(self, attached: list[Client]) -> None:
        """Start the container and stay until it has ended and everybody has heard of it."""
        for client in attached:
            self.streams.attach(client)
        try:
            if "publish" in self.plan:
                self.publish(self.plan["publish"])
                self.put_port_rules()
                faults.point("monitor: published the ports")
            self.enter_room()
            self.door.open()
            if self.plan["ends_with_engine"]:
                self.control.end_with_engine()
            warnings = self._start()
        except OSError as error:
            self.fail(_failure_of(error))
            return
        faults.point("monitor: cloned")
        if "runtime" in self.plan:
            self.first.on_inside = lambda: self._made_inside(warnings)
        else:
            self._tell_created(warnings)
            self.know_members()
            self.usage.begin()
        # Written while init is at work on the other side: a state that says "running" a moment early harms nobody,
        # and a failure is written over it.
        self._note_running()
        faults.point("monitor: noted that it runs")
        self.stay()

    def _give_back(self) -> None:
        assert self._checkpoint is not None
        try:
            self._checkpoint.give_back()
        except OSError as error:
            messages.complain(error)
        faults.point("monitor: gave its memory back")

    def _tell_created(self, warnings: tuple[str, ...]) -> None:
        self.control.created(self.first.command_pid, warnings, with_network=self.plan["wait_for_network"])
        faults.point("monitor: told the engine of the clone")

    def _made_inside(self, warnings: tuple[str, ...]) -> None:
        """An outside runtime has made the container; its command does not run yet."""
        self.life.keep_network()
        self.know_members()
        self.usage.begin()
        self._note_running()
        if not self.notices.begun:
            self._tell_created(warnings)

    def stay(self) -> None:
        """Watch until the end, whoever started the container."""
        while not (self.exited and self._idle()):
            self.loop.turn()
        self._clean_up()

    def fail(self, failure: dict[str, Any]) -> None:
        """The container could not be started, and there is no process of it."""
        self.record.state["error"] = failure
        self.record.note_end(128, None)
        self.record.write_end()
        self.door.close()
        self.close_ports()
        self._end_names()
        self.remove_cgroup()
        self.control.tell({"event": "failed", "failure": failure})
        self.guard.over()

    def seek_guard(self, directory: str, name: str) -> None:
        """Put this container under the keeper that listens there, in place of one that died."""
        self._let_mounts_go()  # a keeper does not wait for what is not its child
        line = connect(directory, name, socket.SOCK_SEQPACKET)
        _, descriptors = messages.receive(line)
        for descriptor in descriptors:
            os.close(descriptor)  # where engines send requests: nothing for a monitor
        keeper = messages.peer(line)
        self.guard.use(line)
        self.guard.took(self.request, os.getpid(), process.start_time(os.getpid()))
        if self.life.resting:
            self.guard.holds("", 0, self._own_descriptors())
        else:
            self.first.hand_over(self._own_descriptors())
        for running in self.execs.values():
            running.child.hand_over()
        self.guard.started()
        self.record.state["keeper"] = [keeper, process.start_time(keeper)]
        self.record.write(self.run_directory)

    def know_members(self, mounts: int = -1) -> None:
        """Remember how the container's processes are told where they have no control group, while the first lives.

        Args:
            mounts: a descriptor of their mount namespace that a monitor before this one has left.
        """
        if self.cgroup is None:
            from kist.kernel.members import Members  # noqa: PLC0415 - for containers without a control group

            own_pids = "pid" in self.plan["namespaces"] and "runtime" not in self.plan
            self.members = Members(self.first.command_pid, own_pids=own_pids, mounts=mounts)

    def _know_mounts(self, mounts: int) -> None:
        """The first process has sent its mount namespace, and may have ended since."""
        assert self.members is not None
        self.members.know_mounts(mounts)
        self.guard.holds("", self.first.pid, {MOUNTS: mounts})

    def _note_running(self) -> None:
        self.record.note_running(self.first.command_pid, self.streams.pipes())
        if self._checkpoint is not None:
            self.loop.set_timer(events.moment(_AT_REST), self._give_back)

    def _start(self) -> tuple[str, ...]:
        """Make the cgroup and the first process; what of the limits the machine cannot do."""
        warnings: tuple[str, ...] = ()
        if self.cgroup is not None:
            warnings = self.cgroup.create(self.plan["limits"])
        faults.point("monitor: made the cgroup")
        outside = "runtime" in self.plan
        # The guard of what an outside runtime makes is not in it.
        into = self.cgroup.open_v2() if self.cgroup is not None and not outside else None
        clone = self.clone_first(self.plan, into, self.life.held)
        self.first.start(self.plan, clone, self.cgroup, self._own_descriptors(), self.volumes)
        if not outside:
            self.life.keep_network()
        self._hold_mounts()
        if into is not None:
            os.close(into)
        return warnings

    def _hold_mounts(self) -> None:
        """Have everything stay mounted when the first process has ended, until that has been told.

        The last who leaves a mount namespace unmounts what is in it before its end is seen, and overlayfs then waits
        until all that anybody has written to the file system below it is on the disk.
        """
        if "own_mounts" in self.plan:
            try:
                self._mounts = process.namespace_descriptor(self.first.pid, "mnt")
            except OSError:
                return  # it has ended already, or nobody may look into it: what is mounted goes with it

    def _let_mounts_go(self) -> None:
        if self._mounts >= 0:
            os.close(self._mounts)
            self._mounts = -1

    def start_again(self) -> None:
        """Start the first process once more, after a rest, as it was started before."""
        self._make_first()
        self.first.on_inside = lambda: self._made_inside(())
        try:
            self._start()
        except OSError as error:
            self.record.state["error"] = _failure_of(error)
            self._over(128)
            return
        faults.point("monitor: cloned again")
        if self.plan["wait_for_network"]:
            self.first.go()  # it is there
        if "runtime" not in self.plan:
            self.know_members()
            self.usage.begin()
        self._note_running()
        faults.point("monitor: noted that it runs again")

    def rest(self) -> None:
        """A run has ended, and another will follow: write so, and take away what only a running container has."""
        self.record.write(self.run_directory)
        faults.point("monitor: noted that it rests")
        self.streams.finish()
        self.remove_cgroup()
        self._let_mounts_go()  # before they are mounted anew
        self.guard.holds("", 0, self._own_descriptors())
        faults.point("monitor: told the keeper of the rest")
        state = self.record.state
        lasted = (state["finished_at"] - state.get("started_at", state["finished_at"])) // 1_000_000_000
        self.notices.add("die", {"exitCode": str(state["exit_code"]), "execDuration": str(max(0, lasted))})

    def _own_descriptors(self) -> dict[str, int]:
        volumes = {f"volume {name}": descriptor for name, descriptor in self.volumes.items()}
        mounts = {MOUNTS: self.members.mounts_fd} if self.members is not None else {}
        return {"door": self.door.descriptor, **self.life.held, **mounts, **volumes, **self._names_held}

    @property
    def _names_held(self) -> dict[str, int]:
        return self.names.held if self.names is not None else {}

    def serve_names(self, udp: int, tcp: int) -> None:
        """Answer what the container asks of its name server by these sockets, in place of others."""
        if self.names is not None:
            self.names.close()
        self.names = served.Served(self.loop, self.run_directory, udp, tcp)

    def _end_names(self) -> None:
        """Nobody finds the container by a name any more."""
        if self.names is not None:
            self.names.close()
            self.names = None
        served.withdraw(self.run_directory, self.plan["id"])

    def publish(self, wanted: list[dict[str, Any]]) -> None:
        """Listen on the ports of the host that the container's are published on, and note which they are."""
        from kist.runtime.ports import Ports  # noqa: PLC0415 - few containers publish, and all would pay for it

        if self.ports is None:
            # Two or four for each connection are soon more than what a shell gives.
            self.limits = self.first.limits = process.widen_descriptors()
            self.ports = Ports(self.loop)
        try:
            for each in wanted:
                self.ports.publish(each)
        except OSError as error:
            error.operation = "publish"  # type: ignore[attr-defined]
            error.arguments = {"protocol": each["protocol"]}  # type: ignore[attr-defined]
            raise
        self.record.state["publish"] = self.ports.taken
        self.record.state["ports"] = self.ports.published

    def put_port_rules(self) -> None:
        """Have the kernel carry the published ports, where the plan says so; where it cannot, this process does."""
        if self.ports is None or "port_rules" not in self.plan:
            return
        try:
            self._port_rules().put(self.ports.carried, self.plan["port_rules"])
        except OSError as error:
            messages.complain(error)

    def publish_otherwise(self, address: str, address6: str, rules: dict[str, Any] | None) -> None:
        """Have the published ports lead to these addresses of the container, by these rules; None for no rules."""
        if self.ports is None:
            return
        before = self.ports.carried
        self.ports.aim(address, address6)
        if "port_rules" in self.plan and (rules is None or self.ports.carried != before):
            self._port_rules().remove(before)
        self.plan["publish"] = self.ports.taken
        self.plan.pop("port_rules", None)
        if rules is not None:
            self.plan["port_rules"] = rules
        # For another monitor.
        messages.write_json(self.request["plan"], self.plan)
        self.record.note(publish=self.ports.taken)
        self.put_port_rules()

    def close_ports(self) -> None:
        """Publish nothing any more; first in the rules, so that they never lead to a port that nobody holds."""
        if "port_rules" in self.plan:
            try:
                if self.ports is not None:
                    self._port_rules().remove(self.ports.carried)
                else:
                    self._port_rules().remove_all()  # of a monitor that was killed
            except OSError as error:
                messages.complain(error)
        if self.ports is not None:
            self.ports.close()

    def _port_rules(self) -> PortRules:
        from kist.runtime.portrules import PortRules  # noqa: PLC0415 - as with the ports

        if self.port_rules is None:
            self.port_rules = PortRules(self.plan["id"])
        return self.port_rules

    def enter_room(self) -> None:
        """Go where the container is reached from if need be, for good: nobody may return to the host's network.

        What listens on the host has been made by now, and what is logged elsewhere is connected.
        """
        if "room" in self.plan:
            room = os.open(self.plan["room"], os.O_RDONLY | os.O_CLOEXEC)
            namespaces.setns(room, namespaces.CLONE_NEWNET)
            os.close(room)

    @property
    def state(self) -> dict[str, Any] | None:
        """How the container ended; None while it runs."""
        return self.record.state if self.exited else None

    def _idle(self) -> bool:
        return self.streams.idle and all(running.streams.idle for running in self.execs.values())

    # what it is told

    def freeze(self, *, frozen: bool) -> None:
        """Stop all processes where they are, or let them go on."""
        state = self.record.state
        if self.cgroup is not None:
            self.cgroup.freeze(frozen=frozen)
        elif self.members is not None and frozen:
            state["stopped"] = self.members.stop()
        elif self.members is not None:
            self.members.go_on(state.pop("stopped", None))
        self.record.note(status="paused" if frozen else "running")

    def thaw(self) -> None:
        """Let processes go on that are stopped, so that a signal that asks for their end reaches them."""
        if self.record.state.get("status") == "paused":
            self.freeze(frozen=False)
            self.notices.add("unpause", {})

    def update(self, limits: dict[str, Any]) -> tuple[str, ...]:
        """Set limits anew; sentences for those that this machine does not keep."""
        warnings: tuple[str, ...] = ()
        if self.cgroup is not None and not self.life.resting:  # the kernel may refuse them
            warnings = self.cgroup.update(limits)
        self.plan["limits"] |= limits  # what the next run begins with
        if not self.life.resting:
            self.usage.watch_memory()
        return warnings

    # whom it hears

    def _visited(self, connection: socket.socket) -> None:
        requests.Request(self, connection)

    def _engine_said(self, go: bool | None, descriptors: Sequence[int]) -> None:
        if go is None and self.plan["ends_with_engine"]:
            self._end_with_engine()
        if go:
            if descriptors:
                self.serve_names(*descriptors)
                self.guard.holds("", self.first.pid, self._names_held)
            self.first.go()
        else:
            # Nobody will attach the network now; a container that already runs does not mind.
            self.first.abandon()

    def _end_with_engine(self) -> None:
        if self.first.pidfd >= 0:
            try:
                self.first.signal(signal.SIGKILL)
            except ProcessLookupError:
                return  # it ended by itself, which is about to be heard
            self.thaw()  # frozen, it would not even notice

    # the container's life

    def _started(self, failure: dict[str, Any] | None) -> None:
        faults.point("monitor: heard of the start")
        again = self.notices.begun
        if failure is not None:
            self.record.state["error"] = failure
            if not again:
                self.control.tell({"event": "failed", "failure": failure})
            return
        # Ahead of the engine, so that who has started a container sees its health.
        self.life.begun()
        if again:
            self.notices.add("start", {})
            return
        self.guard.started()
        faults.point("monitor: told the keeper of the start")
        self.control.tell({"event": "started", "pid": self.first.command_pid})
        self.notices.begin()

    def ended(self, status: int) -> None:
        """The first process has ended with this wait status."""
        faults.point("monitor: reaped")
        self._over(process.exit_code(status))

    def _over(self, exit_code: int) -> None:
        self.zygotes.end()
        self.record.note_end(exit_code, self.usage.end())
        if "pid" not in self.plan["namespaces"]:
            # The end of a namespace's first process ends all in it; here what the command started has to be ended.
            if self.cgroup is not None:
                self.cgroup.kill()
            elif self.members is not None:
                self.members.kill()
        if self.members is not None:
            self.guard.drops("", MOUNTS)
            self.members.close()
        # Everything that the container printed is in the log, and its end on disk, before anybody hears of it.
        self.streams.drain()
        faults.point("monitor: drained the streams")
        if not self.life.goes_on():
            self.end()

    def end(self) -> None:
        """The container has ended for good, which the record says: write it, and tell everybody."""
        self.exited = True
        if self.notices.kept:
            self.record.state["notices"] = self.notices.kept
        self.record.write_end()
        faults.point("monitor: wrote the end")
        self.streams.finish()
        self.close_up()

    def close_up(self) -> None:
        """After the end is on disk: take away what only a running container has, and tell who waits."""
        # In this order: whoever cannot connect finds the end on disk, and who was told may start the container anew.
        self.door.close()
        self.close_ports()
        self._end_names()
        faults.point("monitor: closed its door")
        self.remove_cgroup()
        self.life.close()
        for descriptor in self.volumes.values():
            os.close(descriptor)
        self.volumes = {}
        faults.point("monitor: removed the cgroup")
        # First the keeper, so that who hears of the end and starts it again at once is not taken for this run.
        self.guard.over(unmounts=self._mounts >= 0)
        faults.point("monitor: told the keeper of the end")
        self._tell_all()
        self.control.forget()  # what comes on its line from here on is for the next one
        if self._mounts >= 0:
            self._let_mounts_go()
            faults.point("monitor: let the mounts go")
            self.guard.unmounted()

    def _tell_all(self) -> None:
        self.control.tell({"event": "exited", "state": self.record.state})
        for waiter in self.waiters:
            self.loop.forget(waiter.fileno())
            messages.send_line(waiter, {"exited": self.record.state})
            waiter.close()
        for follower in self.followers:
            self.loop.forget(follower.fileno())
            follower.close()
        self.waiters.clear()
        self.followers.clear()

    def remove_cgroup(self) -> None:
        """Take the cgroup away, and what an outside runtime keeps; what will not go is complained about."""
        if "runtime" in self.plan:
            from kist.runtime import outside  # noqa: PLC0415 - few containers have an outside runtime

            outside.delete(self.plan, self.run_directory)
        if self.cgroup is not None:
            try:
                self.cgroup.remove()
            except OSError as error:
                messages.complain(error)

    def _log_takes_more(self) -> None:
        self.streams.relieve()

    def _log_grew(self) -> None:
        for follower in self.followers:
            try:
                follower.send(b"\n", socket.MSG_DONTWAIT)
            except OSError:
                # It has not read the last one yet, or it is gone, which its own watch notices.
                continue

    def _clean_up(self) -> None:
        self.door.close()
        self.control.forget()
        self.loop.close()


def _failure_of(error: OSError) -> dict[str, Any]:
    return {
        "operation": getattr(error, "operation", "prepare"),
        "arguments": getattr(error, "arguments", {}),
        "errno": error.errno or 0,
        "path": str(error.filename or ""),
        "message": str(error),
    }
