"""Limits: checked against each other and against what the machine can keep, and turned into what cgroups take. Pure.

Messages, their order, and what is an error and what a warning are Docker's, since clients match on them.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec

from kist.errors import Conflict, InvalidInput, see_doctor
from kist.spec.resources import DeviceRate, Resources
from kist.spec.runtime import BlockDeviceLimit, LinuxResources

_LEAST_MEMORY = 6 << 20
_CPU_PERIOD = 100_000
_LEAST_PERIOD, _MOST_PERIOD, _LEAST_QUOTA = 1000, 1_000_000, 1000
_CPU = 1_000_000_000
_DEFAULTS = Resources()
_MOST_LISTED = 1 << 16


class Machine(msgspec.Struct, frozen=True):
    """What the cgroups of a machine can keep.

    Attributes:
        cpus: how many may be used.
        cpu_list, memory_nodes: which there are, as ``0-3``.
        keeps: words of ``kist.kernel.cgroup_features``.
    """

    cpus: int
    cpu_list: str
    memory_nodes: str
    keeps: frozenset[str]


# (what the machine must keep, the fields that are discarded without it, the warning)
_DISCARDED = (
    ("memory_reservation", ("memory_reservation",), "memory soft limit capabilities", "Limitation"),
    ("pids", ("pids",), "PIDs limit capabilities", "PIDs limit"),
    ("cpu_shares", ("cpu_shares",), "CPU shares", "Shares"),
    ("cpuset", ("cpuset_cpus", "cpuset_mems"), "cpuset", "Cpuset"),
    ("blkio_weight", ("blkio_weight",), "Block I/O weight", "Weight"),
    ("blkio_weight_device", ("blkio_weight_devices",), "Block I/O weight_device", "Weight-device"),
    ("read_bps", ("read_bps",), "BPS Block I/O read limit", "Block I/O BPS read limit"),
    ("write_bps", ("write_bps",), "BPS Block I/O write limit", "Block I/O BPS write limit"),
    ("read_iops", ("read_iops",), "IOPS Block read limit", "Block I/O IOPS read limit"),
    ("write_iops", ("write_iops",), "IOPS Block write limit", "Block I/O IOPS write limit"),
)  # fmt: skip
_NO_SWAP = (
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
)
_NO_OOM_LIMIT = (
    "OOM killer is disabled for the container, but no memory limit is set, "
    "this can result in the system running out of resources."
)


_MISSING = {
    "memory": "No memory limit support",
    "swap": "No swap limit support",
    "cpu_cfs": "No cpu cfs quota support",
    "cpu_shares": "No cpu shares support",
    "cpuset": "No cpuset support",
    "pids": "No pids limit support",
    "blkio_weight": "No blkio weight support",
    "read_bps": "No blkio throttle.read_bps_device support",
    "write_bps": "No blkio throttle.write_bps_device support",
    "read_iops": "No blkio throttle.read_iops_device support",
    "write_iops": "No blkio throttle.write_iops_device support",
}


# What monitors keep where there are no cgroups (``kist.runtime.memory_watch``).
WATCHED = frozenset({"memory"})


def missing_limits(machine: Machine) -> tuple[str, ...]:
    """In ``docker info``'s words, what cgroups here cannot keep and others' can; one line where there are none."""
    if machine.keeps == WATCHED:
        return ("No control groups: of all limits only that of memory is kept, by each container's monitor",)
    return tuple(words for word, words in _MISSING.items() if word not in machine.keeps)


def is_limited(resources: Resources) -> bool:
    """Whether any limit is set that the machine has to be asked about."""
    plain = msgspec.structs.replace(resources, shm_size=_DEFAULTS.shm_size, ulimits=(), device_rules=())
    return plain != _DEFAULTS


def verify(resources: Resources, machine: Machine, *, update: bool = False) -> tuple[Resources, tuple[str, ...]]:
    """The limits as this machine keeps them, and a warning for each that it does not.

    Args:
        resources: as they were asked for.
        machine: what it can keep.
        update: they are changes of limits that are set already, so one may stand without its companion.

    Raises:
        InvalidInput: a value that cannot be right, or two that exclude each other.
    """
    changes: dict[str, Any] = {}
    warnings: list[str] = []
    if resources.pids < 0 and not update:
        changes["pids"] = 0
    _verify_memory(resources, machine, changes, warnings, update=update)
    for word, keys, what, discarded in _DISCARDED:
        if word not in machine.keeps and any(getattr(resources, key) != getattr(_DEFAULTS, key) for key in keys):
            changes |= {key: getattr(_DEFAULTS, key) for key in keys}
            warnings.append(f"Your kernel does not support {what} or the cgroup is not mounted. {discarded} discarded.")
    _verify_cpus(resources, machine, changes, warnings)
    _verify_cpuset(resources, machine)
    _verify_blocks(resources)
    return msgspec.structs.replace(resources, **changes), tuple(warnings)


def _verify_memory(
    asked: Resources, machine: Machine, changes: dict[str, Any], warnings: list[str], *, update: bool
) -> None:
    memory, swap, reservation = asked.memory, asked.memory_swap, asked.memory_reservation
    if memory and memory < _LEAST_MEMORY:
        raise InvalidInput("Minimum memory limit allowed is 6MB", hint=f"--memory was {memory} bytes")
    if swap < -1:
        raise InvalidInput(f"invalid value for memory swap: {swap}", hint="it is a size, or -1 for no limit")
    if memory and not swap and not update:
        swap = changes["memory_swap"] = 2 * memory
    if memory and "memory" not in machine.keeps:
        warnings.append(_lacks("memory limit capabilities", "Limitation"))
        memory = changes["memory"] = 0
        swap = changes["memory_swap"] = 0
    if memory and swap != -1 and "swap" not in machine.keeps:
        if asked.memory_swap or machine.keeps != WATCHED:  # who watches says so; of swap nobody has asked
            warnings.append(_NO_SWAP)
        swap = changes["memory_swap"] = -1
    if 0 < swap < memory:
        raise InvalidInput("Minimum memoryswap limit should be larger than memory limit, see usage",
                           hint=f"--memory-swap ({swap}) is memory and swap together")  # fmt: skip
    if not memory and swap > 0 and not update and not asked.memory:
        raise InvalidInput("You should always set the Memory limit when using Memoryswap limit, see usage",
                           hint="add --memory")  # fmt: skip
    _verify_swappiness(asked, machine, changes, warnings)
    if reservation and reservation < _LEAST_MEMORY:
        raise InvalidInput(
            "Minimum memory reservation allowed is 6MB", hint=f"--memory-reservation was {reservation} bytes"
        )
    if memory and reservation > memory:
        raise InvalidInput("Minimum memory limit can not be less than memory reservation limit, see usage",
                           hint=f"--memory is {memory}, --memory-reservation {reservation}")  # fmt: skip
    _verify_oom_killer(asked, machine, changes, warnings)


def _verify_swappiness(asked: Resources, machine: Machine, changes: dict[str, Any], warnings: list[str]) -> None:
    if asked.memory_swappiness == -1:
        return
    if not 0 <= asked.memory_swappiness <= 100:
        raise InvalidInput(
            f"Invalid value: {asked.memory_swappiness}, valid memory swappiness range is 0-100",
            hint="of --memory-swappiness; -1 is the machine's own",
        )
    if "swappiness" not in machine.keeps:
        warnings.append(_lacks("memory swappiness capabilities", "Memory swappiness"))
        changes["memory_swappiness"] = -1


def _verify_oom_killer(asked: Resources, machine: Machine, changes: dict[str, Any], warnings: list[str]) -> None:
    if not asked.oom_kill_disable:
        return
    if "oom_kill_disable" not in machine.keeps:
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        changes["oom_kill_disable"] = False
    elif not changes.get("memory", asked.memory):
        warnings.append(_NO_OOM_LIMIT)


def _verify_cpus(asked: Resources, machine: Machine, changes: dict[str, Any], warnings: list[str]) -> None:
    if asked.nano_cpus and asked.cpu_period:
        raise InvalidInput("Conflicting options: Nano CPUs and CPU Period cannot both be set",
                           hint="use --cpus, or --cpu-period with --cpu-quota")  # fmt: skip
    if asked.nano_cpus and asked.cpu_quota:
        raise InvalidInput("Conflicting options: Nano CPUs and CPU Quota cannot both be set",
                           hint="use --cpus, or --cpu-period with --cpu-quota")  # fmt: skip
    if not 0 <= asked.nano_cpus <= machine.cpus * _CPU:
        raise InvalidInput(
            f"Range of CPUs is from 0.01 to {machine.cpus}.00, as there are only {machine.cpus} CPUs available",
            hint=f"--cpus was {asked.nano_cpus / _CPU:g}",
        )
    if asked.nano_cpus and "cpu_cfs" not in machine.keeps:
        raise InvalidInput(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
            hint=see_doctor("cgroups", "leave --cpus out"),
        )
    if asked.cpu_period and not _LEAST_PERIOD <= asked.cpu_period <= _MOST_PERIOD:
        raise InvalidInput(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
            hint=f"--cpu-period was {asked.cpu_period}",
        )
    if 0 < asked.cpu_quota < _LEAST_QUOTA:
        raise InvalidInput(
            "CPU cfs quota can not be less than 1ms (i.e. 1000)", hint=f"--cpu-quota was {asked.cpu_quota}"
        )
    if asked.cpu_shares < 0:
        raise InvalidInput(f"invalid CPU shares {asked.cpu_shares}", hint="--cpu-shares is 2 to 262144; 1024 is usual")
    if (asked.cpu_period or asked.cpu_quota) and "cpu_cfs" not in machine.keeps:
        warnings.append("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.")
        changes |= {"cpu_period": 0, "cpu_quota": 0}
    _verify_realtime(asked, machine)


def _verify_realtime(asked: Resources, machine: Machine) -> None:
    if not asked.cpu_realtime_period and not asked.cpu_realtime_runtime:
        return
    if "cpu_realtime" not in machine.keeps:
        what = "period" if asked.cpu_realtime_period else "runtime"
        raise InvalidInput(
            f"Your kernel does not support CPU real-time {what}",
            hint=see_doctor(
                "cgroups", "it takes cgroup v1 and a kernel with CONFIG_RT_GROUP_SCHED; leave --cpu-rt-* out"
            ),
        )
    if asked.cpu_realtime_period and asked.cpu_realtime_runtime > asked.cpu_realtime_period:
        raise InvalidInput("cpu real-time runtime cannot be higher than cpu real-time period",
                           hint=f"{asked.cpu_realtime_runtime} of {asked.cpu_realtime_period}")  # fmt: skip


def _verify_cpuset(asked: Resources, machine: Machine) -> None:
    for text, kind, what, there in (
        (asked.cpuset_cpus, "cpus", "CPUs", machine.cpu_list),
        (asked.cpuset_mems, "mems", "memory nodes", machine.memory_nodes),
    ):
        if not text:
            continue
        try:
            wanted = listed(text)
        except ValueError:
            raise InvalidInput(
                f"Invalid value {text} for cpuset {kind}", hint="write numbers and ranges: 0-2,4"
            ) from None
        if not wanted <= listed(there):
            raise InvalidInput(f"Requested {what} are not available - requested {text}, available: {there}",
                               hint=f"--cpuset-{kind} was {text}")  # fmt: skip


def _verify_blocks(asked: Resources) -> None:
    if asked.blkio_weight and not 10 <= asked.blkio_weight <= 1000:
        raise InvalidInput("Range of blkio weight is from 10 to 1000", hint=f"--blkio-weight was {asked.blkio_weight}")
    for entry in asked.blkio_weight_devices:
        if entry.rate and not 10 <= entry.rate <= 1000:
            raise InvalidInput(f"invalid weight for device: {entry.path}:{entry.rate}",
                               hint="--blkio-weight-device takes 10 to 1000, and 0 for none")  # fmt: skip
    for entry in (*asked.read_bps, *asked.write_bps, *asked.read_iops, *asked.write_iops):
        if entry.rate < 0:
            raise InvalidInput(f"invalid rate for device: {entry.path}:{entry.rate}", hint="a rate is not negative")


def _lacks(what: str, discarded: str) -> str:
    return f"Your kernel does not support {what} or the cgroup is not mounted. {discarded} discarded."


def listed(text: str) -> frozenset[int]:
    """The numbers of a list such as ``0-2,4`` (cpuset(7), "List format").

    Raises:
        ValueError: it is none.
    """
    return frozenset(_numbers(text)) if text else frozenset()


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and first.isascii() and (not dash or (last.isdecimal() and last.isascii()))):
            raise ValueError(text)
        begin, end = int(first), int(last or first)
        if end < begin or end > _MOST_LISTED:
            raise ValueError(text)
        yield from range(begin, end + 1)


def merge(kept: Resources, changes: Resources) -> Resources:
    """Limits with changes laid over them; what a change leaves at its default stays.

    Raises:
        Conflict: a change that what is set already stands against, in Docker's words.
    """
    for new, old, words in (
        (changes.nano_cpus, kept.cpu_period, "Nano CPUs cannot be updated as CPU Period has already been set"),
        (changes.nano_cpus, kept.cpu_quota, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        (changes.cpu_quota, kept.nano_cpus, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        (changes.cpu_period, kept.nano_cpus, "CPU Period cannot be updated as NanoCPUs has already been set"),
    ):
        if new and old:
            raise Conflict(f"Conflicting options: {words}")
    if changes.memory and not changes.memory_swap and 0 < kept.memory_swap < changes.memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            hint=f"--memory-swap is {kept.memory_swap} now: give it anew, -1 for no limit",
        )
    if changes.memory_swap > 0 and not changes.memory and changes.memory_swap < kept.memory:
        raise Conflict("Minimum memoryswap limit should be larger than memory limit, see usage",
                       hint=f"--memory is {kept.memory} now")  # fmt: skip
    given = {
        key: value
        for key in Resources.__struct_fields__
        if key != "shm_size" and (value := getattr(changes, key)) != getattr(_DEFAULTS, key)
    }
    return msgspec.structs.replace(kept, **given)


def with_lifted(resources: Resources, before: Resources, emptied: Collection[str]) -> Resources:
    """Limits with what ``emptied`` lists have lost at 0, which is no limit to a cgroup; devices that are gone not."""
    lifted = {}
    for key in emptied:
        now = getattr(resources, key)
        paths = {rate.path for rate in now}
        before_it = (rate.path for rate in getattr(before, key) if os.path.exists(rate.path))
        gone = (DeviceRate(path, 0) for path in before_it if path not in paths)
        lifted[key] = (*gone, *now)
    return msgspec.structs.replace(resources, **lifted)


def cgroup_limits(resources: Resources, number: Callable[[str], str] | None = None) -> LinuxResources:
    """What is written into cgroups, without the devices.

    Args:
        resources: verified.
        number: the ``MAJOR:MINOR`` of a block device's path; by default the machine's own.

    Raises:
        InvalidInput: a path that is no block device.
    """
    quota = resources.nano_cpus * _CPU_PERIOD // _CPU
    rates = {key: _numbered(getattr(resources, key), number or device_number) for key in _RATES}
    plain = LinuxResources(
        memory=resources.memory,
        memory_reservation=resources.memory_reservation,
        memory_swap=resources.memory_swap,
        memory_swappiness=resources.memory_swappiness,
        disable_oom_killer=resources.oom_kill_disable,
        cpu_shares=resources.cpu_shares,
        cpu_quota=max(quota, _LEAST_QUOTA) if quota else resources.cpu_quota,
        cpu_period=_CPU_PERIOD if quota else resources.cpu_period,
        cpu_realtime_period=resources.cpu_realtime_period,
        cpu_realtime_runtime=resources.cpu_realtime_runtime,
        cpus=resources.cpuset_cpus,
        mems=resources.cpuset_mems,
        pids=resources.pids,
        blkio_weight=resources.blkio_weight,
    )
    return msgspec.structs.replace(plain, **rates)


_RATES = ("blkio_weight_devices", "read_bps", "write_bps", "read_iops", "write_iops")


def _numbered(rates: tuple[DeviceRate, ...], number: Callable[[str], str]) -> tuple[BlockDeviceLimit, ...]:
    return tuple(BlockDeviceLimit(number(rate.path), rate.rate) for rate in rates)


def device_number(path: str) -> str:
    """The ``MAJOR:MINOR`` of a block device of this machine.

    Raises:
        InvalidInput: there is no such device.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidInput(
            f"no such device: {path!r}: {(error.strerror or str(error)).lower()}",
            hint="limits of block devices take the path of one: /dev/sda",
        ) from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidInput(f"{path!r} is no block device", hint="lsblk lists those that there are")
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def without_devices(limits: LinuxResources) -> Mapping[str, Any]:
    """The limits of an update as the monitor takes them."""
    found: dict[str, Any] = msgspec.to_builtins(limits)
    found.pop("devices", None)
    return found
