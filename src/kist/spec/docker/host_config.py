"""HostConfig of a create body: what is read, what is harmless, and everything else named and refused."""

from collections.abc import Mapping
from typing import Any

from kist.errors import InvalidInput, Unsupported
from kist.spec.container import ContainerOptions, NetworkMode, Resources
from kist.spec.docker import fields
from kist.spec.docker.mounts import write_mounts

_DEFAULT_SHM = Resources().shm_size
_LOWEST_MEMORY = 6 << 20

# Read here or in ``mounts``.
_READ = frozenset(
    {
        "AutoRemove", "Binds", "CapAdd", "CapDrop", "Init", "LogConfig", "MaskedPaths", "Memory", "MemorySwap",
        "Mounts", "NanoCpus", "NetworkMode", "PidsLimit", "PortBindings", "ReadonlyPaths", "ReadonlyRootfs",
        "RestartPolicy", "ShmSize", "Tmpfs",
    }
)  # fmt: skip
# Without effect in the engine: the client writes the id file and resizes the terminal itself; Windows only.
_WITHOUT_EFFECT = frozenset(
    {"ConsoleSize", "ContainerIDFile", "CpuCount", "CpuPercent", "IOMaximumBandwidth", "IOMaximumIOps"}
)
# Values that ask for what Kist does anyway.
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "CgroupnsMode": ("private",),
    "IpcMode": ("private", "shareable"),
    "Isolation": ("default",),
    "MemorySwappiness": (-1,),
    "Runtime": ("kist", "runc"),
    "UsernsMode": ("host",),
    "VolumeDriver": ("local",),
}
_HINTS = {
    "PortBindings": "reach the container by its own address, or use the network mode host",
    "PublishAllPorts": "reach the container by its own address, or use the network mode host",
    "CpuQuota": "use NanoCpus (--cpus)",
}
_NETWORK_MODES: dict[str, NetworkMode] = {
    "": "bridge", "default": "bridge", "bridge": "bridge", "host": "host", "none": "none",
}  # fmt: skip


def refuse(host: Mapping[str, Any]) -> None:
    """Raise ``Unsupported`` for the first field that would change behaviour and that Kist does not do."""
    try:
        fields.refuse_unknown(host, _READ | _WITHOUT_EFFECT, _HARMLESS, "HostConfig.")
    except Unsupported as error:
        name = error.message.split(" ", 1)[0].removeprefix("HostConfig.")
        error.hint = _HINTS.get(name, error.hint)
        raise
    _refuse_ports(fields.table(host, "PortBindings"))
    _refuse_restart(fields.table(host, "RestartPolicy"))
    _refuse_log(fields.table(host, "LogConfig"))
    for name in ("MaskedPaths", "ReadonlyPaths"):
        if host.get(name) is not None:
            raise Unsupported(f"HostConfig.{name} is not supported yet", hint="the default paths are always protected")


def _refuse_ports(ports: dict[str, Any]) -> None:
    if ports:
        shown = ", ".join(sorted(ports))
        raise Unsupported(
            f"HostConfig.PortBindings is not supported yet: ports cannot be published ({shown})",
            hint=_HINTS["PortBindings"],
        )


def _refuse_restart(policy: dict[str, Any]) -> None:
    name = fields.text(policy, "Name")
    if name in {"", "no"}:
        return
    if name not in {"always", "unless-stopped", "on-failure"}:
        raise InvalidInput(
            f"invalid restart policy: unknown policy '{name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    raise Unsupported(f"HostConfig.RestartPolicy {name!r} is not supported yet", hint="use the restart policy no")


def _refuse_log(log: dict[str, Any]) -> None:
    driver, config = fields.text(log, "Type"), fields.table(log, "Config")
    if driver not in {"", "json-file", "local"} or config:
        raise Unsupported(
            f"HostConfig.LogConfig {driver!r} with {len(config)} options is not supported yet",
            hint="leave the log driver out: kist keeps a bounded log of its own",
        )


def read_network(host: Mapping[str, Any]) -> NetworkMode:
    """The network mode.

    Raises:
        Unsupported: another container's network, or a network that a user made.
    """
    mode = fields.text(host, "NetworkMode")
    if mode not in _NETWORK_MODES:
        raise Unsupported(
            f"HostConfig.NetworkMode {mode!r} is not supported yet", hint="the network modes are bridge, host and none"
        )
    return _NETWORK_MODES[mode]


def read_resources(host: Mapping[str, Any]) -> Resources:
    """The limits.

    Raises:
        InvalidInput: a limit is negative or too low to run anything.
    """
    memory, cpus, shm = (fields.number(host, name) for name in ("Memory", "NanoCpus", "ShmSize"))
    pids = fields.number(host, "PidsLimit")
    if memory and memory < _LOWEST_MEMORY:
        raise InvalidInput("Minimum memory limit allowed is 6MB")
    if cpus < 0:
        raise InvalidInput(f"invalid NanoCpus {cpus}: the number of CPUs cannot be negative")
    if shm < 0:
        raise InvalidInput("SHM size can not be less than 0")
    swap = fields.number(host, "MemorySwap")
    if swap not in {0, memory, 2 * memory}:
        raise Unsupported("HostConfig.MemorySwap is not supported yet", hint="limit Memory alone")
    return Resources(memory=memory, nano_cpus=cpus, pids=max(pids, 0), shm_size=shm or _DEFAULT_SHM)


# What inspect shows for everything that Kist has no setting for, in Docker's order of fields.
_DEFAULTS: dict[str, Any] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "bridge",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumeDriver": "",
    "VolumesFrom": None,
    "ConsoleSize": [0, 0],
    "CapAdd": None,
    "CapDrop": None,
    "CgroupnsMode": "private",
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Cgroup": "",
    "Links": None,
    "OomScoreAdj": 0,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "UsernsMode": "",
    "ShmSize": _DEFAULT_SHM,
    "Runtime": "kist",
    "Isolation": "",
    "CpuShares": 0,
    "Memory": 0,
    "NanoCpus": 0,
    "CgroupParent": "",
    "BlkioWeight": 0,
    "BlkioWeightDevice": [],
    "BlkioDeviceReadBps": [],
    "BlkioDeviceWriteBps": [],
    "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteIOps": [],
    "CpuPeriod": 0,
    "CpuQuota": 0,
    "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0,
    "CpusetCpus": "",
    "CpusetMems": "",
    "Devices": [],
    "DeviceCgroupRules": None,
    "DeviceRequests": None,
    "MemoryReservation": 0,
    "MemorySwap": 0,
    "MemorySwappiness": None,
    "OomKillDisable": None,
    "PidsLimit": None,
    "Ulimits": [],
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
}


def write_settings(options: ContainerOptions) -> dict[str, Any]:
    """The fields of HostConfig that Kist reads: what a create body needs."""
    limits = options.resources
    host: dict[str, Any] = {
        "NetworkMode": options.network,
        "AutoRemove": options.auto_remove,
        "CapAdd": list(options.cap_add) or None,
        "CapDrop": list(options.cap_drop) or None,
        "ReadonlyRootfs": options.read_only,
        "ShmSize": limits.shm_size,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "PidsLimit": limits.pids or None,
    }
    if options.init:
        host["Init"] = True
    return host | write_mounts(options.mounts)


def write_host_config(options: ContainerOptions) -> dict[str, Any]:
    """HostConfig as inspect shows it, every field of Docker's present."""
    return _DEFAULTS | write_settings(options)
