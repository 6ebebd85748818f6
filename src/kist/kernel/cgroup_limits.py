"""Which file of which controller a limit is written to, and as what; the same for both versions where they agree.

Conversions are those of the OCI runtimes. Limits are ``kist.spec.runtime.LinuxResources`` as JSON has them: one that is
absent is not written, so that a start pays for nothing that was not asked for.
"""

from __future__ import annotations

import errno
import os

from kist.kernel import cgroup_files as files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# limit: controller, file. All of them take the number as it is.
_V1_NUMBERS = {
    "memoryReservation": ("memory", "memory.soft_limit_in_bytes"),
    "memorySwappiness": ("memory", "memory.swappiness"),
    "cpuShares": ("cpu", "cpu.shares"),
    "cpuRealtimePeriod": ("cpu", "cpu.rt_period_us"),
    "cpuRealtimeRuntime": ("cpu", "cpu.rt_runtime_us"),
}
_V1_THROTTLES = {
    "readBps": "blkio.throttle.read_bps_device",
    "writeBps": "blkio.throttle.write_bps_device",
    "readIops": "blkio.throttle.read_iops_device",
    "writeIops": "blkio.throttle.write_iops_device",
}
_V2_THROTTLES = {"readBps": "rbps", "writeBps": "wbps", "readIops": "riops", "writeIops": "wiops"}
SWAP = "the kernel does not account for swap: the limit on memory and swap together has no effect"
CPU = "the kernel has no CPU bandwidth control: the limit on CPU time has no effect"


def weight_of_shares(shares: int) -> int:
    """``cpu.weight`` of version 2 (1 to 10000) for ``cpu.shares`` of version 1 (2 to 262144): 1024 is the usual 100.

    A line would make 39 of 1024 and so less than everybody else's. This curve, which OCI runtimes use since 2025, goes
    through the three points that matter: least, usual and most.
    """
    import math  # noqa: PLC0415 - few containers ask for it, and each monitor would have it

    shares = min(max(shares, 2), 262144)
    doublings = math.log2(shares)
    exponent = (doublings * doublings + 125 * doublings) / 612 - 7 / 34
    return min(max(math.ceil(10**exponent), 1), 10000)


def io_weight(weight: int) -> int:
    """``io.weight`` of version 2 (1 to 10000) for a weight of version 1 (10 to 1000)."""
    return 1 + (weight - 10) * 9999 // 990


# version 1


def write_v1(directories: Mapping[str, str], limits: Mapping[str, Any]) -> list[str]:
    """Write limits into the directories of the controllers; sentences for those that this kernel has no file for."""
    warnings: list[str] = []
    if "memory" in directories:
        warnings += _memory_v1(directories["memory"], limits)
    if "cpu" in directories and (quota := limits.get("cpuQuota")):
        warnings += _cpu_time_v1(directories["cpu"], quota, limits.get("cpuPeriod", 0))
    if "pids" in directories and (pids := limits.get("pids")):
        files.write(directories["pids"] + "/pids.max", "max" if pids < 0 else str(pids))
    for key, (controller, name) in _V1_NUMBERS.items():
        if key in limits and controller in directories:
            warnings += _write(key, f"{directories[controller]}/{name}", str(limits[key]))
    if "cpuset" in directories:
        _cpuset(directories["cpuset"], limits)
    if "blkio" in directories:
        warnings += _block_v1(directories["blkio"], limits)
    return warnings


def _memory_v1(directory: str, limits: Mapping[str, Any]) -> list[str]:
    memory, total = limits.get("memory", 0), limits.get("memorySwap", 0)
    warnings: list[str] = []
    limit = [(directory + "/memory.limit_in_bytes", memory)] if memory else []
    both = [(directory + "/memory.memsw.limit_in_bytes", total)] if total else []
    if memory and total and _is_above(memory, files.read_number(directory + "/memory.memsw.limit_in_bytes")):
        limit, both = both, limit  # the limit on memory may at no moment be above the one on both
    for path, value in (*limit, *both):
        try:
            files.write(path, str(value))
        except OSError as error:
            if "memsw" not in path or error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
                raise
            warnings.append(SWAP)
    if limits.get("disableOomKiller"):
        files.write(directory + "/memory.oom_control", "1")
    return warnings


def _is_above(value: int, limit: int | None) -> bool:
    return limit is not None and (value < 0 or value > limit)


def _cpu_time_v1(directory: str, quota: int, period: int) -> list[str]:
    try:
        if period:
            files.write(directory + "/cpu.cfs_period_us", str(period))
        files.write(directory + "/cpu.cfs_quota_us", str(quota))
    except FileNotFoundError:
        return [CPU]
    return []


