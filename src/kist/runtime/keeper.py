"""The process that monitors have above them: it takes over where one is killed.

The engine executes it at its start. It forks the spawner, whose monitors become its own children, and then keeps
duplicates of the descriptors of every container (``kist.runtime.kept``), so that nothing that a container uses is
closed when its monitor dies. The container's processes become this process's children then (it is a subreaper), and it
forks a successor from itself, with all that is kept (``kist.runtime.adoption``).

It outlives its engine for as long as there is a container, and the next engine connects to it, if it runs the same code
(``kist.runtime.launch.keeper_name``): an upgraded one has a keeper of its own. On its socket, in
packets: it begins with ``requests``, a descriptor at which the spawner's spare takes requests for monitors; then it
answers

``settle``  a container's run directory: ``settled`` when it is not known (any more), and nothing is mounted for it
``adopt``   a container whose monitor and keeper died: its request, its process and the pipes of that, and descriptors
            that its new monitor gets (``names`` says which); ``adopted``
``leave``   the engine goes: ``stays`` when there is a reason to stay, else the connection's end
``end``     the engine goes, and what it has started ends with it
``mind``    (no answer) a descriptor of a process that is to be ended when this one's work is over

and a monitor whose keeper died says what it says to its guard (``kist.runtime.guard``).
"""

from __future__ import annotations

import gc
import os
import resource
import sys

from kist.kernel import checkpoint, ends, faults, lean, libc, process
from kist.kernel.lean import signal, socket
from kist.runtime import adoption, gathering, messages, spawner
from kist.runtime import loop as events
from kist.runtime.door import listen, unlink
from kist.runtime.kept import Kept
from kist.runtime.learning import Lesson
from kist.runtime.machine import Machine
from kist.runtime.record import Record
from kist.runtime.rehearsal import own_group, rehearse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A monitor that dies of the same thing again and again is not replaced for ever.
_MOST_SUCCESSORS = 20
_MOST_BEFORE_START = 3


def main(requests: int, taken: int, engine: int, run_root: str, name: str, *, rehearsed: bool = True) -> None:
    """Be the keeper.

    Args:
        requests: where engines send requests for monitors.
        taken: where the spawner's spares receive them.
        engine: the connection to the engine that started this process.
        run_root: the engine's; monitors take their first steps there.
        name: of the socket in it.
        rehearsed: be as small and fast for each container as can be; it pays for those who have many.
    """
    process.set_title("kist-keeper")
    # Nobody but root looks into these processes: not the container's processes that share a pid namespace with init.
    process.set_dumpable(dumpable=False)
    # Whoever started the engine may have had signals ignored (nohup, a shell's &); containers are not to inherit that.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.adopt_orphans()
    # Reference cycles are rare here, and a collection would copy every page that the monitors share.
    gc.disable()
    machine = Machine()
    if rehearsed:
        place = os.path.join(run_root, f"rehearsal-{os.getpid()}")
        rehearse(machine, place)
        lesson = Lesson(place, own_group(machine, place))
        gc.collect()
        libc.trim()
        gathering.fill_gaps()
        gc.freeze()
        lesson.take(machine)
        # The last: what is written to from here on is not what monitors may go back to.
        machine.checkpoint = checkpoint.take()
    gc.freeze()
    Keeper(machine, run_root, name, requests, taken).run(socket.socket(fileno=engine))


