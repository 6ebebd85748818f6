"""One process that the monitor started in the container: the first one, or an exec'd one."""

from __future__ import annotations

import os
import resource

from kist.kernel import namespaces, process
from kist.kernel.lean import signal
from kist.runtime import init, messages, operations
from kist.runtime import loop as events

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn

    from kist.kernel.cgroup import Cgroup
    from kist.runtime.guard import Guard
    from kist.runtime.streams import Streams

    Clone = Callable[[Callable[[], NoReturn], operations.Context], tuple[int, int]]

_NONE: Mapping[str, int] = {}


class Child:
    """A process from its clone to its end.

    ``name`` is what the keeper calls it: empty for the first one. ``on_started`` is called once, with None when the
    command runs, else with the failure that init reported; ``on_exit`` is called after the end with the wait status. A
    process that could not start has an end too. ``on_inside`` is called when an outside runtime has made the command,
    ``on_mounts`` with a descriptor of the process's mount namespace where the plan has that told. ``limits`` are
    its own of descriptors, where the monitor has others.
    """

    def __init__(
        self,
        loop: events.Loop,
        streams: Streams,
        guard: Guard,
        name: str,
        on_started: Callable[[dict[str, Any] | None], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self.streams = streams
        self._guard = guard
        self._name = name
        streams.on_stdin_closed = lambda: guard.drops(name, "stdin")
        self._on_started = on_started
        self._on_exit = on_exit
        self._failure: dict[str, Any] | None = None
        self.on_inside: Callable[[], None] = lambda: None
        self.on_mounts: Callable[[int], None] = lambda _: None
        self.limits: tuple[int, int] | None = None
        self._unread: _Pipes | None = None
        self.pid = 0
        self.pidfd = -1
        # The command, where an outside runtime made it: the child is its guard then (``kist.runtime.outside``).
        self.inside = 0
        self.inside_fd = -1
        self.report: socket.socket | None = None
        self._waiting: list[Callable[[], None]] = []

    def when_started(self, call: Callable[[], None]) -> bool:
        """Whether it is on its way still, among the host's files; ``call`` is made once it has arrived, or failed."""
        if self.report is None:
            return False
        self._waiting.append(call)
        return True

    def start(
        self,
        plan: dict[str, Any],
        clone: Clone,
        cgroup: Cgroup | None = None,
        others: Mapping[str, int] = _NONE,
        volumes: Mapping[str, int] = _NONE,
    ) -> None:
        """Make the pipes and the process.

        Args:
            plan: of which ``init``, ``terminal`` and ``stdin`` are used.
            clone: runs its argument in the child and gives ``(pid, pidfd)`` here; what the child needs from outside it
                puts into the context.
            cgroup: what the operation ``join_cgroup`` enters.
            others: descriptors of the monitor by name, which the keeper gets with those of the first process.
            volumes: descriptors of mounted volumes by name.
        """
        ours, theirs = messages.pair()
        pipes = None if plan["terminal"] else _Pipes(feed=plan["stdin"])
        outside = "runtime" in plan
        if pipes is not None and "ids" in plan:
            pipes.give(plan["ids"])
        if pipes is None or outside:
            self.streams.await_terminal()

        context = operations.Context(theirs, cgroup)
        context.needs = (theirs.fileno(), *(pipes.child_ends if pipes is not None else ()))
        context.volumes = dict(volumes)

        def become() -> NoReturn:
            # Until it executes: what nobody watches is not to become a container.
            process.set_parent_death_signal(signal.SIGKILL)
            if self.limits is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)
            stdio = pipes.child_ends if pipes else None
            init.run(context.text or init_text(plan), context, stdio)

        try:
            self.pid, self.pidfd = clone(become, context)
        except OSError:
            ours.close()
            theirs.close()
            if pipes:
                pipes.close()
            raise
        theirs.close()
        self.report = ours
        if pipes:
            pipes.close_child_ends()
            if outside:
                # Not read before there is a command: a runtime that fails says why here too, beside its own log.
                self._unread = pipes
            else:
                self.streams.use_pipes(pipes.stdin, pipes.stdout, pipes.stderr)
        self.hand_over(others)
        self._loop.watch(ours.fileno(), events.READ, self._report_ready)
        self._loop.watch(self.pidfd, events.READ, self._exited)

    def hand_over(self, others: Mapping[str, int] = _NONE) -> None:
        """Leave duplicates of all descriptors with the keeper."""
        own = {"pidfd": self.pidfd, "inside": self.inside_fd}
        self._guard.holds(self._name, self.pid, {**own, **others, **self.streams.descriptors()})

    def take(self, pid: int, descriptors: dict[str, int]) -> None:
        """Go on with a process of a monitor that died; who learns of its end calls ``finish``.

        Args:
            pid: of the process.
            descriptors: as the keeper got them; ``pidfd`` at least.
        """
        self.pid, self.pidfd = pid, descriptors["pidfd"]
        self.inside_fd = descriptors.get("inside", -1)
        if "master" in descriptors:
            self.streams.use_terminal(descriptors["master"], descriptors["slave"])
        else:
            self.streams.use_pipes(*(descriptors.get(stream, -1) for stream in ("stdin", "stdout", "stderr")))

    def signal(self, number: int) -> None:
        """Send a signal; the pidfd makes sure that no other process can get it."""
        signal.pidfd_send_signal(self.command_fd, number)

    @property
    def command_fd(self) -> int:
        """A pidfd of the command (or of what is about to become it)."""
        return self.inside_fd if self.inside_fd >= 0 else self.pidfd

    @property
    def command_pid(self) -> int:
        """Its process id."""
        return self.inside or self.pid

    def signal_group(self, number: int) -> None:
        """Send a signal to the process and to all that it has started and not set apart; nothing once it has ended.

        A group is named by number only; this one cannot be another's while its leader has not been reaped.
        """
        if self.pidfd < 0:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # it has not made its session yet
            self.signal(number)

    def go(self) -> None:
        """Let init go on that waits for the network."""
        self._tell_init({"go": True})

    def abandon(self) -> None:
        """Tell init that what it waits for will not come: it reports that and ends."""
        self._tell_init({"go": False})

    def _tell_init(self, message: dict[str, Any]) -> None:
        if self.report is not None:
            try:
                messages.send(self.report, message)
            except OSError:
                return  # it is the command by now, or dead: its end of the socket has gone

    def _report_ready(self, _events: int = 0) -> None:
        assert self.report is not None
        message, descriptors = messages.receive(self.report)
        if message is None:
            self._loop.forget(self.report.fileno())
            self.report.close()
            self.report = None
            self._on_started(self._failure)
            waiting, self._waiting = self._waiting, []
            for call in waiting:
                call()
        elif "terminal" in message:
            master, slave = descriptors
            self.streams.use_terminal(master, slave)
            self.hand_over()
        elif "inside" in message:
            self.inside, self.inside_fd = message["inside"], descriptors[0]
            if self._unread is not None:
                self.streams.use_pipes(self._unread.stdin, self._unread.stdout, self._unread.stderr)
                self._unread = None
            self.hand_over()
            self.on_inside()
            self._tell_init({"noted": True})
        elif "mounts" in message:
            self.on_mounts(descriptors[0])
        elif "failed" in message:
            self._failure = message["failed"]

    def _exited(self, _events: int) -> None:
        self._loop.forget(self.pidfd)
        while self.report is not None:
            self._report_ready()
        # Looked at and not yet reaped: should this monitor die before the end is on disk, the keeper finds it too.
        pid = self.pid
        self.finish(process.peek_status(self.pidfd))
        os.waitpid(pid, 0)

    def finish(self, status: int) -> None:
        """It has ended with this wait status, and its process id may come to mean another process."""
        os.close(self.pidfd)
        self.pidfd = -1
        if self._unread is not None:
            self._unread.close_own_ends()
            self._unread = None
        if self.inside_fd >= 0:
            self._end_inside()
        self._on_exit(status)

    def _end_inside(self) -> None:
        """The command's guard has ended: because the command has, or somebody killed it alone."""
        try:
            signal.pidfd_send_signal(self.inside_fd, signal.SIGKILL)
        except ProcessLookupError:
            return  # the command has
        finally:
            os.close(self.inside_fd)
            self.inside_fd = -1


def init_text(plan: dict[str, Any]) -> str:
    """What init reads of a plan: from its file, which is read in the child, or as it came with the request."""
    if "init_path" in plan:
        return process.read_file(plan["init_path"]).decode()
    text: str = plan["init"]
    return text


class _Pipes:
    """Pipes for 0, 1 and 2; /dev/null for 0 when nothing will be fed."""

    def __init__(self, *, feed: bool) -> None:
        if feed:
            stdin_read, self.stdin = os.pipe2(os.O_CLOEXEC)
        else:
            stdin_read, self.stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1
        self.stdout, stdout_write = os.pipe2(os.O_CLOEXEC)
        self.stderr, stderr_write = os.pipe2(os.O_CLOEXEC)
        self.child_ends = (stdin_read, stdout_write, stderr_write)

    def give(self, ids: dict[str, Any]) -> None:
        """Make them the container's root's, who could not open them by their names (/dev/stdout) otherwise."""
        from kist.runtime import crossing  # noqa: PLC0415 - few containers have a user namespace

        for end in (*self.child_ends[1:], *(self.child_ends[:1] if self.stdin >= 0 else ())):
            os.fchown(end, *crossing.owner(ids))

    def close_child_ends(self) -> None:
        for descriptor in self.child_ends:
            os.close(descriptor)

    def close(self) -> None:
        self.close_child_ends()
        self.close_own_ends()

    def close_own_ends(self) -> None:
        for descriptor in (self.stdin, self.stdout, self.stderr):
            if descriptor >= 0:
                os.close(descriptor)


def clone_first(plan: dict[str, Any], into: int | None, held: Mapping[str, int] = _NONE) -> Clone:
    """How the container's first process is made: a clone into new namespaces.

    Args:
        plan: of which ``namespaces``, ``joined`` and ``ids`` are used.
        into: a descriptor of the v2 cgroup that it starts in.
        held: descriptors of namespaces of an earlier run, which it has instead of others of these kinds.
    """
    flags = flags_of(kind for kind in plan["namespaces"] if kind not in held)
    if held or "joined" in plan or "ids" in plan:
        from kist.runtime import crossing  # noqa: PLC0415 - few containers have namespaces of others

        return crossing.clone(plan, flags, into, held)

    def clone(become: Callable[[], NoReturn], _: operations.Context) -> tuple[int, int]:
        pid, pidfd = namespaces.clone(flags, cgroup=into)
        if pid == 0:
            become()
        return pid, pidfd

    return clone


def flags_of(kinds: Iterable[str]) -> int:
    """The bits of clone(2) for namespaces by name."""
    flags = 0
    for kind in kinds:
        flags |= namespaces.FLAGS[kind]
    return flags


def clone_after(enter: Callable[[operations.Context], None], flags: int, into: int | None) -> Clone:
    """A helper goes where the child is to be, for good, and clones a sibling of itself there.

    With ``CLONE_PARENT`` the grandchild is the monitor's child, so the monitor can wait for it.

    Args:
        enter: called in the helper, with the child's context.
        flags: of the clone.
        into: as for ``clone_first``.
    """

    def clone(become: Callable[[], NoReturn], context: operations.Context) -> tuple[int, int]:
        ours, theirs = messages.pair()
        helper = os.fork()
        if helper == 0:
            _helper(theirs, lambda: enter(context), flags | namespaces.CLONE_PARENT, into, become)
        theirs.close()
        message, descriptors = messages.receive(ours)
        ours.close()
        os.waitpid(helper, 0)
        if message is None or "pid" not in message:
            raise failed(message or {"error": (0, "the helper process died", None)})
        return message["pid"], descriptors[0]

    return clone


def failed(message: dict[str, Any]) -> OSError:
    """What went wrong in a helper, as it told."""
    error = OSError(*message["error"])
    error.operation = message.get("operation", "prepare")  # type: ignore[attr-defined]
    error.arguments = message.get("arguments", {})  # type: ignore[attr-defined]
    return error


def _helper(
    channel: socket.socket,
    enter: Callable[[], None],
    flags: int,
    into: int | None,
    become: Callable[[], NoReturn],
) -> NoReturn:
    try:
        enter()
        pid, child = namespaces.clone(flags, cgroup=into)
        if pid == 0:
            channel.close()
            become()
        messages.send(channel, {"pid": pid}, [child])
    except OSError as error:
        told = {"operation": getattr(error, "operation", "prepare"), "arguments": init.tellable(error)}
        messages.send(channel, {"error": [error.errno, error.strerror, error.filename], **told})
    finally:
        os._exit(0)