def _block_v1(directory: str, limits: Mapping[str, Any]) -> list[str]:
    warnings: list[str] = []
    if weight := limits.get("blkioWeight"):
        path = _first_of(directory, "blkio.bfq.weight", "blkio.weight")
        warnings += _write("blkioWeight", path, str(weight))
    if weights := limits.get("blkioWeightDevices"):
        path = _first_of(directory, "blkio.bfq.weight_device", "blkio.weight_device")
        texts = (f"{entry['device']} {entry['rate'] or 'default'}" for entry in weights)
        warnings += _write("blkioWeightDevices", path, *texts)
    for key, name in _V1_THROTTLES.items():
        if rates := limits.get(key):
            warnings += _write(key, f"{directory}/{name}", *(f"{entry['device']} {entry['rate']}" for entry in rates))
    return warnings


def prepare_cpuset(directory: str) -> None:
    """Give a cpuset that is empty, as version 1 makes them, what its parent has; nothing can run in an empty one."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not files.read(f"{directory}/{name}").strip():
            files.write(f"{directory}/{name}", files.read(f"{os.path.dirname(directory)}/{name}").strip())


# version 2


def write_v2(directory: str, controllers: frozenset[str], limits: Mapping[str, Any]) -> list[str]:
    """Write limits into a cgroup of the unified hierarchy; sentences for those that this kernel has no file for."""
    warnings: list[str] = []
    if "memory" in controllers:
        warnings += _memory_v2(directory, limits)
    if "cpu" in controllers:
        warnings += _cpu_v2(directory, limits)
    if "pids" in controllers and (pids := limits.get("pids")):
        files.write(directory + "/pids.max", _or_max(pids))
    if "cpuset" in controllers:
        _cpuset(directory, limits)
    if "io" in controllers:
        warnings += _block_v2(directory, limits)
    return warnings


def _memory_v2(directory: str, limits: Mapping[str, Any]) -> list[str]:
    memory, total = limits.get("memory", 0), limits.get("memorySwap", 0)
    if memory:
        files.write(directory + "/memory.max", _or_max(memory))
    if reservation := limits.get("memoryReservation"):
        files.write(directory + "/memory.low", _or_max(reservation))
    if not total:
        return []
    # Version 1 limits memory and swap together, and so do our callers; here swap has a limit of its own.
    try:
        files.write(directory + "/memory.swap.max", _or_max(total if total < 0 else total - max(memory, 0)))
    except FileNotFoundError:
        return [SWAP]
    return []


def _cpu_v2(directory: str, limits: Mapping[str, Any]) -> list[str]:
    try:
        if quota := limits.get("cpuQuota"):
            files.write(directory + "/cpu.max", f"{_or_max(quota)} {limits.get('cpuPeriod') or 100_000}")
        if shares := limits.get("cpuShares"):
            files.write(directory + "/cpu.weight", str(weight_of_shares(shares)))
    except FileNotFoundError:
        return [CPU]
    return []


def _block_v2(directory: str, limits: Mapping[str, Any]) -> list[str]:
    warnings: list[str] = []
    weight, weights = limits.get("blkioWeight"), limits.get("blkioWeightDevices")
    if weight or weights:
        path = _first_of(directory, "io.bfq.weight", "io.weight")
        of = int if path.endswith("bfq.weight") else io_weight  # the scheduler BFQ has version 1's range
        texts = [f"default {of(weight)}"] if weight else []
        texts += [f"{entry['device']} {of(entry['rate']) if entry['rate'] else 'default'}" for entry in weights or ()]
        warnings += _write("blkioWeight", path, *texts)
    for key, word in _V2_THROTTLES.items():
        if rates := limits.get(key):
            texts = [f"{entry['device']} {word}={entry['rate'] or 'max'}" for entry in rates]
            warnings += _write(key, directory + "/io.max", *texts)
    return warnings


# both


def _cpuset(directory: str, limits: Mapping[str, Any]) -> None:
    for key, name in (("mems", "cpuset.mems"), ("cpus", "cpuset.cpus")):
        if value := limits.get(key):
            files.write(f"{directory}/{name}", value)


def _write(limit: str, path: str, *texts: str) -> list[str]:
    try:
        files.write(path, *texts)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
            raise
        return [f"the limit {limit} has no effect: this kernel has no {os.path.basename(path)}"]
    return []


def _first_of(directory: str, *names: str) -> str:
    """The path of the first file that is there; of the last one where none is."""
    paths = [f"{directory}/{name}" for name in names]
    return next((path for path in paths if os.path.exists(path)), paths[-1])


def _or_max(number: int) -> str:
    return "max" if number < 0 else str(number)
