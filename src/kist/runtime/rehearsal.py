"""A monitor's life, lived by the keeper before there is a container.

CPython writes into its own code: it counts calls, specializes instructions and fills the cache of attribute look-ups.
Every such write in a fork copies a page. Done here, before the fork, they are done for all, and it shows which code a
monitor runs, which is gathered then (``kist.runtime.gathering``). Measured together: a sixth of a monitor's memory.
"""

from __future__ import annotations

import os
import sys

from kist.kernel import cgroup, checkpoint, faults, namespaces, process
from kist.kernel.lean import socket
from kist.runtime import gathering, messages
from kist.runtime.guard import Guard
from kist.runtime.monitor import Monitor
from kist.runtime.names import served
from kist.runtime.prepared import Prepared
from kist.runtime.streams import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType
    from typing import Any, NoReturn

    from kist.runtime.child import Clone
    from kist.runtime.machine import Machine
    from kist.runtime.operations import Context

# CPython specializes a function after its eighth call.
_TIMES = 9
_PLAN: dict[str, Any] = {
    "id": "0" * 64,
    "namespaces": ["pid", "mount", "ipc", "uts", "network"],
    "init_path": "",
    "limits": {
        "devices": [
            {"allow": False, "type": "a", "major": -1, "minor": -1, "access": "rwm"},
            {"allow": True, "type": "c", "major": -1, "minor": -1, "access": "m"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        ]
    },
    "wait_for_network": False,
    "ends_with_engine": False,
    "terminal": False,
    "stdin": True,
    "stdin_once": True,
    "log": {"name": "log", "max_bytes": 1 << 20, "max_files": 1, "compress": False, "forward": None},
}
_NAMES: dict[str, Any] = {
    "networks": [],
    "fixed": {"a": ["127.0.0.1"]},
    "servers": [],
    "resolver": None,
    "forwards": False,
}
# For the address of "a".
_QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"


def rehearse(machine: Machine, directory: str) -> None:
    """Live the lives of some monitors, whose first process ends at once; nothing remains.

    Args:
        machine: as for a monitor.
        directory: made, used and removed.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    faults.disarm()
    plan = {**_PLAN, "cgroup": own_group(machine, directory)}
    messages.write_json(f"{directory}/plan.json", plan)
    messages.write_json(f"{directory}/{served.FILE}", _NAMES)
    called: dict[int, CodeType] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.setdefault(id(frame.f_code), frame.f_code)

    sys.setprofile(note)
    _rehearse_once(machine, directory)
    sys.setprofile(None)
    gathering.gather(list(called.values()))
    for _ in range(_TIMES):
        _rehearse_once(machine, directory)
    faults.arm()
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    os.rmdir(directory)


def own_group(machine: Machine, directory: str) -> str:
    """The cgroup for a rehearsal in this directory; empty where this process may make none."""
    path = f"kist/{os.path.basename(directory)}"
    made = cgroup.Cgroup(machine.hierarchies, path)
    try:
        made.create({})
        made.remove()
    except OSError:
        return ""
    return path


def _rehearse_once(machine: Machine, directory: str) -> None:
    engine, control = messages.pair()
    messages.send(engine, {"plan": "", "attached": [], "event": "created", "pid": 1, "warnings": []})
    request, _ = messages.receive(control)
    assert request is not None
    request |= {"directory": directory, "run_directory": directory}
    for live in (_live, _pass_output, _answer):
        keeper, line = messages.pair()
        guard = Guard(line, directory)
        guard.took(request, 1)
        monitor = Monitor(messages.read_json(f"{directory}/plan.json"), request, control, machine, guard)
        live(monitor, guard)
        keeper.close()
        line.close()
    engine.close()
    control.close()
    checkpoint.rehearse()
    process.set_title("kist-keeper")  # again: a monitor that has ended has another


def _live(monitor: Monitor, _: Guard) -> None:
    """From the start to the end of a first process."""
    ours, theirs = messages.pair()
    prepared: Prepared | None = None
    if monitor.cgroup is not None and monitor.cgroup.is_born_into:
        monitor.clone_first = _clone_of_none
    else:
        prepared = Prepared(0, _end_when_begun)
        prepared.become_first(monitor)
    monitor.run([Client(ours, stdin=False, stdout=True, stderr=True)])
    if prepared is not None:
        prepared.end()
    theirs.close()


def _clone_of_none(_plan: dict[str, Any], into: int | None, _held: Mapping[str, int]) -> Clone:
    """In place of ``child.clone_first``: a process that ends as if its command had."""

    def clone(_become: Callable[[], NoReturn], _context: Context) -> tuple[int, int]:
        pid, pidfd = namespaces.clone(0, cgroup=into)
        if pid == 0:
            os._exit(0)
        return pid, pidfd

    return clone


def _end_when_begun(channel: socket.socket) -> NoReturn:
    """A first process that ends as if its command had, or with this process."""
    process.close_all_but(channel.fileno())
    if messages.receive(channel)[0] is not None:
        messages.send(channel, {})
        messages.receive(channel)
    os._exit(0)


def _pass_output(monitor: Monitor, guard: Guard) -> None:
    """From a pipe to the log and to a client."""
    ours, theirs = messages.pair()
    monitor.streams.attach(Client(ours, stdin=True, stdout=True, stderr=True))
    stdin_read, stdin = os.pipe()
    stdout, stdout_write = os.pipe()
    stderr, stderr_write = os.pipe()
    monitor.streams.use_pipes(stdin, stdout, stderr)
    os.write(stdout_write, b"a line\n")
    monitor.loop.turn(0)
    guard.holds("", 1, {"stdout": stdout_write})
    for descriptor in (stdin_read, stdout_write, stderr_write):
        os.close(descriptor)
    monitor.streams.end()
    monitor.loop.close()
    theirs.close()


def _answer(monitor: Monitor, _: Guard) -> None:
    """A question for the name server, whose modules are loaded here once for all."""
    udp, tcp = (socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM))
    udp.bind("")  # a name of the kernel's choice
    tcp.bind("")
    tcp.listen()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.bind("")
    client.connect(udp.getsockname())
    monitor.serve_names(udp.detach(), tcp.detach())
    for _number in range(2):  # the first is for the import, and the second may be answered as before
        client.send(_QUESTION)
        monitor.loop.turn(0)
        monitor.loop.turn(0)
        client.recv(512)
    client.close()
    assert monitor.names is not None
    monitor.names.close()
    monitor.loop.close()
