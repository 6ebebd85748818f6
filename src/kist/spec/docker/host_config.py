"""HostConfig of a create body: what is read, what has no effect here, and everything else named and refused."""

from collections.abc import Mapping
from typing import Any

from kist.errors import InvalidInput
from kist.spec.container import OWN_RUNTIMES, ContainerOptions, LogConfig, Namespaces
from kist.spec.docker import devices, fields, networking, resources, restart
from kist.spec.docker.mounts import write_mounts
from kist.spec.resources import Resources
from kist.spec.runtime import MASKED_PATHS, READONLY_PATHS

# Read here, or by the readers of its parts.
_READ = frozenset(
    {
        "Annotations", "AutoRemove", "Binds", "CapAdd", "CapDrop", "CgroupParent", "CgroupnsMode", "ConsoleSize",
        "ContainerIDFile", "GroupAdd", "Init", "IpcMode", "Isolation", "LogConfig", "MaskedPaths", "Mounts",
        "OomScoreAdj", "PidMode", "Privileged", "ReadonlyPaths", "ReadonlyRootfs", "RestartPolicy", "Runtime",
        "SecurityOpt", "StorageOpt", "Sysctls", "Tmpfs", "UTSMode", "UsernsMode", "VolumeDriver", "VolumesFrom",
    }
    | resources.READ
    | devices.READ
    | networking.READ
)  # fmt: skip
# Without effect: Windows only; of the past.
_WITHOUT_EFFECT = frozenset({"Cgroup"}) | resources.WITHOUT_EFFECT


def refuse(host: Mapping[str, Any]) -> None:
    """Raise ``Unsupported`` for the first field that Kist does not know."""
    fields.refuse_unknown(host, _READ | _WITHOUT_EFFECT, {}, "HostConfig.")


def read_settings(host: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of ``ContainerOptions`` that HostConfig spells, but for mounts and the network.

    Raises:
        InvalidInput: a field has the wrong type or an impossible value.
    """
    isolation = fields.text(host, "Isolation")
    if isolation not in {"", "default"}:
        raise InvalidInput(f"invalid isolation '{isolation}' on linux", hint="it is default, or left out")
    runtime = fields.text(host, "Runtime")
    return {
        "resources": resources.read_resources(host),
        "devices": devices.read_devices(host),
        "device_requests": devices.read_device_requests(host),
        "namespaces": Namespaces(
            ipc=fields.text(host, "IpcMode"),
            pid=fields.text(host, "PidMode"),
            uts=fields.text(host, "UTSMode"),
            cgroup=fields.text(host, "CgroupnsMode"),
            user=fields.text(host, "UsernsMode"),
        ),
        "restart": restart.read_restart(fields.table(host, "RestartPolicy")),
        "log": _read_log(fields.table(host, "LogConfig")),
        "masked_paths": _read_paths(host, "MaskedPaths"),
        "readonly_paths": _read_paths(host, "ReadonlyPaths"),
        "storage_options": fields.text_table(host, "StorageOpt"),
        "sysctls": fields.text_table(host, "Sysctls"),
        "annotations": fields.text_table(host, "Annotations"),
        "runtime": "" if runtime in OWN_RUNTIMES else runtime,
        **{key: fields.text(host, name) for key, name in _TEXTS.items()},
        **{key: fields.texts(host, name) for key, name in _LISTS.items()},
        **{key: fields.flag(host, name) for key, name in _FLAGS.items()},
        "oom_score_adj": fields.number(host, "OomScoreAdj"),
        "console_size": fields.console_size(host),
    }


_TEXTS = {
    "cgroup_parent": "CgroupParent",
    "volume_driver": "VolumeDriver",
    "container_id_file": "ContainerIDFile",
}
_LISTS = {
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "group_add": "GroupAdd",
    "security_options": "SecurityOpt",
    "volumes_from": "VolumesFrom",
}
_FLAGS = {
    "auto_remove": "AutoRemove",
    "init": "Init",
    "privileged": "Privileged",
    "read_only": "ReadonlyRootfs",
}


def _read_log(log: dict[str, Any]) -> LogConfig:
    return LogConfig(fields.text(log, "Type"), fields.text_table(log, "Config"))


def _read_paths(host: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    return None if host.get(name) is None else fields.texts(host, name)


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
    "ShmSize": Resources().shm_size,
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


_OPEN_PATHS = "systempaths=unconfined"
_SHOWN = {"Runtime": "kist", "IpcMode": "private", "CgroupnsMode": "private"}


def write_settings(options: ContainerOptions) -> dict[str, Any]:
    """The fields of HostConfig that Kist reads, but for the network: what a create body needs."""
    spaces = options.namespaces
    host: dict[str, Any] = {
        **resources.write_resources(options.resources),
        **devices.write_devices(options.devices, options.device_requests),
        **{name: getattr(options, key) for key, name in (_TEXTS | _FLAGS).items() if key != "init"},
        **{name: list(getattr(options, key)) or None for key, name in _LISTS.items()},
        "IpcMode": spaces.ipc,
        "PidMode": spaces.pid,
        "UTSMode": spaces.uts,
        "CgroupnsMode": spaces.cgroup,
        "UsernsMode": spaces.user,
        "RestartPolicy": restart.write_restart(options.restart),
        "LogConfig": {"Type": options.log.driver, "Config": options.log.options},
        "OomScoreAdj": options.oom_score_adj,
        "ConsoleSize": list(options.console_size),
        "Runtime": options.runtime,
    }
    present = {
        "Init": options.init,
        "StorageOpt": options.storage_options,
        "Sysctls": options.sysctls,
        "Annotations": options.annotations,
    }
    host |= {name: value for name, value in present.items() if value}
    paths = {"MaskedPaths": options.masked_paths, "ReadonlyPaths": options.readonly_paths}
    host |= {name: list(value) for name, value in paths.items() if value is not None}
    return host | write_mounts(options.mounts)


def write_host_config(options: ContainerOptions) -> dict[str, Any]:
    """HostConfig as inspect shows it, every field of Docker's present, and what stands for an empty one."""
    _, network = networking.write_networking(options.networking, options.network)
    written = _DEFAULTS | write_settings(options) | network
    for name, own in _SHOWN.items():
        written[name] = written[name] or own
    opened = options.privileged or _OPEN_PATHS in options.security_options
    for name, usual in (("MaskedPaths", MASKED_PATHS), ("ReadonlyPaths", READONLY_PATHS)):
        written.setdefault(name, None if opened else list(usual))
    if not written["LogConfig"]["Type"]:
        written["LogConfig"] = {"Type": "json-file", "Config": {}}
    return written
