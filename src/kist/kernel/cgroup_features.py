"""What limits this machine's cgroups can keep: found by making one and looking at the files in it.

Looking elsewhere does not tell: a root cgroup lacks most files, and a controller may be there without a feature of it.
"""

import os
from contextlib import suppress

from kist.kernel import cgroup_files as files
from kist.kernel.cgroup import Cgroup, Hierarchies

# feature: (controller, file) of version 1, (controller, file) of version 2; None where a version never has it.
_FEATURES: dict[str, tuple[tuple[str, str] | None, tuple[str, str] | None]] = {
    "memory": (("memory", "memory.limit_in_bytes"), ("memory", "memory.max")),
    "swap": (("memory", "memory.memsw.limit_in_bytes"), ("memory", "memory.swap.max")),
    "memory_reservation": (("memory", "memory.soft_limit_in_bytes"), ("memory", "memory.low")),
    "swappiness": (("memory", "memory.swappiness"), None),
    "oom_kill_disable": (("memory", "memory.oom_control"), None),
    "cpu_shares": (("cpu", "cpu.shares"), ("cpu", "cpu.weight")),
    "cpu_cfs": (("cpu", "cpu.cfs_quota_us"), ("cpu", "cpu.max")),
    "cpu_realtime": (("cpu", "cpu.rt_runtime_us"), None),
    "cpuset": (("cpuset", "cpuset.cpus"), ("cpuset", "cpuset.cpus")),
    "pids": (("pids", "pids.max"), ("pids", "pids.max")),
    "blkio_weight": (("blkio", "blkio.weight"), ("io", "io.weight")),
    "blkio_weight_device": (("blkio", "blkio.weight_device"), ("io", "io.weight")),
    "read_bps": (("blkio", "blkio.throttle.read_bps_device"), ("io", "io.max")),
    "write_bps": (("blkio", "blkio.throttle.write_bps_device"), ("io", "io.max")),
    "read_iops": (("blkio", "blkio.throttle.read_iops_device"), ("io", "io.max")),
    "write_iops": (("blkio", "blkio.throttle.write_iops_device"), ("io", "io.max")),
}
# What the scheduler BFQ calls them.
_BFQ = {
    "blkio.weight": "blkio.bfq.weight",
    "blkio.weight_device": "blkio.bfq.weight_device",
    "io.weight": "io.bfq.weight",
}


def features(hierarchies: Hierarchies, prefix: str = "kist/") -> frozenset[str]:
    """The words of the limits that can be kept (``memory``, ``swap``, ``cpuset``, ``read_bps`` and their like).

    Args:
        hierarchies: where cgroups are.
        prefix: what the path of the cgroup begins with that is made for a moment; a parent stays.

    Raises:
        OSError: cgroups cannot be made here.
    """
    group = Cgroup(hierarchies, f"{prefix}look-{os.getpid()}")
    group.create({"cpus": cpu_list(hierarchies), "mems": memory_nodes(hierarchies)})
    try:
        directories = group.directories()
        return frozenset(
            feature
            for feature, places in _FEATURES.items()
            for place in places
            if place is not None and _is_there(directories, *place)
        )
    finally:
        group.remove()


def _is_there(directories: dict[str, str], controller: str, name: str) -> bool:
    directory = directories.get(controller)
    return directory is not None and any(os.path.exists(f"{directory}/{each}") for each in (name, _BFQ.get(name, name)))


def cpu_list(hierarchies: Hierarchies) -> str:
    """The CPUs that may be given to a cgroup, as ``0-3``."""
    return _effective(hierarchies, "cpus") or files.read("/sys/devices/system/cpu/online").strip()


def memory_nodes(hierarchies: Hierarchies) -> str:
    """The memory nodes, as ``0``."""
    with suppress(FileNotFoundError):
        return _effective(hierarchies, "mems") or files.read("/sys/devices/system/node/online").strip()
    return "0"


def _effective(hierarchies: Hierarchies, what: str) -> str:
    roots = [f"{point}/cpuset.{what}" for point, controllers in hierarchies.v1 if "cpuset" in controllers]
    if "cpuset" in hierarchies.v2_controllers:
        roots.append(f"{hierarchies.v2}/cpuset.{what}.effective")
    for path in roots:
        with suppress(FileNotFoundError):
            return files.read(path).strip()
    return ""
