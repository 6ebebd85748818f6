"""A process that is in a container's namespaces already, and clones the processes that are executed there.

Only a child can be in another pid namespace than its parent, so an exec'd process takes two steps: somebody goes into
the container, and clones a child there. Who goes in stays for a while, since commands are seldom executed one by one:
the next one costs one clone, of a process that has the memory that it writes to for itself, and no look around.

It is outside the container's pid namespace, so nothing inside sees it, and outside its cgroup, so it is neither counted
nor frozen there: each child enters by itself, or is born into it. Where a container has no cgroup, its processes are
told by their namespaces, and then nobody may stay in these who is none of them.
"""

from __future__ import annotations

import os
import resource

from kist.kernel import faults, namespaces, process
from kist.kernel.lean import signal, socket
from kist.runtime import child, init, messages, operations
from kist.runtime import loop as events
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any, NoReturn

    from kist.kernel.cgroup import Cgroup, Entrance
    from kist.runtime.child import Child, Clone
    from kist.runtime.monitor import Monitor

    Step = tuple[str, operations.Call]

# Plans that are longer come in a file in memory: a packet has to fit into the socket's buffer.
_LONGEST = 1 << 15
_MOST_KNOWN = 4096


class Zygotes:
    """The one that a monitor has, if it has one."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._zygote: Zygote | None = None
        self._is_wanted = False
        # The numbers of those that were made, and who waits for each: nobody else may.
        self._made: set[int] = set()

    def cloner(self, plan: Mapping[str, Any], *, stays: float = 0) -> Clone:
        """How a further process of the container is made, which enters its namespaces.

        Args:
            plan: of which ``namespaces`` and ``init`` are used.
            stays: for how many seconds the zygote is to be there for the next one.
        """

        def clone(_: object, context: operations.Context) -> tuple[int, int]:
            try:
                return self._clone(plan, context)
            finally:
                self._keep(stays)

        return clone

    def expect(self, kinds: list[str], seconds: float) -> None:
        """Have one go into these namespaces while whoever will want a process there makes up the request."""
        if self._monitor.cgroup is None:
            return  # it could not stay
        try:
            self._have(kinds)
        except OSError:
            return  # who asks for a process meets the same, and is told
        self._keep(seconds)

    def _clone(self, plan: Mapping[str, Any], context: operations.Context) -> tuple[int, int]:
        kinds, text = plan["namespaces"], plan["init"]
        try:
            return self._ask(kinds, text, context)
        except (BrokenPipeError, Unable):
            self.end()  # somebody has killed it meanwhile; or it has made other processes
        try:
            return self._ask(kinds, text, context)
        except BrokenPipeError:
            self.end()
            raise _killed() from None

    def _ask(self, kinds: list[str], text: str, context: operations.Context) -> tuple[int, int]:
        zygote = self._have(kinds)
        try:
            pid, pidfd = zygote.clone(text, context)
        except Lost:
            begun = process.start_time(zygote.pid)
            self.end()
            self._bury(begun)
            # Not asked for again: it may have begun.
            raise _killed() from None
        if len(self._made) >= _MOST_KNOWN:
            self._made.intersection_update(process.children())
        self._made.add(pid)
        return pid, pidfd

    def _bury(self, begun: int) -> None:
        """Kill what a zygote has made that was killed before it told of it, and wait for that as it ends.

        A zombie of the container's would keep its first process from ending.

        Args:
            begun: when the zygote began: what is older is not its child.
        """
        for pid in process.children():
            if pid in self._made or pid == self._monitor.first.pid or process.start_time(pid) < begun:
                continue
            os.kill(pid, signal.SIGKILL)
            self._reap_later(pid)

    def _reap_later(self, pid: int) -> None:
        self._made.add(pid)  # a frozen one lives on, and another look must not wait for it as well
        pidfd = os.pidfd_open(pid)
        self._monitor.loop.watch(pidfd, events.READ, lambda _: self._reap(pid, pidfd))

    def _reap(self, pid: int, pidfd: int) -> None:
        self._monitor.loop.forget(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)

    def _have(self, kinds: list[str]) -> Zygote:
        if self._zygote is not None and not self._zygote.fits(self._monitor.first, kinds):
            self.end()
        if self._zygote is None:
            self._zygote = Zygote(self._monitor.first, kinds, self._monitor.cgroup, self._monitor.limits)
        return self._zygote

    def _keep(self, seconds: float) -> None:
        if self._zygote is not None and self._zygote.may_stay and seconds:
            self._monitor.loop.set_timer(events.moment(seconds), self.end)
            self._is_wanted = True
        elif not self._is_wanted:
            self.end()

    def end(self) -> None:
        """Have nobody of ours in the container."""
        self._monitor.loop.clear_timer(self.end)
        self._is_wanted = False
        if self._zygote is not None:
            self._zygote.end()
            self._zygote = None


def _killed() -> OSError:
    return child.failed({"error": ("who was to execute the command has been killed",)})


class Lost(Exception):
    """A zygote was killed while it made a child, which may be there and run."""


class Unable(Exception):
    """A zygote has no child to give that may do so much."""


class Zygote:
    """One such process, as the monitor has it.

    Args:
        first: the container's first process.
        kinds: of the namespaces that it enters.
        cgroup: that its children enter; None for none.
        limits: of descriptors, for the children, where the monitor has others.
    """

    def __init__(
        self, first: Child, kinds: Iterable[str], cgroup: Cgroup | None, limits: tuple[int, int] | None
    ) -> None:
        self._kinds = tuple(kinds)
        self._place = namespaces.whereabouts(first.command_pid, self._kinds)
        self._channel, theirs = messages.pair()
        self.may_stay = cgroup is not None
        entrance = cgroup.open_entrance() if cgroup is not None else None
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _Inside(theirs, first, self._kinds, entrance, limits).serve()
        except OSError:
            self._channel.close()
            raise
        finally:
            theirs.close()
            if entrance is not None:
                entrance.close()
        faults.point("monitor: made a zygote for exec'd processes")

    def fits(self, first: Child, kinds: Iterable[str]) -> bool:
        """Whether it is where a new one would go: the first process may have changed its root or namespaces."""
        return self._kinds == tuple(kinds) and self._place == namespaces.whereabouts(first.command_pid, self._kinds)

    def clone(self, text: str, context: operations.Context) -> tuple[int, int]:
        """Have a process made in the container, which is this process's child and goes on in ``init``.

        Args:
            text: what ``init`` reads.
            context: of which ``needs`` are given to it.

        Returns:
            ``(pid, pidfd)``.

        Raises:
            OSError: as the kernel has it; EPIPE when the zygote has been killed before it was asked.
            Lost: it has been killed since.
            Unable: this one has not the capabilities to give any more.
        """
        _send(self._channel, text.encode(), context.needs)
        message, descriptors = messages.receive(self._channel)
        if message is None:
            raise Lost
        if "unable" in message:
            raise Unable
        if "pid" not in message:
            raise child.failed(message)
        return message["pid"], descriptors[0]

    def end(self) -> None:
        """Have it end, and wait for that: what is mounted in the container is, for as long as somebody is in there."""
        self._channel.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _send(channel: socket.socket, text: bytes, needs: tuple[int, ...]) -> None:
    if len(text) <= _LONGEST:
        channel.sendmsg([text], messages.rights(needs))
        return
    file = os.memfd_create("plan", os.MFD_CLOEXEC)
    try:
        rest = memoryview(text)
        while rest:
            rest = rest[os.write(file, rest) :]
        channel.sendmsg([b"\n"], messages.rights((*needs, file)))
    finally:
        os.close(file)


class _Inside:
    """The zygote itself, until it is ended."""

    def __init__(
        self,
        channel: socket.socket,
        first: Child,
        kinds: tuple[str, ...],
        entrance: Entrance | None,
        limits: tuple[int, int] | None,
    ) -> None:
        self._channel = channel
        self._first = first
        self._kinds = kinds
        self._entrance = entrance
        self._limits = limits
        self._cgroup_namespace = -1
        self._failure: OSError | None = None
        # What is left of the bounding set; all of it until there has been a first child.
        self._bounding = -1

    def serve(self) -> NoReturn:
        try:
            try:
                self._go_in()
            except OSError as error:
                self._failure = error  # who asks for a process is told
            while (request := self._receive()) is not None:
                self._answer(*request)
        finally:
            os._exit(0)

    def _go_in(self) -> None:
        """Go into the container for good, with nothing of the host's but what its children are given."""
        pid, pidfd = self._first.command_pid, self._first.command_fd
        others = {*namespaces.others(pid, self._kinds)}
        if "cgroup" in others:
            # By a descriptor of its own: who is in the container's user namespace may not look at its first process.
            self._cgroup_namespace = process.namespace_descriptor(pid, "cgroup")
        held = [self._channel.fileno(), pidfd, *(self._entrance.descriptors if self._entrance is not None else ())]
        process.close_all_but(*held, *([self._cgroup_namespace] * (self._cgroup_namespace >= 0)))
        process.set_title("kist-zygote")
        if self._limits is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        init.reset_signals()
        os.umask(0o022)
        namespaces.enter(pid, pidfd, child.flags_of(others - {"cgroup"}))
        os.close(pidfd)
        # After the change of user namespace, which takes it away. Had the monitor died before, the line has ended.
        process.set_parent_death_signal(signal.SIGKILL)

    def _receive(self) -> tuple[bytes, list[int]] | None:
        data, descriptors = messages.receive_bytes(self._channel)
        if not data:
            return None
        if data == b"\n":
            file = descriptors.pop()
            data = os.pread(file, os.fstat(file).st_size, 0)
            os.close(file)
        return data, descriptors

    def _answer(self, text: bytes, needs: list[int]) -> None:
        context = operations.Context(socket.socket(fileno=needs[0]))
        try:
            if self._failure is not None:
                raise self._failure
            plan = jsontext.loads(text)
            if not self._can_give(plan):
                messages.send(self._channel, {"unable": True})
                return
            self._make(plan, context, needs)
        except OSError as error:
            told = {"operation": getattr(error, "operation", "prepare"), "arguments": init.tellable(error)}
            messages.send(self._channel, {"error": [error.errno, error.strerror, error.filename], **told})
        finally:
            context.report.close()
            for descriptor in needs[1:]:
                os.close(descriptor)

    def _can_give(self, plan: dict[str, Any]) -> bool:
        """Have no more capabilities to give than a child is to have; False where there are too few by now."""
        wanted = operations.bounding_mask(_arguments_of("privileges", plan).get("capabilities", ()))
        if wanted & ~self._bounding:
            return False
        if self._bounding < 0:
            process.drop_bounding(wanted)
            self._bounding = wanted
        return True

    def _make(self, plan: dict[str, Any], context: operations.Context, needs: list[int]) -> None:
        calls = [*self._entering(context, needs), *_operating(plan, context, self._bounding)]
        command = init.Command(plan["command"], context)
        command.leave_out_missing()
        told = {"directory": _arguments_of("directory", plan)}
        # A sibling: the monitor's child, so that the monitor can wait for it.
        born = self._entrance.born if self._entrance is not None else None
        pid, descriptor = namespaces.clone(namespaces.CLONE_PARENT, cgroup=born)
        if pid == 0:
            init.go_on(calls, command, context, told)
        messages.send(self._channel, {"pid": pid}, [descriptor])
        os.close(descriptor)

    def _entering(self, context: operations.Context, needs: list[int]) -> Iterator[Step]:
        """How a child gets where it belongs, and rid of all that is not its own."""
        # Until it executes: what nobody watches is not to become a process of the container.
        yield "prepare", (process.set_parent_death_signal, (signal.SIGKILL,))
        for call in self._entrance.entering() if self._entrance is not None else ():
            yield "prepare", call
        if self._cgroup_namespace >= 0:
            # In a cgroup namespace nothing could have been born into a group any more.
            yield "prepare", (namespaces.setns, (self._cgroup_namespace, namespaces.CLONE_NEWCGROUP))
        for number, descriptor in enumerate(needs[1:]):
            yield "prepare", (os.dup2, (descriptor, number))
        for call in process.closing_all_but(needs[0]):
            yield "prepare", call
        yield "prepare", (os.setsid, ())
        yield "prepare", (init.end_if_abandoned, (init.hang_up(context.report),))


