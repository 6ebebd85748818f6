"""A cgroup in the unified hierarchy, version 2 (the kernel's Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

import errno
import os

from kist.kernel import cgroup_files as files
from kist.kernel import cgroup_limits, device_filter, libc
from kist.kernel.cgroup_mounts import parse_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

# What is switched on for containers where it can be had.
WANTED = ("cpu", "memory", "pids", "io")
CPUSET = "cpuset"

_IN_MODIFY = 2
_IN_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK


class Version2:
    """One cgroup in the unified hierarchy.

    Args:
        base: an existing cgroup, below which all cgroups of ours are made.
        controllers: those of ``base`` that are of use here.
        path: below ``base``.
    """

    __slots__ = ("_available", "_path", "base", "controllers", "directory")

    def __init__(self, base: str, controllers: frozenset[str], path: str) -> None:
        self.base = base
        self._path = path
        self._available = controllers
        self.controllers = controllers & frozenset(WANTED)
        self.directory = f"{base}/{path}"

    @property
    def known(self) -> frozenset[str]:
        """The controllers that could be had here, whether or not the cgroup uses them."""
        return self._available

    def create(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        """Make the cgroup, its parents and the limits (see ``kist.kernel.cgroup.Cgroup.create``)."""
        self._want(limits)
        self._make()
        try:
            return self._limit(limits)
        except OSError:
            files.remove(self.directory)
            raise

    def open(self) -> int:
        """A descriptor of the directory, for clone3(2) with CLONE_INTO_CGROUP."""
        return os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def join(self) -> None:
        """Move the calling process in, unless clone3(2) made it there.

        The move takes some 8 ms (see ``Version1.join``), the look some hundredths of one.
        """
        if not parse_own(files.read("/proc/self/cgroup")).get("", "").endswith("/" + self._path):
            files.write(self.directory + "/cgroup.procs", "0")

    def kill(self) -> None:
        """Kill every process in the cgroup and below it."""
        try:
            files.write(self.directory + "/cgroup.kill", "1")
        except OSError as error:
            if not files.gone(error):
                raise
            self._kill_each()

    def pids(self) -> list[int]:
        """The processes, in this process's pid namespace."""
        return files.pids(self.directory)

    def stats(self) -> dict[str, int]:
        """What the controllers counted (see ``kist.kernel.cgroup.Cgroup.stats``)."""
        found = {}
        if (used := files.read_field(self.directory + "/cpu.stat", "usage_usec")) is not None:
            found["cpu_ns"] = used * 1000
        for key, file in (("memory", "memory.current"), ("memory_peak", "memory.peak"), ("pids", "pids.current")):
            if (value := files.read_number(f"{self.directory}/{file}")) is not None:
                found[key] = value
        if (kills := files.read_field(self.directory + "/memory.events", "oom_kill")) is not None:
            found["oom_kills"] = kills
        if "io" in self.controllers:
            for key, word in (("block_read", " rbytes="), ("block_write", " wbytes=")):
                found[key] = files.sum_of(self.directory + "/io.stat", word)
        return found

    def watch_oom(self) -> int:
        """An inotify descriptor that becomes readable when memory.events changes."""
        watcher = libc.call("inotify_init1", _IN_CLOEXEC_NONBLOCK)
        path = self.directory + "/memory.events"
        try:
            libc.call("inotify_add_watch", watcher, os.fsencode(path), _IN_MODIFY, path=path)
        except OSError:
            os.close(watcher)
            raise
        return watcher

    def remove(self, timeout: float) -> None:
        """Remove the cgroup and those below it."""
        files.remove(self.directory, timeout)

    def _make(self) -> None:
        self._enable_missing(os.path.dirname(self.directory))
        files.make(self.directory)

    def _enable_missing(self, parent: str) -> None:
        try:
            enabled = files.read(parent + "/cgroup.subtree_control").split()
        except FileNotFoundError:
            os.makedirs(parent, 0o755, exist_ok=True)
            enabled = []
        if not self.controllers.issubset(enabled):
            self._enable(parent)

    def _enable(self, parent: str) -> None:
        """Hand the controllers down from ``base`` to the cgroups in ``parent``."""
        words = " ".join("+" + name for name in sorted(self.controllers))
        levels = os.path.relpath(parent, self.base).split("/") if parent != self.base else []
        directory = self.base
        files.write(directory + "/cgroup.subtree_control", words)
        for level in levels:
            directory += "/" + level
            files.write(directory + "/cgroup.subtree_control", words)

    def update(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        """Write limits of a cgroup that is in use; see ``kist.kernel.cgroup.Cgroup.update``."""
        self._want(limits)
        self._enable_missing(os.path.dirname(self.directory))
        return tuple(cgroup_limits.write_v2(self.directory, self.controllers, limits))

    def freeze(self, *, frozen: bool) -> None:
        """Stop every process where it is, or let them go on; see ``kist.kernel.cgroup.Cgroup.freeze``."""
        path = self.directory + "/cgroup.freeze"
        files.write(path, str(int(frozen)))
        events = self.directory + "/cgroup.events"
        if not files.await_state(lambda: files.read_field(events, "frozen") == int(frozen)):
            files.write(path, "0")
            raise OSError(errno.EBUSY, "not all processes could be frozen", path)

    def _limit(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        warnings = cgroup_limits.write_v2(self.directory, self.controllers, limits)
        if rules := limits.get("devices"):
            self._limit_devices(rules)
        return tuple(warnings)

    def _want(self, limits: Mapping[str, Any]) -> None:
        """A cpuset is switched on only where one is asked for."""
        if CPUSET in self._available and (limits.get("cpus") or limits.get("mems")):
            self.controllers |= {CPUSET}

    def _limit_devices(self, rules: Sequence[Mapping[str, Any]]) -> None:
        descriptor = self.open()
        try:
            device_filter.attach(descriptor, device_filter.assemble(rules))
        except OSError as error:
            # In a user namespace the kernel takes no filter. It lets nobody make a device node there either, so the
            # container reaches the devices that were mounted for it and no others.
            if error.errno != errno.EPERM or not _in_user_namespace():
                error.filename = self.directory
                raise
        finally:
            os.close(descriptor)

    def _kill_each(self) -> None:
        """For kernels before 5.14, which have no cgroup.kill."""
        try:
            files.write(self.directory + "/pids.max", "0")
        except OSError as error:
            if not files.gone(error):
                raise
        files.kill(self.directory)


def _in_user_namespace() -> bool:
    return files.read("/proc/self/uid_map").split() != ["0", "0", "4294967295"]
