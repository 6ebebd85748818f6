"""A first process that is made before there is a container for it.

The spare monitor makes it, in new namespaces of the kinds that nearly every container has for itself, and it waits
there for its plan. So a start does not pay for the clone, and above all not for the network namespace: the kernel makes
those one at a time, and while it clears away the one of a container that has ended, nobody else gets one. Where the
last request brought one to be used again, as a build's commands do, so may the next one: then it is made without.

What it is told, each a packet: first where its plan is, so that it gets on with that while the monitor makes the
cgroup; then, when it has answered, the descriptors that a child is given otherwise by the clone. The end of the line
means that it is not wanted.
"""

from __future__ import annotations

import errno
import os

from kist.kernel import cgroup, faults, namespaces, pages, process
from kist.kernel.lean import signal, socket
from kist.runtime import child, init, messages, operations
from kist.runtime import loop as events
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from kist.runtime.machine import Machine
    from kist.runtime.monitor import Monitor

# They begin empty whenever they are made. One of mounts begins as a copy, so it is made when there is a plan.
_MADE_AHEAD = ("pid", "ipc", "uts")
_WANTED = frozenset((*_MADE_AHEAD, "network", "mount"))
# What a plan has that wants its first process made in another way.
_OTHERWISE = ("joined", "ids", "runtime")


class Prepared:
    """One such process, as its monitor has it.

    Args:
        flags: of the namespaces that it gets.
        wait: what it does: with its end of the line, to the end of its life.
        networked: whether a network namespace is among these.
    """

    def __init__(self, flags: int, wait: Callable[[socket.socket], NoReturn], *, networked: bool = True) -> None:
        self._networked = networked
        self._channel, theirs = messages.pair()
        pid, pidfd = namespaces.clone(flags)
        if pid == 0:
            wait(theirs)
        theirs.close()
        self._process = pid, pidfd
        self._network = -1
        faults.point("spare: made a first process")

    def become_first(self, monitor: Monitor) -> None:
        """Be the first process of this monitor's container; where the plan wants another one, end."""
        if self._begin(monitor.plan, new_network=not self._networked and not monitor.life.held):
            monitor.clone_first = self._clone_first
        else:
            self._dismiss(monitor.loop)

    def end(self) -> None:
        """Have it end, and wait for that; nothing where it has become a container's."""
        self._channel.close()
        if self._process[0]:
            os.waitpid(self._process[0], 0)
            self._process = (0, -1)

    def _begin(self, plan: dict[str, Any], *, new_network: bool) -> bool:
        if not _WANTED.issuperset(plan["namespaces"]) or len(plan["namespaces"]) != len(_WANTED):
            return False
        if any(word in plan for word in _OTHERWISE):
            return False
        told = {"init": plan["init_path"], "cgroup": plan["cgroup"], "hierarchies": plan.get("hierarchies")}
        told["network"] = new_network
        try:
            messages.send(self._channel, told)
        except OSError:
            return False  # somebody has killed it
        faults.point("monitor: told the first process of its plan")
        return True

    def _clone_first(self, plan: dict[str, Any], into: int | None, held: Mapping[str, int]) -> child.Clone:
        """As ``child.clone_first``, which makes those of further runs."""
        if self._process[0] == 0 or into is not None:
            return child.clone_first(plan, into, held)
        # No other is ever held: the process goes there from where it is, where nobody has been before.
        self._network = held.get("network", -1)
        return self._send

    def _send(self, _become: object, context: operations.Context) -> tuple[int, int]:
        # It has a mount namespace of its own from here on, by which others may know what belongs to the container.
        answer, _ = messages.receive(self._channel)
        if answer is None:
            raise OSError(errno.ESRCH, "the container's first process has been killed")
        if "failed" in answer:
            raise OSError(*answer["failed"])
        told: dict[str, Any] = {"volumes": list(context.volumes)} if context.volumes else {}
        descriptors = [*context.needs, *context.volumes.values()]
        if self._network >= 0:
            told["network"] = True
            descriptors.append(self._network)
        messages.send(self._channel, told, descriptors)
        self._channel.close()
        faults.point("monitor: gave the first process its streams")
        taken, self._process = self._process, (0, -1)
        return taken

    def _dismiss(self, loop: events.Loop) -> None:
        """Let it end."""
        pid, pidfd = self._process
        self._process = (0, -1)
        self._channel.close()

        def reap(_: int) -> None:
            loop.forget(pidfd)
            os.close(pidfd)
            os.waitpid(pid, 0)

        loop.watch(pidfd, events.READ, reap)


def prepare(machine: Machine, *, networked: bool = True) -> Prepared | None:
    """Make one, ``networked`` or not yet; None where a process is best born into its cgroup."""
    if cgroup.Cgroup(machine.hierarchies, "kist").is_born_into:
        return None
    kinds = (*_MADE_AHEAD, *(("network",) if networked else ()))
    return Prepared(child.flags_of(kinds), lambda channel: _wait(channel, machine, networked), networked=networked)


def _wait(channel: socket.socket, machine: Machine, networked: bool) -> NoReturn:
    try:
        # Of the monitor it is to have nothing: the socket of requests least of all.
        process.close_all_but(channel.fileno())
        process.set_parent_death_signal(signal.SIGKILL)
        # Had the monitor died before, the line has ended, or what it gave leads nowhere, which init looks at.
        if networked:
            namespaces.set_loopback_up()
        pages.have(machine.first_pages)
        message, _ = messages.receive(channel)
        if message is not None:
            _become(channel, message, machine)
    finally:
        os._exit(1)


def _become(channel: socket.socket, message: dict[str, Any], machine: Machine) -> None:
    """What the plan needs before its operations; what fails here is told when there is somebody to tell."""
    failure: Exception | None = None
    text, plan = "", None
    group = None
    try:
        text = process.read_file(message["init"]).decode()
        plan = jsontext.loads(text)
        if message["cgroup"]:
            told = message["hierarchies"]
            group = cgroup.Cgroup(cgroup.Hierarchies(**told) if told else machine.hierarchies, message["cgroup"])
        namespaces.unshare(namespaces.CLONE_NEWNS | (namespaces.CLONE_NEWNET if message["network"] else 0))
    except Exception as error:  # noqa: BLE001 - whatever it is, init tells the monitor
        failure = error

    lacks = failure if message["network"] else None
    # Who has no network namespace of its own yet is in the host's, which nobody is to take for the container's.
    messages.send(channel, {} if lacks is None else {"failed": [getattr(lacks, "errno", None) or 0, str(lacks)]})
    go, descriptors = messages.receive(channel)
    if go is None:
        return
    network = descriptors.pop() if go.get("network") else -1

    def enter() -> None:
        if failure is not None:
            raise failure
        if network >= 0:
            namespaces.setns(network, namespaces.CLONE_NEWNET)

    volumes = go.get("volumes", ())
    report, *streams = descriptors[: len(descriptors) - len(volumes)]
    context = operations.Context(socket.socket(fileno=report), group)
    context.volumes = dict(zip(volumes, descriptors[len(descriptors) - len(volumes) :], strict=True))
    context.enter = enter
    init.run(text, context, (streams[0], streams[1], streams[2]) if streams else None, plan)
