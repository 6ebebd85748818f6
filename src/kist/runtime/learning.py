"""Which memory a start writes to, found out by starting something.

The keeper has a container started, with a root in memory and no command, by the very code that will start others. Its
monitor and its first process note which pages they have come to have for themselves by the moment at which the command
would run. Every spare has these copied while it waits (``kist.kernel.pages``); without that a start is held up by some
five hundred faults, one after the other.

What a plan has beyond this one's costs its faults, as before.
"""

from __future__ import annotations

import mmap
import os
import struct

from kist.kernel import faults, namespaces, pages
from kist.runtime import messages, operations, spawner
from kist.runtime.guard import Guard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from kist.runtime.machine import Machine

_NOTE = "note_pages"
_OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("detach_mounts", {}),
    ("open_tree", {"slot": "null", "source": "/dev/null"}),
    ("mount_root", {"type": "tmpfs", "source": "tmpfs", "options": ["size=1m"]}),
    ("pivot", {}),
    ("detach_old_root", {}),
    ("mount", {"type": "proc", "target": "/proc", "flags": 14, "data": ""}),
    ("mount", {"type": "tmpfs", "target": "/dev", "flags": 16777226, "data": "mode=755,size=64k"}),
    ("attach", {"slot": "null", "target": "/dev/null"}),
    ("fill_dev", {"links": {"fd": "/proc/self/fd"}, "directories": ["pts"]}),
    ("hostname", {"name": "rehearsal"}),
    ("sysctl", {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}),
    ("mask", {"paths": ["/proc/acpi", "/proc/keys"]}),
    ("read_only", {"paths": ["/proc/bus", "/proc/sys"]}),
    ("loopback", {}),
    ("user", {"name": "0"}),
    ("directory", {"path": "/"}),
    ("privileges", {"capabilities": ["CAP_CHOWN"]}),
    (_NOTE, {}),
]
_PLAN: dict[str, Any] = {
    "id": "0" * 64,
    "namespaces": ["pid", "mount", "ipc", "uts", "network"],
    "limits": {"devices": [{"allow": True, "type": "a", "major": -1, "minor": -1, "access": "rwm"}]},
    "wait_for_network": False,
    "ends_with_engine": False,
    "terminal": False,
    "stdin": False,
    "stdin_once": False,
    "log": {"name": "log", "max_bytes": 1 << 20, "max_files": 1, "compress": False, "forward": None},
}
# Of the answer: how many bytes are the monitor's, and how many, after them, the first process's.
_LENGTHS = struct.Struct("=QQ")
_ROOM = 1 << 16


def _hold() -> tuple[int, int]:
    """A process that has all pages of this one as they are now, until the descriptor is closed.

    What this one writes to after a fork would otherwise be its child's alone, as if that had written.
    """
    held, release = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = namespaces.clone(0)
    if pid == 0:
        os.close(release)
        os.read(held, 1)
        os._exit(0)
    os.close(held)
    os.close(pidfd)
    return pid, release


class Lesson:
    """What is to be found out, and how; made before the memory of this process has got its last order.

    Args:
        directory: made now, and removed when the lesson has been taken.
        group: the cgroup of the container; empty for none.
    """

    def __init__(self, directory: str, group: str) -> None:
        self._directory = directory
        self._root = f"{directory}/root"
        os.makedirs(self._root, 0o700, exist_ok=True)
        self._write_plan(group)
        self._monitor, self._first = pages.Survey(), pages.Survey()
        self._answer = mmap.mmap(-1, _ROOM)

    def _write_plan(self, group: str) -> None:
        joins: list[tuple[str, dict[str, Any]]] = [("join_cgroup", {})] if group else []
        steps = [(name, {**with_, "at": self._root} if name == "mount_root" else with_) for name, with_ in _OPERATIONS]
        init = f"{self._directory}/init.json"
        messages.write_json(init, {"operations": joins + steps, "command": {"args": [], "env": []}})
        messages.write_json(f"{self._directory}/plan.json", {**_PLAN, "cgroup": group, "init_path": init})

    def take(self, machine: Machine) -> None:
        """Have the machine know the pages, or nothing where something here cannot be done.

        All of it happens in a process of its own, for this one's memory is to stay as it is.
        """
        pid, pidfd = namespaces.clone(0)
        if pid == 0:
            self._be_spawner(machine)
        os.waitpid(pid, 0)
        os.close(pidfd)
        monitor, first = _LENGTHS.unpack_from(self._answer)
        machine.monitor_pages = self._answer[_LENGTHS.size : _LENGTHS.size + monitor]
        machine.first_pages = self._answer[_LENGTHS.size + monitor : _LENGTHS.size + monitor + first]
        os.rmdir(self._root)
        for name in os.listdir(self._directory):
            os.unlink(f"{self._directory}/{name}")
        os.rmdir(self._directory)

    def _be_spawner(self, machine: Machine) -> NoReturn:
        try:
            faults.disarm()
            self._start(machine)
            self._tell(self._monitor.found(), self._first.found())
        except OSError as error:
            messages.complain(error)
        finally:
            os._exit(0)

    def _start(self, machine: Machine) -> None:
        requests, taken = messages.pair()
        # What it tells its spawner and its keeper is read by nobody.
        speaks, hears = messages.pair()
        told, take = os.pipe2(os.O_CLOEXEC)
        holder, release = _hold()
        pid, pidfd = namespaces.clone(0)
        if pid == 0:
            self._monitor.begin()
            os.close(release)
            Guard.holds = self._note_monitor  # type: ignore[method-assign,assignment]
            operations.OPERATIONS[_NOTE] = self._note_first
            spawner.be_spare(taken, take, speaks, machine)
        self._request(requests)
        os.waitpid(pid, 0)
        os.close(release)
        os.waitpid(holder, 0)
        for each in (requests, taken, speaks, hears):
            each.close()
        for descriptor in (told, take, pidfd):
            os.close(descriptor)

    def _request(self, requests: Any) -> None:
        engine, control = messages.pair()
        request = {
            "plan": f"{self._directory}/plan.json",
            "directory": self._directory,
            "run_directory": self._directory,
            "attached": [],
        }
        messages.send(requests, request, [control.fileno()])
        control.close()
        while messages.receive(engine)[0] is not None:
            continue  # created, started, exited, or failed: whatever there was to learn has been learnt

    def _tell(self, monitor: bytes, first: bytes) -> None:
        told = _LENGTHS.pack(len(monitor), len(first)) + monitor + first
        if monitor and first and len(told) <= len(self._answer):
            self._answer[: len(told)] = told

    def _note_monitor(self, *_: object) -> None:
        """In place of what a monitor tells its keeper when its part of the start is done.

        What it writes to after that holds nobody up, and memory that it may never write to is not worth having.
        """
        self._monitor.end()

    def _note_first(self, _: operations.Context) -> NoReturn:
        """An operation at which the first process has done what all do; its monitor takes the end for a command's."""
        self._first.end()
        os._exit(0)
