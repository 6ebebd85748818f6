"""A container's cgroup, in whatever hierarchies the machine has.

The module and what it imports are loaded by the spawner, so they import little.
"""

from __future__ import annotations

import errno
import os
import sys

from kist.kernel.cgroup_mounts import Hierarchies, below_own, detect
from kist.kernel.cgroup_v1 import Version1
from kist.kernel.cgroup_v2 import Version2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Cgroup", "Hierarchies", "below_own", "detect"]

# For each limit: its controller, and how a warning calls it.
_LIMITS = {
    "memory": ("memory", "memory"),
    "memorySwap": ("memory", "memory and swap"),
    "memoryReservation": ("memory", "memory when it is scarce"),
    "memorySwappiness": ("memory", "swapping"),
    "cpuQuota": ("cpu", "CPU time"),
    "cpuShares": ("cpu", "the share of CPU time"),
    "cpuRealtimeRuntime": ("cpu", "real-time CPU time"),
    "cpus": ("cpuset", "the CPUs"),
    "mems": ("cpuset", "the memory nodes"),
    "pids": ("pids", "the number of processes"),
    "blkioWeight": ("blkio", "the share of block devices"),
    "readBps": ("blkio", "reading"),
    "writeBps": ("blkio", "writing"),
    "readIops": ("blkio", "reading"),
    "writeIops": ("blkio", "writing"),
    "devices": ("devices", "devices"),
}


