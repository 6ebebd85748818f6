"""A cgroup in the hierarchies of version 1 (the kernel's Documentation/admin-guide/cgroup-v1)."""

from __future__ import annotations

import errno
import os

from kist.kernel import cgroup_files as files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# What a container is put into. cpuset is not here: a new cpuset has no CPUs, so nothing could run in it.
WANTED = ("devices", "memory", "cpu", "cpuacct", "pids", "freezer")

_OOM_CONTROL = "/memory.oom_control"


class Version1:
    """One cgroup path in all version 1 hierarchies that containers use.

    Args:
        mounts: the directory below which cgroups are made, and the controllers there, for each hierarchy.
        path: below each of these directories.
    """

    __slots__ = ("_directories",)

    def __init__(self, mounts: tuple[tuple[str, tuple[str, ...]], ...], path: str) -> None:
        # From controller to directory; controllers that are mounted together (cpu,cpuacct) share one.
        self._directories = {
            name: f"{point}/{path}" for name in WANTED for point, controllers in mounts if name in controllers
        }

    @property
    def controllers(self) -> frozenset[str]:
        """The controllers that are here."""
        return frozenset(self._directories)

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
            return self._limit(limits)
        except OSError:
            for directory in made:
                files.remove(directory)
            raise

    def join(self) -> None:
        """Move the calling process, which must be single-threaded, in."""
        # One's own thread through "tasks" takes no lock of the whole machine. Through "cgroup.procs" the kernel first
        # stops all forks and exits, which takes an RCU grace period: 8 ms on an idle machine against 0.04.
        for directory in self.directories:
            files.write(directory + "/tasks", "0")

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
        for directory in self.directories:
            files.remove(directory, timeout)

    def _limit(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        warnings: list[str] = []
        if "memory" in self._directories:
            warnings += _limit_memory(self._directories["memory"], limits)
        if "cpu" in self._directories and (quota := limits.get("cpuQuota")):
            warnings += _limit_cpu(self._directories["cpu"], quota, limits.get("cpuPeriod", 0))
        if "pids" in self._directories and (pids := limits.get("pids")):
            files.write(self._directories["pids"] + "/pids.max", "max" if pids < 0 else str(pids))
        if "devices" in self._directories and (rules := limits.get("devices")):
            _limit_devices(self._directories["devices"], rules)
        return tuple(warnings)


def _make(directory: str) -> None:
    try:
        files.make(directory)
    except FileNotFoundError:
        # The first container since boot: the folder that holds all of them is not there yet.
        os.makedirs(os.path.dirname(directory), 0o755, exist_ok=True)
        files.make(directory)


def _limit_memory(directory: str, limits: Mapping[str, Any]) -> list[str]:
    memory, total = limits.get("memory", 0), limits.get("memorySwap", 0)
    if memory:
        files.write(directory + "/memory.limit_in_bytes", str(memory))
    if total:
        try:
            files.write(directory + "/memory.memsw.limit_in_bytes", str(total))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
                raise
            return ["the kernel does not account for swap: the limit on memory and swap together has no effect"]
    return []


def _limit_cpu(directory: str, quota: int, period: int) -> list[str]:
    try:
        if period:
            files.write(directory + "/cpu.cfs_period_us", str(period))
        files.write(directory + "/cpu.cfs_quota_us", str(quota))
    except FileNotFoundError:
        return ["the kernel has no CPU bandwidth control: the limit on CPU time has no effect"]
    return []


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
