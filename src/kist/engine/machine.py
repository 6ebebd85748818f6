"""What this machine's cgroups can keep, looked at once, when the first limit is asked for."""

import os
import threading

from kist.engine.limits import WATCHED, Machine, is_limited, verify
from kist.errors import from_os_error, see_doctor
from kist.kernel import cgroup, cgroup_features
from kist.spec.resources import Resources


class MachineLimits:
    """The machine's limits, for checks of what is asked for. Safe from many threads."""

    def __init__(self, below: cgroup.Hierarchies | None = None) -> None:
        """``below``: where control groups are made; None for the machine's roots."""
        self._below = below
        self._lock = threading.Lock()
        self._machine: Machine | None = None

    @property
    def machine(self) -> Machine:
        """What the machine can keep.

        Raises:
            Forbidden: cgroups cannot be made here.
        """
        with self._lock:
            if self._machine is None:
                self._machine = _look(self._below)
            return self._machine

    def verify(self, resources: Resources, *, update: bool = False) -> tuple[Resources, tuple[str, ...]]:
        """See ``kist.engine.limits.verify``; a container without limits costs no look at the machine."""
        return verify(resources, self.machine, update=update) if is_limited(resources) else (resources, ())


def _look(below: cgroup.Hierarchies | None) -> Machine:
    hierarchies = below or cgroup.detect()
    prefix = "kist/" if below is None else "kist-"
    try:
        keeps = cgroup_features.features(hierarchies, prefix) if hierarchies.mode != "none" else WATCHED
        return Machine(
            cpus=len(os.sched_getaffinity(0)),
            cpu_list=cgroup_features.cpu_list(hierarchies),
            memory_nodes=cgroup_features.memory_nodes(hierarchies),
            keeps=keeps,
        )
    except OSError as error:
        failure = from_os_error(error, "look at the machine's cgroups")
        failure.hint = see_doctor("cgroups")
        raise failure from error
