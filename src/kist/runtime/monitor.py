"""A container's guardian: the parent of its processes, for as long as they live.

It makes the cgroup, starts the first process, carries the streams, writes the log and the state, runs exec'd
processes, and serves ``monitor.sock`` in the container's run directory. Engine processes come and go; the monitor
needs none of them.
"""

from __future__ import annotations

import os
import time

from kist.kernel import cgroup, lean, process
from kist.kernel.lean import signal, socket
from kist.runtime import child, logwriter, messages, requests
from kist.runtime import loop as events
from kist.runtime.streams import Client, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# How many notices are kept while nobody listens; the oldest go first.
_MOST_NOTICES = 256
SOCKET = "monitor.sock"
STATE = "state.json"


class Machine:
    """What every monitor needs to know of the machine; looked up once, by the spawner.

    Reading all mounts takes longer than making a container.
    """

    def __init__(self) -> None:
        self.hierarchies = cgroup.detect()
        self.boot_id = process.boot_id()


class Monitor:
    """One container's monitor.

    Args:
        plan: the plan (``kist.runtime.plan.Plan`` as JSON).
        directory: the container's own directory, for the log and, at the end, ``state.json``.
        run_directory: for the socket, ``state.json`` while it runs, and the state of exec'd processes. What is here
            need not outlive the machine, so it can be in memory.
        control: to the engine that asked for the start; it may go away at any time.
        machine: what is the same for all containers.
    """

    def __init__(
        self,
        plan: dict[str, Any],
        directory: str,
        run_directory: str,
        control: socket.socket,
        machine: Machine,
    ) -> None:
        self.plan = plan
        self.run_directory = run_directory
        self.loop = events.Loop()
        self.cgroup = cgroup.Cgroup(machine.hierarchies, plan["cgroup"]) if plan["cgroup"] else None
        self._directory = directory
        self._control: socket.socket | None = control
        self._state: dict[str, Any] = {"id": plan["id"], "boot": machine.boot_id}
        self._listener: socket.socket | None = None
        self._exited = False
        self.waiters: list[socket.socket] = []
        self.followers: list[socket.socket] = []
        self._notices: list[dict[str, Any]] = []
        self._begun = False
        writer = logwriter.open_log(self.loop, plan["log"], directory, self._log_takes_more)
        self.streams = Streams(
            self.loop,
            writer,
            stdin_once=plan["stdin_once"],
            on_idle=lambda: None,
            on_output=self._log_grew,
        )
        self.first = child.Child(self.loop, self.streams, self._started, self._ended)
        self.execs: dict[str, child.Child] = {}

    def run(self, attached: list[Client]) -> None:
        """Start the container and stay until it has ended and everybody has heard of it."""
        warnings: tuple[str, ...] = ()
        try:
            if self.cgroup is not None:
                warnings = self.cgroup.create(self.plan["limits"])
            self._start(attached)
        except OSError as error:
            failure = _failure_of(error)
            self._state |= {"status": "exited", "exit_code": 128, "error": failure, "finished_at": time.time_ns()}
            self._write_state(self._directory)
            self._stop_listening()
            self._remove_cgroup()
            self._tell_engine({"event": "failed", "failure": failure})
            return
        self._tell_created(warnings)
        # Written while init is at work on the other side: a state that says "running" a moment early harms nobody,
        # and a failure is written over it.
        self._note_running()
        while not (self._exited and self._idle()):
            self.loop.turn()
        self._clean_up()

    def rehearse(self) -> None:
        """The parts of a start and an end that need no container (see ``kist.runtime.rehearsal``)."""
        self._listen()
        self._note_running()
        if self.cgroup is not None:
            self.cgroup.stats()
        self._write_state(self._directory)
        self._stop_listening()

    def _note_running(self) -> None:
        self._state |= {
            "status": "running",
            "pid": self.first.pid,
            "monitor": os.getpid(),
            "monitor_start": process.start_time(os.getpid()),
            "started_at": time.time_ns(),
        }
        self._write_state(self.run_directory)

    def _start(self, attached: list[Client]) -> None:
        for client in attached:
            self.streams.attach(client)
        self._listen()
        into = self.cgroup.open_v2() if self.cgroup is not None else None
        self.first.start(self.plan, child.clone_first(self.plan["namespaces"], into), self.cgroup)
        if into is not None:
            os.close(into)

    @property
    def state(self) -> dict[str, Any] | None:
        """How the container ended; None while it runs."""
        return self._state if self._exited else None

    def _idle(self) -> bool:
        return self.streams.idle and all(running.streams.idle for running in self.execs.values())

    # what the engine hears

    def _tell_created(self, warnings: tuple[str, ...]) -> None:
        namespace = process.namespace_descriptor(self.first.pid, "net") if self.plan["wait_for_network"] else -1
        descriptors = [namespace] if namespace >= 0 else []
        self._tell_engine({"event": "created", "pid": self.first.pid, "warnings": list(warnings)}, descriptors)
        if namespace >= 0:
            os.close(namespace)
        if self._control is not None:
            self.loop.watch(self._control.fileno(), events.READ, lambda _: self._control_ready())

    def _control_ready(self) -> None:
        assert self._control is not None
        message, _ = messages.receive(self._control)
        if message is None:
            self._forget_engine()
            # Nobody will attach the network now; a container that already runs does not mind.
            self.first.abandon()
            if self.plan["ends_with_engine"]:
                self.first.signal(signal.SIGKILL)
        elif message.get("go"):
            self.first.go()
        else:
            self.first.abandon()

    def _tell_engine(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        if self._control is None:
            return
        try:
            messages.send(self._control, message, descriptors or ())
        except OSError:
            self._forget_engine()

    def _forget_engine(self) -> None:
        if self._control is not None:
            self.loop.forget(self._control.fileno())
            self._control.close()
            self._control = None

    def notice(self, action: str, attributes: dict[str, str]) -> None:
        """Tell every engine that listens what happened in the container, for its event log (``kist.engine.events``).

        What nobody hears is kept for the next engine; at the end of the container it goes into ``state.json``.
        """
        self._notices.append({"action": action, "time": time.time_ns(), "attributes": attributes})
        self.pass_on()

    def pass_on(self) -> None:
        """Tell the notices that are kept, in their order, to those who listen now."""
        while self._notices and self._begun and self._told(self._notices[0]):
            del self._notices[0]
        del self._notices[:-_MOST_NOTICES]

    def _told(self, notice: dict[str, Any]) -> bool:
        heard = [requests.answer(waiter, {"notice": notice}) for waiter in self.waiters]
        if self._control is not None:
            try:
                messages.send(self._control, {"event": "notice", "notice": notice}, flags=socket.MSG_DONTWAIT)
            except OSError:
                # Gone, which its own watch notices, or stopped: a container does not wait for its engine.
                return any(heard)
            return True
        return any(heard)

    # the container's life

    def _started(self, failure: dict[str, Any] | None) -> None:
        if failure is not None:
            self._state["error"] = failure
            self._tell_engine({"event": "failed", "failure": failure})
            return
        self._tell_engine({"event": "started", "pid": self.first.pid})
        self._begun = True
        self.pass_on()

    def _ended(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        failed = self._state.get("error")
        self._state |= {
            "status": "exited",
            "pid": 0,
            "exit_code": failed.get("exit_code", 128) if failed else code if code >= 0 else 128 - code,
            "finished_at": time.time_ns(),
        }
        if self.cgroup is not None:
            self._state["usage"] = usage = self.cgroup.stats()
            self._state["oom_killed"] = usage.get("oom_kills", 0) > 0
        if self._notices:
            self._state["notices"] = self._notices
        # Everything that the container printed is in the log, and its end on disk, before anybody hears of it.
        self.streams.drain()
        self._exited = True
        self._write_state(self._directory)
        self.streams.finish()
        # In this order: whoever cannot connect finds the end on disk, and who was told may start the container anew.
        self._stop_listening()
        self._remove_cgroup()
        self._tell_engine({"event": "exited", "state": self._state})
        for waiter in self.waiters:
            self.loop.forget(waiter.fileno())
            requests.answer(waiter, {"exited": self._state})
            waiter.close()
        for follower in self.followers:
            self.loop.forget(follower.fileno())
            follower.close()
        self.waiters = self.followers = []

    def _remove_cgroup(self) -> None:
        if self.cgroup is not None:
            try:
                self.cgroup.remove()
            except OSError as error:
                messages.complain(error)

    def _write_state(self, directory: str) -> None:
        try:
            messages.write_json(f"{directory}/{STATE}", self._state)
        except OSError as error:
            # The directory is gone (the container was removed by force), or its disk is full. The container goes on,
            # and an engine that watches is told its end over the socket.
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

    # the socket

    def _listen(self) -> None:
        path = f"{self.run_directory}/{SOCKET}"
        _unlink(path)  # of a monitor that was killed
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(self.run_directory, os.O_PATH | os.O_CLOEXEC)
        # The name of a socket is limited to 107 bytes, a run directory is not.
        self._listener.bind(path if len(path) < 100 else f"/proc/self/fd/{directory}/{SOCKET}")
        os.close(directory)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self.loop.watch(self._listener.fileno(), events.READ, lambda _: self._accept())

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            connection = lean.accept(self._listener)
        except OSError:
            return  # who wanted to connect has gone
        requests.Request(self, connection)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self.loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None
            _unlink(f"{self.run_directory}/{SOCKET}")

    def _clean_up(self) -> None:
        self._stop_listening()
        self._forget_engine()
        self.loop.close()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _failure_of(error: OSError) -> dict[str, Any]:
    return {
        "operation": "prepare",
        "arguments": {},
        "errno": error.errno or 0,
        "path": str(error.filename or ""),
        "message": str(error),
    }
