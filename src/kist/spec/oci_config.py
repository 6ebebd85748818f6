"""A runtime specification as config.json of the OCI (config.md and config-linux.md of 1.2; 1.0.2 reads it too): pure.

It is for outside runtimes. What only the machine knows is left to ``kist.runtime.bundle``: the numbers of a user who is
named, and with them the home and the capabilities that the command holds.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kist.spec.cdi import Hook
from kist.spec.mount import Mount
from kist.spec.runtime import BlockDeviceLimit, DeviceNode, DeviceRule, LinuxResources, Process, RuntimeSpec

VERSION = "1.0.2"
# Kist's own words among the options of mounts, that no runtime knows.
_OURS = frozenset(
    {"create", "nocopy", "U", "z", "Z", "consistent", "cached", "delegated", "host", "bind", "ro-top", "rw"}
)
_PROPAGATION = ("shared", "slave", "private")
_NAMES = {"pid", "mount", "ipc", "uts", "cgroup", "network", "user"}
_ANY = -1


def oci_config(
    spec: RuntimeSpec,
    *,
    root: str = "rootfs",
    seccomp: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The configuration, as JSON has it.

    Args:
        spec: what is to be. Of ``process.user`` only numbers are taken.
        root: the directory of the root file system, absolute or below the bundle.
        seccomp: ``linux.seccomp`` (``kist.runtime.seccomp.oci``); None for no filter.
        annotations: as they are.
    """
    config: dict[str, Any] = {
        "ociVersion": VERSION,
        "process": _process(spec.process),
        "root": {"path": root, "readonly": spec.read_only},
        "mounts": [_mount(mount) for mount in spec.mounts],
        "linux": _linux(spec, seccomp),
    }
    if spec.hostname and "uts" in spec.linux.namespaces:
        config["hostname"] = spec.hostname
        if spec.domainname:
            config["domainname"] = spec.domainname
    if annotations:
        config["annotations"] = dict(annotations)
    if spec.hooks:
        config["hooks"] = _hooks(spec.hooks)
    return config


