"""A monitor's first steps, walked in the spawner before there is a container.

CPython writes into its own code: it counts calls, specializes instructions and fills the cache of attribute look-ups.
Every such write in a fork copies a page. Done here, before the fork, they are done for all: measured, a tenth of a
monitor's memory and of its start.
"""

from __future__ import annotations

import os

from kist.runtime import messages
from kist.runtime.guard import Guard
from kist.runtime.monitor import Monitor
from kist.runtime.streams import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.runtime.machine import Machine

# CPython specializes a function at its eighth call, and an instruction somewhat later.
_TIMES = 20
_PLAN: dict[str, Any] = {
    "id": "0" * 64,
    "namespaces": ["pid"],
    "cgroup": "kist/rehearsal",
    "limits": {},
    "wait_for_network": False,
    "ends_with_engine": False,
    "terminal": False,
    "stdin": True,
    "stdin_once": True,
    "log": {"name": "log", "max_bytes": 1 << 20, "max_files": 1, "compress": False, "forward": None},
}


def rehearse(machine: Machine, directory: str) -> None:
    """Make monitors, let output pass through them, and let go of them; nothing is started and nothing remains.

    Args:
        machine: as for a monitor.
        directory: made, used and removed.
    """
    os.makedirs(directory, 0o700, exist_ok=True)
    for _ in range(_TIMES):
        _rehearse_once(machine, directory)
    for name in os.listdir(directory):
        os.unlink(os.path.join(directory, name))
    os.rmdir(directory)


def _rehearse_once(machine: Machine, directory: str) -> None:
    engine, control = messages.pair()
    messages.send(engine, {"plan": "", "attached": [], "event": "created", "pid": 1, "warnings": []})
    messages.receive(control)
    keeper, line = messages.pair()
    request = {"directory": directory, "run_directory": directory}
    guard = Guard(line, directory)
    guard.took(request, 1)
    monitor = Monitor(_PLAN, request, control, machine, guard)
    monitor.rehearse()
    ours, theirs = messages.pair()
    monitor.streams.attach(Client(ours, stdin=True, stdout=True, stderr=True))
    stdin_read, stdin = os.pipe()
    stdout, stdout_write = os.pipe()
    stderr, stderr_write = os.pipe()
    monitor.streams.use_pipes(stdin, stdout, stderr)
    os.write(stdout_write, b"a line\n")
    monitor.loop.turn(0)
    guard.holds("", 1, {"stdout": stdout_write})
    guard.over()
    for descriptor in (stdin_read, stdout_write, stderr_write):
        os.close(descriptor)
    monitor.streams.end()
    monitor.loop.close()
    for _ in range(3):
        _, descriptors = messages.receive(keeper)
        for descriptor in descriptors:
            os.close(descriptor)
    for channel in (engine, control, theirs, keeper, line):
        channel.close()
