"""A cgroup in the hierarchies of version 1 (the kernel's Documentation/admin-guide/cgroup-v1)."""

from __future__ import annotations

import errno
import os

from kist.kernel import cgroup_files as files
from kist.kernel import cgroup_limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# What a container is put into. A cpuset is made only where one is asked for: a new one has no CPUs, and costs a start.
WANTED = ("devices", "memory", "cpu", "cpuacct", "pids", "freezer", "blkio")
CPUSET = "cpuset"

_OOM_CONTROL = "/memory.oom_control"
# At making a cgroup whose parent is taken away meanwhile.
_ATTEMPTS = 10


class Version1:
    """One cgroup path in all version 1 hierarchies that containers use.

    Args:
        mounts: the directory below which cgroups are made, and the controllers there, for each hierarchy.
        path: below each of these directories.
    """

    __slots__ = ("_cpuset_at", "_cpuset_root", "_directories")

    def __init__(self, mounts: tuple[tuple[str, tuple[str, ...]], ...], path: str) -> None:
        # From controller to directory; controllers that are mounted together (cpu,cpuacct) share one.
        self._directories = {
            name: f"{point}/{path}" for name in WANTED for point, controllers in mounts if name in controllers
        }
        self._cpuset_root = next((point for point, controllers in mounts if CPUSET in controllers), "")
        self._cpuset_at = f"{self._cpuset_root}/{path}" if self._cpuset_root else ""

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers that are here."""
        return frozenset((*self._directories, CPUSET) if self._cpuset_at else self._directories)

    @property
    def known(self) -> frozenset[str]:
        """The same: whatever is here can be had."""
        return self.controllers

    @property
    def by_controller(self) -> dict[str, str]:
        """The directory for each controller that the cgroup has; those that are mounted together share one."""
        return dict(self._directories)

    @property
    def directories(self) -> tuple[str, ...]:
        """One directory for each hierarchy, in the order in which they are made and joined."""
        return tuple(dict.fromkeys(self._directories.values()))

    def create(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        """Make the cgroup in each hierarchy and write the limits (see ``kist.kernel.cgroup.Cgroup.create``)."""
        made: list[str] = []
        try:
            for directory in self.directories:
                _make(directory)
                made.append(directory)
            if self._adds_cpuset(limits):
                made.append(self._cpuset_at)
                self._make_cpuset()
            return self._limit(limits)
        except OSError:
            for directory in made:
                files.remove(directory)
            raise

    def join(self) -> None:
        """Move the calling process, which must be single-threaded, in."""
        for path in self.tasks():
            files.write(path, "0")

    def tasks(self) -> list[str]:
        """The files by which a thread moves itself in.

        That takes no lock of the whole machine. Through "cgroup.procs" the kernel first stops all forks and exits,
        which takes an RCU grace period: 8 ms on an idle machine against 0.04.
        """
        self._find_cpuset()
        return [directory + "/tasks" for directory in self.directories]

    def kill(self) -> None:
        """Kill every process; where there is a pids controller none can be born meanwhile."""
        if pids := self._directories.get("pids"):
            try:
                files.write(pids + "/pids.max", "0")
            except OSError as error:
                if not files.gone(error):
                    raise
        for directory in self.directories[:1]:
            files.kill(directory)

    def pids(self) -> list[int]:
        """The processes, in this process's pid namespace."""
        return files.pids(self.directories[0])

    def stats(self) -> dict[str, int]:
        """What the controllers counted (see ``kist.kernel.cgroup.Cgroup.stats``)."""
        sources = (
            ("cpu_ns", "cpuacct", "/cpuacct.usage"),
            ("memory", "memory", "/memory.usage_in_bytes"),
            ("memory_peak", "memory", "/memory.max_usage_in_bytes"),
            ("pids", "pids", "/pids.current"),
        )
        found = {
            key: value
            for key, controller, file in sources
            if controller in self._directories
            and (value := files.read_number(self._directories[controller] + file)) is not None
        }
        memory = self._directories.get("memory")
        if memory and (kills := files.read_field(memory + _OOM_CONTROL, "oom_kill")) is not None:
            found["oom_kills"] = kills
        if blocks := self._directories.get("blkio"):
            for key, operation in (("block_read", "Read"), ("block_write", "Write")):
                found[key] = files.sum_of(blocks + "/blkio.throttle.io_service_bytes_recursive", f" {operation} ")
        return found

    def watch_oom(self) -> int:
        """An eventfd that becomes readable when the memory limit is hit without a way out, and when the cgroup goes."""
        memory = self._directories["memory"]
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(memory + _OOM_CONTROL, os.O_RDONLY | os.O_CLOEXEC)
            try:
                files.write(memory + "/cgroup.event_control", f"{event} {control}")
            finally:
                os.close(control)
        except OSError:
            os.close(event)
            raise
        return event

    def remove(self, timeout: float) -> None:
        """Remove the cgroup from every hierarchy."""
        # Whoever removes it may not be who made it, so the cpuset is looked for anyway.
        for directory in dict.fromkeys((*self.directories, *([self._cpuset_at] if self._cpuset_at else []))):
            files.remove(directory, timeout)
        self._directories.pop(CPUSET, None)

    def update(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        """Write limits of a cgroup that is in use; see ``kist.kernel.cgroup.Cgroup.update``."""
        self._find_cpuset()
        if self._adds_cpuset(limits):
            # It was not asked for at the start, so the processes are in the cpuset of whoever started them.
            self._make_cpuset()
            directory = self._directories[CPUSET]
            cgroup_limits.write_v1({CPUSET: directory}, limits)
            for pid in self.pids():
                _move(directory, pid)
        return tuple(cgroup_limits.write_v1(self._directories, limits))

    def freeze(self, *, frozen: bool) -> None:
        """Stop every process where it is, or let them go on; see ``kist.kernel.cgroup.Cgroup.freeze``."""
        state = "FROZEN" if frozen else "THAWED"
        path = self._directories["freezer"] + "/freezer.state"

        def arrived() -> bool:
            files.write(path, state)  # again, for the sake of processes that were born meanwhile
            return files.read(path).strip() == state

        if not files.await_state(arrived):
            files.write(path, "THAWED")
            raise OSError(errno.EBUSY, "not all processes could be frozen", path)

    def _limit(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        warnings = cgroup_limits.write_v1(self._directories, limits)
        if "devices" in self._directories and (rules := limits.get("devices")):
            _limit_devices(self._directories["devices"], rules)
        return tuple(warnings)

    def _adds_cpuset(self, limits: Mapping[str, Any]) -> bool:
        wanted = bool(limits.get("cpus") or limits.get("mems"))
        return wanted and bool(self._cpuset_at) and CPUSET not in self._directories

    def _find_cpuset(self) -> None:
        """Whoever made the cgroup, maybe with a cpuset, may have been another process."""
        if self._cpuset_at and CPUSET not in self._directories and os.path.isdir(self._cpuset_at):
            self._directories[CPUSET] = self._cpuset_at

    def _make_cpuset(self) -> None:
        directory = self._cpuset_at
        _make(directory)
        parents = [directory]
        while len(parents[-1]) > len(self._cpuset_root) + 1:
            parents.append(os.path.dirname(parents[-1]))
        for each in reversed(parents[:-1]):
            cgroup_limits.prepare_cpuset(each)
        self._directories[CPUSET] = directory


def _move(directory: str, pid: int) -> None:
    try:
        files.write(directory + "/cgroup.procs", str(pid))
    except ProcessLookupError:
        return  # it has ended meanwhile


def _make(directory: str) -> None:
    for _ in range(_ATTEMPTS):
        try:
            files.make(directory)
        except FileNotFoundError:
            # The first container since boot: the folder that holds all of them is not there yet. Or it was empty, and
            # somebody tidies up.
            os.makedirs(os.path.dirname(directory), 0o755, exist_ok=True)
        else:
            return
    files.make(directory)


def _limit_devices(directory: str, rules: Sequence[Mapping[str, Any]]) -> None:
    """Refuse all devices, then apply the rules one after the other."""
    files.write(directory + "/devices.deny", "a")
    pending: list[str] = []
    for index, rule in enumerate(rules):
        pending.append(device_rule(rule))
        if index + 1 == len(rules) or rules[index + 1]["allow"] is not rule["allow"]:
            files.write(directory + ("/devices.allow" if rule["allow"] else "/devices.deny"), *pending)
            pending = []


def device_rule(rule: Mapping[str, Any]) -> str:
    """A rule as the devices controller writes it: ``c 1:3 rwm``, with ``*`` for any number."""
    if rule["type"] == "a":
        return "a"
    major, minor = ("*" if rule[key] < 0 else str(rule[key]) for key in ("major", "minor"))
    return f"{rule['type']} {major}:{minor} {rule['access']}"
