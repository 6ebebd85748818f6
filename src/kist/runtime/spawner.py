"""The process that monitors are forked from: small, single-threaded, everything imported once, and never changing.

Its keeper forks it, and it keeps one monitor ready that waits for the next request itself, so that a start costs no
interpreter, no import and not even a fork. Monitors are made as the keeper's children (``CLONE_PARENT``). What the
keeper has to remember of them is not in this process: every page that it wrote to would be one more that its monitors
do not share.
"""

from __future__ import annotations

import os
import select
import sys

from kist.kernel import faults, namespaces, pages, process
from kist.kernel.lean import socket
from kist.runtime import messages
from kist.runtime.guard import Guard
from kist.runtime.monitor import Monitor
from kist.runtime.prepared import Prepared, prepare
from kist.runtime.streams import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from kist.runtime.machine import Machine

# Milliseconds that a start has the machine for itself, when no other one waits, before the next spare is made: while it
# is made there is one processor less for what has been started, and it is soon over. Where starts follow one another so
# fast that one has waited for its spare, the next ones have theirs earlier.
_HEADSTART = 20
_HURRIED = 8
_HURRIED_STARTS = 32
# What a spare says of the request that it has taken.
_NEW_NETWORK, _KEPT_NETWORK = b"n", b"k"


def serve(requests: int, speaks: socket.socket, life: int, machine: Machine) -> NoReturn:
    """Have a spare ready until the keeper ends.

    The spare says so when it has taken a request, and another one takes its place.

    Args:
        requests: where spares take requests.
        speaks: where monitors speak to the keeper.
        life: closed at its other end when the keeper ends.
        machine: for the monitors.
    """
    process.set_title("kist-spawner")
    taken, take = os.pipe2(os.O_CLOEXEC)
    poll = select.poll()
    poll.register(life, 0)
    poll.register(taken, select.POLLIN)
    others = select.poll()
    others.register(life, 0)
    others.register(requests, select.POLLIN)
    hurried = 0
    networked = True
    while True:
        spare, death = namespaces.clone(namespaces.CLONE_PARENT)
        if spare == 0:
            os.close(taken)
            os.close(life)
            be_spare(socket.socket(fileno=requests), take, speaks, machine, networked=networked)
        # Somebody may kill it while it waits.
        poll.register(death, select.POLLIN)
        events = dict(poll.poll())
        poll.unregister(death)
        os.close(death)
        if taken in events:
            networked = os.read(taken, 1) == _NEW_NETWORK
            waits = others.poll(_HURRIED if hurried else _HEADSTART)
            hurried = _HURRIED_STARTS if waits else max(0, hurried - 1)
        elif life in events:
            # The spare ends when the last engine that could send it a request has gone.
            os._exit(0)


def be_spare(
    requests: socket.socket, take: int, speaks: socket.socket, machine: Machine, *, networked: bool = True
) -> NoReturn:
    """Wait for a request, and become the monitor that it asks for.

    Args:
        requests: where it comes.
        take: a pipe to say that it has come, and whether a network came with it.
        speaks: where monitors speak to the keeper.
        machine: for the monitor.
        networked: whether the next request, too, will hardly bring a network.
    """
    os.setsid()
    os.chdir("/")
    prepared = prepare(machine, networked=networked)
    # After the clone: what both have would be copied twice.
    pages.have(machine.monitor_pages)
    request, descriptors = messages.receive(requests)
    if request is None:
        if prepared is not None:
            prepared.end()
        os._exit(0)
    faults.point("spare: took a request")
    requests.close()
    guard = Guard(speaks, request["run_directory"])
    guard.took(request, os.getpid())
    try:
        os.write(take, _KEPT_NETWORK if request.get("network") else _NEW_NETWORK)
    except BrokenPipeError as error:
        # The spawner was killed. This start is still ours; the engine finds out at the next.
        messages.complain(error)
    os.close(take)
    faults.point("spare: told that it took a request")
    _become_monitor(request, descriptors, guard, machine, prepared)


def _become_monitor(
    request: dict[str, Any], descriptors: list[int], guard: Guard, machine: Machine, prepared: Prepared | None
) -> NoReturn:
    try:
        count = 1 + len(request["attached"])
        control, *streams = (socket.socket(fileno=each) for each in descriptors[:count])
        attached = [Client(stream, **wants) for stream, wants in zip(streams, request["attached"], strict=True)]
        plan = messages.read_json(request["plan"])
        process.set_title(f"kist-monitor {plan['id'][:12]}")
        monitor = Monitor(plan, request, control, machine, guard)
        if request.get("network"):
            monitor.life.have_network(descriptors.pop())
        monitor.volumes = dict(zip(request.get("volumes", ()), descriptors[count:], strict=True))
        if prepared is not None:
            prepared.become_first(monitor)
        monitor.run(attached)
        if prepared is not None:
            prepared.end()  # the start may have failed before
    except BaseException:  # noqa: BLE001 - the last frame of this process: what went wrong goes to the engine's log
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