class Entrance:
    """How a process gets into a cgroup: open files of its directories, which serve wherever the process is.

    Args:
        born: a descriptor for clone3(2) with CLONE_INTO_CGROUP; None where version 2 is not used.
        paths: the files by which a thread moves itself in, of version 1.
    """

    def __init__(self, born: int | None, paths: list[str]) -> None:
        self.born = born
        self._tasks: list[int] = []
        try:
            for path in paths:
                self._tasks.append(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of its open files."""
        return tuple(self._tasks) if self.born is None else (self.born, *self._tasks)

    def entering(self) -> list[tuple[Callable[..., object], tuple[object, ...]]]:
        """The calls that move the process in which makes them, and has one thread; none for one made with ``born``."""
        return [(os.write, (descriptor, b"0")) for descriptor in self._tasks]

    def close(self) -> None:
        """Let go of it."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Cgroup:
    """The cgroup at ``path`` (``kist/<container id>``) below the root of each hierarchy.

    Version 2 is used where it is the only one, and beside version 1 when it has controllers that containers need and
    version 1 lacks; a unified hierarchy without controllers, as systemd's hybrid set-up has it, is left alone.

    Every method may be called by a process that did not create the cgroup.
    """

    __slots__ = ("_hierarchies", "_v1", "_v2", "path")

    def __init__(self, hierarchies: Hierarchies, path: str) -> None:
        self.path = path
        self._hierarchies = hierarchies
        v1 = Version1(hierarchies.v1, path)
        self._v1 = v1 if v1.controllers else None
        v2 = Version2(hierarchies.v2, frozenset(hierarchies.v2_controllers) - v1.controllers, path)
        self._v2 = v2 if hierarchies.v2 and (v2.controllers or self._v1 is None) else None

    @property
    def is_none(self) -> bool:
        """Whether it is in no hierarchy, so that it cannot be."""
        return self._v1 is None and self._v2 is None

    @property
    def is_born_into(self) -> bool:
        """Whether a process is best made in it, with ``open_v2``'s descriptor: to move there takes milliseconds."""
        return self._v2 is not None

    def create(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        """Make the cgroup and limit what will run in it; nothing is left behind on failure.

        Args:
            limits: ``kist.spec.runtime.LinuxResources`` as JSON has it; its ``devices`` are the rules that
                ``kist.kernel.device_filter.assemble`` describes. A limit that is absent is not set.

        Returns:
            A sentence for each limit that could not be set because this kernel lacks what it takes.

        Raises:
            OSError: with errno and path: EACCES, EPERM or EROFS without the permission, EBUSY when a cgroup of this
                name has processes, EINVAL for a value that the kernel does not take, ENODEV when there is no hierarchy.
        """
        if self.is_none:
            raise OSError(errno.ENODEV, "no cgroup hierarchy is mounted", "/sys/fs/cgroup")
        warnings = self._missing(limits)
        if self._v1 is not None:
            warnings += self._v1.create(limits)
        if self._v2 is not None:
            try:
                warnings += self._v2.create(limits if self._v1 is None else {**limits, "devices": ()})
            except OSError:
                if self._v1 is not None:
                    self._v1.remove(0)
                raise
        return tuple(warnings)

    def update(self, limits: Mapping[str, Any]) -> tuple[str, ...]:
        """Set limits anew while processes run in the cgroup; those that are absent, and devices, stay as they are.

        Returns:
            Sentences as ``create`` does.

        Raises:
            OSError: with errno and path; EBUSY for memory that is in use and cannot be freed.
        """
        warnings = self._missing(limits)
        for part in self._parts():
            warnings += part.update(limits)
        return tuple(warnings)

    def freeze(self, *, frozen: bool) -> None:
        """Stop every process of the cgroup where it is (and return when all have stopped), or let them go on.

        Raises:
            OSError: EBUSY when a process does not stop within two seconds (all go on then); ENODEV without a freezer.
        """
        for part in self._parts():
            if isinstance(part, Version2) or "freezer" in part.controllers:
                part.freeze(frozen=frozen)
                return
        raise OSError(errno.ENODEV, "this machine's cgroups cannot freeze processes", "/sys/fs/cgroup")

    def open_v2(self) -> int | None:
        """A descriptor for clone3(2) with CLONE_INTO_CGROUP; None where version 2 is not used."""
        return None if self._v2 is None else self._v2.open()

    def join(self) -> None:
        """Move the calling process, which must have one thread, into the cgroup.

        To be called while /proc and /sys/fs/cgroup are the host's and before a cgroup namespace is made: the root of
        that namespace is the cgroup that the process is in at that moment. On version 2 a process that was not made
        with ``open_v2``'s descriptor takes some milliseconds for it.
        """
        for part in self._parts():
            part.join()

    def open_entrance(self) -> Entrance:
        """What a process enters by that cannot see these directories."""
        return Entrance(self.open_v2(), [] if self._v1 is None else self._v1.tasks())

    def view(self, *, whole: bool = False) -> list[tuple[str, str]]:
        """What the container may see of it below /sys/fs/cgroup: a name there, and the cgroup's directory here.

        The name is empty where the unified hierarchy is the only one: its directory is then /sys/fs/cgroup itself. With
        ``whole`` that is all of the hierarchy, for those who read their place in it from the host's cgroup namespace;
        in version 1 programs find their own cgroup all the same.
        """
        if self._v1 is None:
            if self._v2 is None:
                return []
            own = self._v2.directory
            return [("", self._v2.base if whole else own)]
        name = self._hierarchies.name
        return [(name(directory.removesuffix(f"/{self.path}")), directory) for directory in self._v1.directories]

    def kill(self) -> None:
        """Send SIGKILL to every process in the cgroup and below; does not wait for their end (``remove`` does)."""
        for part in self._parts():
            part.kill()

    def pids(self) -> list[int]:
        """The processes in the cgroup and below, as this process's pid namespace numbers them."""
        for part in self._parts():
            return part.pids()
        return []

    def stats(self) -> dict[str, int]:
        """What was used.

        ``cpu_ns``, ``pids``, ``oom_kills``, and in bytes ``memory``, ``memory_peak``, ``block_read``, ``block_write``.
        A key is absent where the kernel does not count it or the cgroup is gone.
        """
        merged: dict[str, int] = {}
        for part in reversed(self._parts()):
            merged.update(part.stats())
        return merged

    def oom_killed(self) -> bool:
        """Whether the kernel killed a process in it for lack of memory."""
        return self.stats().get("oom_kills", 0) > 0

    def watch_oom(self) -> int | None:
        """A non-blocking descriptor for epoll (EPOLLIN) that becomes readable when memory ran out.

        It can also become readable when the cgroup is removed, or on version 2 when a limit was touched without a kill:
        read it to the end and ask ``oom_killed``. None where memory is not controlled.
        """
        for part in self._parts():
            if "memory" in part.controllers:
                return part.watch_oom()
        return None

    def read_oom(self, descriptor: int, before: int) -> int:
        """How often memory has run out, read from what ``watch_oom`` gave.

        Args:
            descriptor: of ``watch_oom``; it is read to its end.
            before: what the last call gave, 0 at first.

        Raises:
            BlockingIOError: nothing has happened since.
        """
        if self._v1 is not None and "memory" in self._v1.controllers:
            return before + int.from_bytes(os.read(descriptor, 8), sys.byteorder)
        os.read(descriptor, 4096)
        return self.stats().get("oom_kills", before)

    def remove(self, timeout: float = 5.0) -> None:
        """Remove the cgroup and those below it from every hierarchy, waiting for the end of the processes in it.

        Raises:
            OSError: EBUSY and the path when there are processes after ``timeout`` seconds.
        """
        for part in self._parts():
            part.remove(timeout)

    def directories(self) -> dict[str, str]:
        """The directory of each controller that the cgroup has; the unified hierarchy's is under the empty name too."""
        found: dict[str, str] = {}
        if self._v2 is not None:
            found |= dict.fromkeys(("", *self._v2.controllers), self._v2.directory)
        if self._v1 is not None:
            found |= self._v1.by_controller
        return found

    def _parts(self) -> list[Version1 | Version2]:
        return [part for part in (self._v1, self._v2) if part is not None]

    def _missing(self, limits: Mapping[str, Any]) -> list[str]:
        """A warning for each limit asked for whose controller is nowhere."""
        here = {name for part in self._parts() for name in part.known}
        if self._v1 is None:
            here.add("devices")  # version 2 has no controller for them, and needs none
        if "io" in here:
            here.add("blkio")
        return [
            f"the limit on {words} has no effect: this machine's cgroups have no {controller} controller"
            for key, (controller, words) in _LIMITS.items()
            if limits.get(key) and controller not in here
        ]
