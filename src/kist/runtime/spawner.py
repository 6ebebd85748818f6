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
    while True:
        spare, death = namespaces.clone(namespaces.CLONE_PARENT)
        if spare == 0:
            os.close(taken)
            os.close(life)
            be_spare(socket.socket(fileno=requests), take, speaks, machine)
        # Somebody may kill it while it waits.
        poll.register(death, select.POLLIN)
        events = dict(poll.poll())
        poll.unregister(death)
        os.close(death)
        if taken in events:
            os.read(taken, 1)
            waits = others.poll(_HURRIED if hurried else _HEADSTART)
            hurried = _HURRIED_STARTS if waits else max(0, hurried - 1)
        elif life in events:
            # The spare ends when the last engine that could send it a request has gone.
            os._exit(0)


def be_spare(requests: socket.socket, take: int, speaks: socket.socket, machine: Machine) -> NoReturn:
    """Wait for a request, and become the monitor that it asks for.

    Args:
        requests: where it comes.
        take: a pipe to say that it has come.
        speaks: where monitors speak to the keeper.
        machine: for the monitor.
    """
    os.setsid()
    os.chdir("/")
    prepared = prepare(machine)
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
        os.write(take, b"x")
    except BrokenPipeError as error:
        # The spawner was killed. This start is still ours; the engine finds out at the next.
        messages.complain(error)
    os.close(take)
    faults.point("spare: told that it took a request")
    try:
        _serve_line(request, descriptors, guard, speaks, machine, prepared)
    except BaseException:  # noqa: BLE001 - the last frame of this process: what went wrong goes to the engine's log
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _serve_line(
    request: dict[str, Any] | None,
    descriptors: list[int],
    guard: Guard,
    speaks: socket.socket,
    machine: Machine,
    prepared: Prepared | None,
) -> None:
    """Be the monitor of what is asked for; then of what comes on the same line, where it says that more may come.

    Where a start has failed no more comes, and the engine waits for the end of the line.
    """
    line = socket.socket(fileno=descriptors.pop(0))
    while request is not None:
        control = socket.socket(fileno=os.dup(line.fileno()))
        has_run = _monitor(request, control, descriptors, guard, machine, prepared)
        if not (has_run and request.get("more")):
            return
        # While its engine makes the next one of what this one has left.
        prepared = prepare(machine, networked="network" not in request)
        faults.point("build part: waits for the next command")
        request, descriptors = _next(line)
        if request is not None:
            guard = Guard(speaks, request["run_directory"])
            guard.took(request, os.getpid())
    if prepared is not None:
        prepared.end()


def _next(line: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """What is asked for next; None where nothing more will be."""
    try:
        engine = os.pidfd_open(messages.peer(line))
    except ProcessLookupError:
        return None, []
    poll = select.poll()
    for each in (line.fileno(), engine):
        poll.register(each, select.POLLIN)
    try:
        while line.fileno() in dict(poll.poll()):
            request, descriptors = messages.receive(line)
            if request is None or "plan" in request:
                return request, descriptors
            if "end" in request:
                break
    finally:
        os.close(engine)
    return None, []  # a fork of the engine's process may hold the line open


def _monitor(
    request: dict[str, Any],
    control: socket.socket,
    descriptors: list[int],
    guard: Guard,
    machine: Machine,
    prepared: Prepared | None,
) -> bool:
    """Monitor one container from its start to its end; whether it has run."""
    count = len(request["attached"])
    streams = [socket.socket(fileno=each) for each in descriptors[:count]]
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
    return monitor.notices.begun