def _hooks(hooks: Iterable[Hook]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for hook in hooks:
        written: dict[str, Any] = {"path": hook.path}
        if hook.args:
            written["args"] = list(hook.args)
        if hook.env:
            written["env"] = list(hook.env)
        if hook.timeout:
            written["timeout"] = hook.timeout
        found.setdefault(hook.hook_name, []).append(written)
    return found


def _process(process: Process) -> dict[str, Any]:
    who = process.user
    user: dict[str, Any] = {"uid": who.uid, "gid": who.gid}
    if who.additional_gids:
        user["additionalGids"] = list(who.additional_gids)
    held = list(process.capabilities)
    written: dict[str, Any] = {
        "terminal": process.terminal,
        "user": user,
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd,
        # As in Docker no set is inheritable or ambient: those would be given on to what is not to have them.
        "capabilities": {"bounding": held, "effective": held, "permitted": held},
        "noNewPrivileges": process.no_new_privileges,
    }
    height, width = process.console_size
    if process.terminal and height and width:
        written["consoleSize"] = {"height": height, "width": width}
    if process.rlimits:
        written["rlimits"] = [
            {"type": each.type, "soft": _unsigned(each.soft), "hard": _unsigned(each.hard)} for each in process.rlimits
        ]
    if process.oom_score_adj:
        written["oomScoreAdj"] = process.oom_score_adj
    return written


def _unsigned(limit: int) -> int:
    """RLIM_INFINITY, which Python knows as -1, is the largest number there."""
    return limit if limit >= 0 else 2**64 - 1


def _mount(mount: Mount) -> dict[str, Any]:
    options = [option for option in mount.options if option not in _OURS]
    if mount.type in {"bind", "joined"}:
        return {"destination": mount.target, "type": "bind", "source": mount.source, "options": _bind(mount, options)}
    if mount.type == "cgroup" and "ro" not in options:
        options.append("rw")
    return {"destination": mount.target, "type": mount.type, "source": mount.source, "options": options}


def _bind(mount: Mount, options: list[str]) -> list[str]:
    """``ro`` is meant for all that is mounted below the source too, which takes a word of its own (``rro``)."""
    chosen = ["bind" if "bind" in mount.options else "rbind"]
    if "ro-top" in mount.options:
        chosen.append("ro")
    elif "ro" in options and "rbind" in chosen:
        chosen.append("rro")
    if not any(option.removeprefix("r") in _PROPAGATION for option in options):
        chosen.append("rprivate")
    return chosen + [option for option in options if option not in chosen and option != "rbind"]


def _linux(spec: RuntimeSpec, seccomp: Mapping[str, Any] | None) -> dict[str, Any]:
    linux = spec.linux
    written: dict[str, Any] = {
        "namespaces": _namespaces(spec),
        "resources": _resources(linux.resources),
        "maskedPaths": list(linux.masked_paths),
        "readonlyPaths": list(linux.readonly_paths),
    }
    if linux.sysctl:
        written["sysctl"] = dict(linux.sysctl)
    if linux.cgroups_path:
        written["cgroupsPath"] = f"/{linux.cgroups_path.strip('/')}"
    if linux.devices:
        written["devices"] = [_device(node) for node in linux.devices]
    if seccomp is not None:
        written["seccomp"] = dict(seccomp)
    asked = {option.removeprefix("r") for mount in spec.mounts if mount.type == "bind" for option in mount.options}
    propagation = next((word for word in _PROPAGATION[:2] if word in asked), "")
    if propagation:
        written["rootfsPropagation"] = f"r{propagation}"
    return written


def _namespaces(spec: RuntimeSpec) -> list[dict[str, Any]]:
    """Those of its own, and by the paths of /proc those of others; what is not named is the runtime's own."""
    own: list[dict[str, Any]] = [{"type": kind} for kind in spec.linux.namespaces if kind in _NAMES]
    files = {"network": "net", "mount": "mnt"}
    return own + [
        {"type": kind, "path": f"/proc/{other.pid}/ns/{files.get(kind, kind)}"}
        for other in spec.linux.joined
        for kind in other.kinds
    ]


def _device(node: DeviceNode) -> dict[str, Any]:
    return {
        "path": node.path,
        "type": node.type,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.mode,
        "uid": node.uid,
        "gid": node.gid,
    }


def _resources(resources: LinuxResources) -> dict[str, Any]:
    parts = {
        "devices": [_rule(rule) for rule in resources.devices],
        "memory": _memory(resources),
        "cpu": _set(
            ("shares", resources.cpu_shares),
            ("quota", resources.cpu_quota),
            ("period", resources.cpu_period),
            ("realtimeRuntime", resources.cpu_realtime_runtime),
            ("realtimePeriod", resources.cpu_realtime_period),
            ("cpus", resources.cpus),
            ("mems", resources.mems),
        ),
        "pids": _set(("limit", resources.pids)),
        "blockIO": _set(
            ("weight", resources.blkio_weight),
            ("weightDevice", _of_devices(resources.blkio_weight_devices, "weight")),
            ("throttleReadBpsDevice", _of_devices(resources.read_bps, "rate")),
            ("throttleWriteBpsDevice", _of_devices(resources.write_bps, "rate")),
            ("throttleReadIOPSDevice", _of_devices(resources.read_iops, "rate")),
            ("throttleWriteIOPSDevice", _of_devices(resources.write_iops, "rate")),
        ),
    }
    return {name: part for name, part in parts.items() if part}


def _memory(resources: LinuxResources) -> dict[str, Any]:
    found = _set(
        ("limit", resources.memory),
        ("reservation", resources.memory_reservation),
        ("swap", resources.memory_swap),
        ("disableOOMKiller", resources.disable_oom_killer),
    )
    if resources.memory_swappiness >= 0:
        found["swappiness"] = resources.memory_swappiness
    return found


def _set(*values: tuple[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values if value}


def _of_devices(limits: Iterable[BlockDeviceLimit], what: str) -> list[dict[str, int]]:
    found = []
    for limit in limits:
        major, _, minor = limit.device.partition(":")
        found.append({"major": int(major), "minor": int(minor), what: limit.rate})
    return found


def _rule(rule: DeviceRule) -> dict[str, Any]:
    written: dict[str, Any] = {"allow": rule.allow, "access": rule.access}
    if rule.type:
        written["type"] = rule.type
    numbers = {"major": rule.major, "minor": rule.minor}
    return written | {name: number for name, number in numbers.items() if number != _ANY}