def _operating(plan: dict[str, Any], context: operations.Context, bounding: int) -> Iterator[Step]:
    """The plan's operations, as what is left of them for a child.

    What is only looked up is done here and now: a page that a child writes to is a page that it copies. So is every
    page of a function of ours that it calls: where an operation is a few calls of the system, it is given these.
    """
    nested = any(name == "user_namespace" for name, _ in plan["operations"])
    for name, arguments in plan["operations"]:
        if name == "user":
            try:
                operations.perform(context, [(name, arguments)])
            except Exception as error:  # noqa: BLE001 - the child tells it when it comes to it, in its place
                yield name, (_fail, (error,))
                return
        elif name == "directory" and not arguments.get("make", True):
            for call in operations.entering(arguments["path"]):
                yield name, call
        elif name == "privileges" and not nested:
            wanted = operations.bounding_mask(arguments["capabilities"])
            if bounding != wanted:
                yield name, (process.drop_bounding, (wanted,))
            options = {"seccomp_filter": "", "locked": False, "bound": False, **arguments}
            for call in operations.dropping(context.identity, **options):
                yield name, call
        else:
            yield name, (operations.perform, (context, [(name, arguments)]))


def _arguments_of(operation: str, plan: dict[str, Any]) -> dict[str, Any]:
    return next((arguments for name, arguments in plan["operations"] if name == operation), {})


def _fail(error: Exception) -> NoReturn:
    raise error