class Keeper:
    """What is kept, and whoever speaks of it."""

    def __init__(self, machine: Machine, run_root: str, name: str, requests: int, taken: int) -> None:
        self._machine = machine
        self._place = (run_root, name)
        self._requests = requests
        self._taken = taken
        # Where all monitors of this keeper speak, and its end for them.
        self._hears, self._speaks = messages.pair()
        self._loop = events.Loop()
        self._kept: dict[str, Kept] = {}
        self._monitors: dict[int, str] = {}
        self._connections: set[socket.socket] = set()
        self._settling: dict[str, list[socket.socket]] = {}
        # Monitors of containers that have ended and are about to be unmounted.
        self._unmounting: dict[str, int] = {}
        self._spawner = 0
        self._minded = -1
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        # The spawner sees this process's end by it.
        self._life, self._dies = os.pipe2(os.O_CLOEXEC)

    def run(self, engine: socket.socket) -> None:
        """Work until nobody is there and nothing is kept."""
        # Some five descriptors for each container are more than most limits allow; for containers the old one counts.
        process.widen_descriptors()
        self._start_spawner()
        listener = listen(*self._place, socket.SOCK_SEQPACKET)
        self._watch_children()
        self._loop.watch(self._hears.fileno(), events.READ, lambda _: self._hear())
        self._loop.watch(listener.fileno(), events.READ, lambda _: self._accept(listener))
        self._greet(engine)
        while self._connections or self._kept or self._unmounting:
            self._loop.turn()
        unlink("/".join(self._place))
        if self._minded >= 0:
            self._end_minded()

    def _end_minded(self) -> None:
        from kist.kernel import members  # noqa: PLC0415 - once, and for ordinary users only

        # Those of a keeper that was killed may not have come to this one, and have need of it; and so has whoever comes
        # by an engine after an upgrade, whose keeper will end it.
        if members.lives_any_titled(b"kist-monitor") or members.lives_any_titled(b"kist-keeper"):
            return
        try:
            signal.pidfd_send_signal(self._minded, signal.SIGTERM)
        except ProcessLookupError:
            return  # it has ended before

    # children

    def _start_spawner(self) -> None:
        self._spawner = os.fork()
        if self._spawner == 0:
            os.close(self._dies)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
            # What belongs to containers must not stay open here.
            process.close_all_but(self._taken, self._speaks.fileno(), self._life)
            spawner.serve(self._taken, self._speaks, self._life, self._machine)

    def _watch_children(self) -> None:
        woken, wakes = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

        def ready(_: int) -> None:
            os.read(woken, 4096)
            self._reap()

        self._loop.watch(woken, events.READ, ready)
        self._reap()

    def _reap(self) -> None:
        """Take the ends of all children: monitors, the spawner, and what dead monitors have left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            faults.point("keeper: reaped")
            self._hear()  # what a monitor said before its end
            if pid == self._spawner:
                self._start_spawner()
            elif pid in self._monitors:
                self._monitor_died(self._monitors.pop(pid))
            elif at := next((at for at, monitor in self._unmounting.items() if monitor == pid), ""):
                self._unmounted(at)
            else:
                self._note_end(pid, status)

    def _note_end(self, pid: int, status: int) -> None:
        for kept in self._kept.values():
            if any(held.pid == pid for held in kept.held.values()):
                kept.ended[pid] = status
                _tell(kept.line, {"pid": pid, "status": status})

    def _monitor_died(self, at: str) -> None:
        kept = self._kept.get(at)
        if kept is None:
            return
        if kept.successors >= (_MOST_SUCCESSORS if kept.started else _MOST_BEFORE_START):
            self._give_up(kept)
            return
        kept.successors += 1
        self._fork_successor(kept)

    def _fork_successor(self, kept: Kept) -> None:
        faults.point("keeper: about to fork a successor")
        ours, theirs = messages.pair()
        if kept.line is not None:
            kept.line.close()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            os.chdir("/")
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
            own = [number for held in kept.held.values() for number in held.fds.values()]
            process.close_all_but(theirs.fileno(), self._speaks.fileno(), *own)
            adoption.become(kept, theirs, self._speaks, self._machine)
        theirs.close()
        kept.line, kept.monitor = ours, pid
        if kept.monitor_fd >= 0:
            self._loop.forget(kept.monitor_fd)
            os.close(kept.monitor_fd)
            kept.monitor_fd = -1
        self._monitors[pid] = kept.at
        for number, status in kept.ended.items():
            _tell(ours, {"pid": number, "status": status})
        faults.point("keeper: forked a successor")

    def _give_up(self, kept: Kept) -> None:
        """No monitor can live: the container is not to go on unseen either."""
        for held in kept.held.values():
            held.kill()
        print(f"kist-keeper: {kept.at}: its monitors die one after the other: killed", file=sys.stderr, flush=True)
        record = Record("", self._machine.words, kept.request["directory"], kept.at)
        record.state |= record.read(kept.at) or {}
        record.state["error"] = {"message": "its monitors died one after the other", "exit_code": 255}
        record.note_end(255, None)
        record.write_end()
        self._forget(kept)

    # what monitors say

    def _hear(self) -> None:
        """Take all that the monitors of this keeper have said."""
        self._hears.setblocking(False)
        while True:
            try:
                message, descriptors = messages.receive(self._hears)
            except BlockingIOError:
                return
            if message is not None:
                self._note(message, descriptors, None)

    def _note(self, message: dict[str, Any], descriptors: list[int], connection: socket.socket | None) -> None:
        at = message["at"]
        kept = self._kept.get(at)
        if "took" in message:
            self._unmounting.pop(at, None)
            if kept is not None:
                self._forget(kept)
            self._take(Kept(message["took"], message["monitor"]), message["monitor_start"], connection)
        elif "unmounted" in message:
            if self._unmounting.get(at) == message["unmounted"]:
                self._unmounted(at)
        elif kept is None:
            for descriptor in descriptors:
                os.close(descriptor)
        elif "holds" in message:
            kept.hold(message["holds"], message["pid"], dict(zip(message["fds"], descriptors, strict=True)))
        elif "started" in message:
            kept.started = True
        elif "drops" in message:
            kept.drop(message["drops"], message["fds"])
        elif "over" in message and message["over"] == kept.monitor:
            if "unmounts" in message and kept.monitor in self._monitors:
                self._unmounting[at] = kept.monitor
            self._forget(kept)

    def _take(self, kept: Kept, monitor_start: int, connection: socket.socket | None) -> None:
        self._kept[kept.at] = kept
        if connection is None:
            self._monitors[kept.monitor] = kept.at
            return
        # Somebody else's child: its processes will not become ours either.
        kept.is_parent = False
        self._watch_stranger(kept, ends.open_process(kept.monitor, monitor_start))

    def _watch_stranger(self, kept: Kept, pidfd: int | None) -> None:
        if pidfd is None:
            self._monitor_died(kept.at)
            return
        kept.monitor_fd = pidfd
        self._loop.watch(pidfd, events.READ, lambda _: self._stranger_died(kept))

    def _stranger_died(self, kept: Kept) -> None:
        self._loop.forget(kept.monitor_fd)
        os.close(kept.monitor_fd)
        kept.monitor_fd = -1
        for connection in list(self._connections):
            self._say_all(connection)
        if self._kept.get(kept.at) is kept:
            self._monitor_died(kept.at)

    def _forget(self, kept: Kept) -> None:
        if kept.monitor_fd >= 0:
            self._loop.forget(kept.monitor_fd)
        kept.close()
        self._monitors.pop(kept.monitor, None)
        del self._kept[kept.at]
        if kept.at not in self._unmounting:
            self._settled(kept.at)

    def _unmounted(self, at: str) -> None:
        del self._unmounting[at]
        self._settled(at)

    def _settled(self, at: str) -> None:
        for connection in self._settling.pop(at, []):
            _tell(connection, {"settled": at})

    # engines, and monitors of keepers that died

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection = lean.accept(listener)
        except OSError:
            return  # who wanted to connect has gone
        self._greet(connection)

    def _greet(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connections.add(connection)
        self._loop.watch(connection.fileno(), events.READ, lambda _: self._say_all(connection))
        _tell(connection, {"requests": True}, [self._requests])

    def _say_all(self, connection: socket.socket) -> None:
        """Take all that was said on this connection."""
        while connection in self._connections:
            try:
                message, descriptors = messages.receive(connection)
            except BlockingIOError:
                return
            except OSError:
                message, descriptors = None, []
            if message is None or "end" in message or ("leave" in message and not self._kept):
                self._part(connection)
            elif "leave" in message:
                _tell(connection, {"stays": True})
            elif "settle" in message:
                self._settle(connection, message["settle"])
            elif "adopt" in message:
                self._adopt(connection, message, descriptors)
            elif "mind" in message:
                if self._minded >= 0:
                    os.close(self._minded)
                self._minded = descriptors[0]
            else:
                self._note(message, descriptors, connection)

    def _part(self, connection: socket.socket) -> None:
        self._loop.forget(connection.fileno())
        self._connections.discard(connection)
        connection.close()
        for waiting in self._settling.values():
            if connection in waiting:
                waiting.remove(connection)

    def _settle(self, connection: socket.socket, at: str) -> None:
        self._reap()
        self._hear()
        if at in self._kept or at in self._unmounting:
            self._settling.setdefault(at, []).append(connection)
        else:
            _tell(connection, {"settled": at})

    def _adopt(self, connection: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
        """Take a container over by its process id, where nobody who knew more has lived."""
        request = message["adopt"]
        pidfd = ends.open_process(message["pid"], message["pid_start"])
        if pidfd is not None and request["run_directory"] not in self._kept:
            kept = Kept(request, 0)
            kept.is_parent = False
            kept.started = True
            pipes = zip(("stdin", "stdout", "stderr"), ends.open_pipes(message["pid"], message["pipes"]), strict=True)
            given = dict(zip(message["names"], descriptors, strict=True))
            kept.hold("", message["pid"], {"pidfd": pidfd, **{name: fd for name, fd in pipes if fd >= 0}, **given})
            self._kept[kept.at] = kept
            self._monitor_died(kept.at)
        else:
            for descriptor in descriptors:
                os.close(descriptor)
        _tell(connection, {"adopted": pidfd is not None})


def _tell(connection: socket.socket | None, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
    if connection is not None:
        try:
            messages.send(connection, message, descriptors or ())
        except OSError:
            return  # it has gone, which the watch on it notices


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5])
