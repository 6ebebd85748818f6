"""The limits in HostConfig and in the body of an update (Engine API, "Resources")."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from kist.errors import InvalidInput
from kist.spec.container import RestartPolicy
from kist.spec.docker import fields
from kist.spec.docker.restart import read_restart, write_restart
from kist.spec.resources import DeviceRate, Resources, Ulimit

_DEFAULT_SHM = Resources().shm_size

# Fields of Resources and of HostConfig: numbers, texts, and lists of a device and a number.
NUMBERS = {
    "memory": "Memory",
    "memory_reservation": "MemoryReservation",
    "memory_swap": "MemorySwap",
    "cpu_shares": "CpuShares",
    "nano_cpus": "NanoCpus",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_realtime_period": "CpuRealtimePeriod",
    "cpu_realtime_runtime": "CpuRealtimeRuntime",
    "blkio_weight": "BlkioWeight",
}
TEXTS = {"cpuset_cpus": "CpusetCpus", "cpuset_mems": "CpusetMems"}
RATES = {
    "blkio_weight_devices": ("BlkioWeightDevice", "Weight"),
    "read_bps": ("BlkioDeviceReadBps", "Rate"),
    "write_bps": ("BlkioDeviceWriteBps", "Rate"),
    "read_iops": ("BlkioDeviceReadIOps", "Rate"),
    "write_iops": ("BlkioDeviceWriteIOps", "Rate"),
}
READ = frozenset(
    {
        *NUMBERS.values(), *TEXTS.values(), *(name for name, _ in RATES.values()),
        "DeviceCgroupRules", "MemorySwappiness", "OomKillDisable", "PidsLimit", "ShmSize", "Ulimits",
    }
)  # fmt: skip
# Of kernels and clients of the past, without effect in today's Docker as well; Windows only.
WITHOUT_EFFECT = frozenset({
    "KernelMemory", "KernelMemoryTCP",
    "CpuCount", "CpuPercent", "IOMaximumBandwidth", "IOMaximumIOps",
})  # fmt: skip


def read_resources(host: Mapping[str, Any]) -> Resources:
    """The limits, as they were written: whether this machine can keep them, the engine finds out.

    Raises:
        InvalidInput: a field has the wrong type.
    """
    shm = fields.number(host, "ShmSize")
    if shm < 0:
        raise InvalidInput("SHM size can not be less than 0")
    swappiness = host.get("MemorySwappiness")
    values: dict[str, Any] = {key: fields.number(host, name) for key, name in NUMBERS.items()}
    values |= {key: fields.text(host, name) for key, name in TEXTS.items()}
    values |= {key: _read_rates(host, name, number) for key, (name, number) in RATES.items()}
    return Resources(
        **values,
        memory_swappiness=-1 if swappiness is None else fields.number(host, "MemorySwappiness"),
        oom_kill_disable=fields.flag(host, "OomKillDisable"),
        pids=fields.number(host, "PidsLimit"),
        shm_size=shm or _DEFAULT_SHM,
        ulimits=tuple(_read_ulimit(entry) for entry in fields.items(host, "Ulimits")),
        device_rules=fields.texts(host, "DeviceCgroupRules"),
    )


def _read_rates(host: Mapping[str, Any], name: str, number: str) -> tuple[DeviceRate, ...]:
    entries = [fields.object_of(entry, name) for entry in fields.items(host, name)]
    return tuple(DeviceRate(fields.text(entry, "Path"), fields.number(entry, number)) for entry in entries)


def _read_ulimit(value: Any) -> Ulimit:
    entry = fields.object_of(value, "Ulimits")
    return Ulimit(fields.text(entry, "Name"), fields.number(entry, "Soft"), fields.number(entry, "Hard"))


def write_resources(limits: Resources) -> dict[str, Any]:
    """The fields of HostConfig; ``read_resources`` gives them back."""
    host: dict[str, Any] = {name: getattr(limits, key) for key, name in (NUMBERS | TEXTS).items()}
    for key, (name, number) in RATES.items():
        host[name] = [{"Path": rate.path, number: rate.rate} for rate in getattr(limits, key)]
    return host | {
        "MemorySwappiness": limits.memory_swappiness if limits.memory_swappiness >= 0 else None,
        "OomKillDisable": limits.oom_kill_disable or None,
        "PidsLimit": limits.pids or None,
        "ShmSize": limits.shm_size,
        "Ulimits": [{"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in limits.ulimits],
        "DeviceCgroupRules": list(limits.device_rules) or None,
    }


class Update(NamedTuple):
    """The body of an update.

    Attributes:
        changes: of limits; what is at its default stays as it is.
        restart: None leaves the policy.
        emptied: the lists of ``changes`` (``read_bps``, …) that were given with nothing in them: none any more.
    """

    changes: Resources
    restart: RestartPolicy | None
    emptied: frozenset[str]


def read_update(body: Mapping[str, Any]) -> Update:
    """The body of an update. A list of block devices that is null, or is not there, stays as it is.

    Raises:
        InvalidInput: a field has the wrong type or an impossible value.
        Unsupported: a field that cannot be changed.
    """
    fields.refuse_unknown(body, READ | WITHOUT_EFFECT | {"RestartPolicy"}, {})
    emptied = frozenset(key for key, (name, _) in RATES.items() if body.get(name) == [])
    policy = fields.table(body, "RestartPolicy")
    return Update(read_resources(body), read_restart(policy) if policy.get("Name") else None, emptied)


def write_update(changes: Resources, restart: RestartPolicy | None, emptied: Collection[str] = ()) -> dict[str, Any]:
    """The body of an update; ``read_update`` gives the three back."""
    body = {name: value for name, value in write_resources(changes).items() if value}
    body |= {RATES[key][0]: [] for key in emptied}
    body.pop("ShmSize", None)
    if changes.memory_swappiness >= 0:
        body["MemorySwappiness"] = changes.memory_swappiness
    if restart is not None:
        body["RestartPolicy"] = write_restart(restart)
    return body
