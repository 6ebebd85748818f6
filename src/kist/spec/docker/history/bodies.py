"""Fields of requests' bodies that were not there yet at some versions, or meant something else.

What Docker ignores at a version is taken out, what it refuses is refused in its words, and what it reads at every
version (most fields) is left alone. The readers of ``kist.spec.docker`` get a body of the newest version.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from kist.errors import InvalidInput
from kist.spec.docker import fields
from kist.spec.docker.history.rows import History, Holder, Row, Version, added, done

SYSCTLS = "com.docker.network.endpoint.sysctls"
"""An endpoint's driver option: settings of its own device, which is called ``IFNAME`` there."""


def _refused(path: str, until: Version, message: str, *, since: Version = (1, 24)) -> Row:
    return done(path, until, partial(_refuse, message), since=since)


def _refuse(message: str, holder: Holder, name: str) -> None:
    if holder.get(name):
        raise InvalidInput(message)


def _share_ipc(holder: Holder, name: str) -> None:
    holder[name] = holder.get(name) or "shareable"


def _refuse_image(holder: Holder, name: str) -> None:
    if holder.get(name) == "image":
        raise InvalidInput('Mount type "Image" needs API v1.48 or newer')


def _drop_of_another(kind: str, holder: Holder, name: str) -> None:
    if holder.get("Type") != kind:
        holder.pop(name, None)


_CREATE = (
    # Before, the client removed it.
    added("HostConfig.AutoRemove", (1, 25)),
    added("HostConfig.Mounts.*.BindOptions.NonRecursive", (1, 40)),
    done("HostConfig.IpcMode", (1, 40), _share_ipc),
    _refused(
        "HostConfig.Capabilities",
        (1, 41),
        "the HostConfig.Capabilities field is not supported by this daemon; use CapAdd and CapDrop to set capabilities",
        since=(1, 40),
    ),
    added("HostConfig.Mounts.*.BindOptions.CreateMountpoint", (1, 42)),
    done("HostConfig.Mounts.*.TmpfsOptions", (1, 42), partial(_drop_of_another, "tmpfs")),
    done("HostConfig.Mounts.*.VolumeOptions", (1, 42), partial(_drop_of_another, "volume")),
    added("HostConfig.ConsoleSize", (1, 42)),
    added("HostConfig.Annotations", (1, 43)),
    added("Healthcheck.StartInterval", (1, 44)),
    _refused(
        "HostConfig.Mounts.*.BindOptions.ReadOnlyForceRecursive",
        (1, 44),
        "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
    ),
    _refused("HostConfig.Mounts.*.VolumeOptions.Subpath", (1, 45), "VolumeOptions.Subpath needs API v1.45 or newer"),
    added("NetworkingConfig.EndpointsConfig.*.GwPriority", (1, 48)),
    done("HostConfig.Mounts.*.Type", (1, 48), _refuse_image),
)

BODIES = History(
    {
        "ContainerCreate": _CREATE,
        "ContainerUpdate": (
            added("PidsLimit", (1, 40)),
            *(
                added(name, (1, 55))
                for name in (
                    "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps",
                    "BlkioWeightDevice",
                )
            ),
        ),
        "ContainerExec": (added("ConsoleSize", (1, 42)),),
        "ExecStart": (added("ConsoleSize", (1, 42)),),
        "NetworkCreate": (added("EnableIPv4", (1, 48)),),
        "NetworkConnect": (added("EndpointConfig.MacAddress", (1, 54)),),
    }
)  # fmt: skip


def container_create(version: Version, body: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body of ContainerCreate as the newest version has it, and what the client is to be warned of.

    Raises:
        InvalidInput: the version has no such thing, or a field that is read here has the wrong type.
    """
    asked: dict[str, Any] = BODIES.at(
        version, "ContainerCreate", {**body, "HostConfig": fields.table(body, "HostConfig")}
    )
    mode, endpoints = _endpoints(asked)
    if version < (1, 44) and len(endpoints) > 1:
        named = ", ".join(endpoints)
        raise InvalidInput(f"Container cannot be created with multiple network endpoints: {named}")
    warnings = [_unheard_driver(version, asked)]
    endpoints, told = _own_mac(version, asked, mode, endpoints)
    warnings.append(told)
    endpoints, host, told = _own_sysctls(version, asked["HostConfig"], mode, endpoints)
    warnings += [told, _empty_bindings(version, host)]
    asked = {**asked, "HostConfig": host}
    asked.pop("MacAddress", None)
    if endpoints:
        asked["NetworkingConfig"] = {**fields.table(asked, "NetworkingConfig"), "EndpointsConfig": endpoints}
    return asked, tuple(filter(None, warnings))


Endpoints = dict[str, dict[str, Any]]


def _endpoints(body: Mapping[str, Any]) -> tuple[str, Endpoints]:
    """The network that the container is on, and what is told of its ends; the default one goes by its own name."""
    mode = fields.text(body["HostConfig"], "NetworkMode")
    mode = "bridge" if mode in {"", "default"} else mode
    told = fields.table(fields.table(body, "NetworkingConfig"), "EndpointsConfig")
    ends = {name: fields.object_of(end or {}, "EndpointsConfig") for name, end in told.items()}
    if mode == "bridge" and "default" in ends:
        ends["bridge"] = ends.pop("default")
    return mode, ends


def _is_private(mode: str) -> bool:
    return mode != "host" and not mode.startswith("container:")


def _own_mac(version: Version, body: Mapping[str, Any], mode: str, endpoints: Endpoints) -> tuple[Endpoints, str]:
    """``MacAddress`` of the container is that of its end on its first network; from 1.52 on it is refused."""
    mac = fields.text(body, "MacAddress")
    joins = _is_private(mode) and mode != "none"
    if version < (1, 44):
        if not mac:  # an end had no such field
            return {name: {**end, "MacAddress": ""} for name, end in endpoints.items()}, ""
        if not joins:
            raise InvalidInput("conflicting options: mac-address and the network mode")
        name = next(iter(endpoints), mode)
        return {name: {**endpoints.get(name, {}), "MacAddress": mac}}, ""
    if not mac:
        return endpoints, ""
    if version >= (1, 52):
        raise InvalidInput("container-wide MAC address no longer supported; use endpoint-specific MAC address instead")
    warning = (
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
    )
    if not joins:
        return endpoints, warning
    end = _end_of(mode, endpoints)
    if end.get("MacAddress") and end["MacAddress"] != mac:
        raise InvalidInput(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )
    return {**endpoints, mode: {**end, "MacAddress": mac}}, warning


def _end_of(mode: str, endpoints: Endpoints) -> dict[str, Any]:
    """What is told of the end that settings of the whole container are for."""
    if endpoints and mode not in endpoints:
        raise InvalidInput("HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks")
    return endpoints.get(mode, {})


def _own_sysctls(
    version: Version, host: Mapping[str, Any], mode: str, endpoints: Endpoints
) -> tuple[Endpoints, dict[str, Any], str]:
    """Settings of one device, as ``net.ipv4.conf.eth0.forwarding``: from 1.48 on they are an option of the end."""
    settings = fields.text_table(host, "Sysctls")
    of_devices = {name: words for name in settings if (words := _of_device(name))}
    if not of_devices or not _is_private(mode):
        return endpoints, dict(host), ""
    first = next(iter(of_devices))
    if version >= (1, 48):
        raise InvalidInput(
            f"interface specific sysctl setting \"{first}\" must be supplied using driver option '{SYSCTLS}'"
        )
    name = mode if version >= (1, 44) else next(iter(endpoints), mode)
    end = _end_of(name, endpoints)
    for setting, words in of_devices.items():
        if words[3] != "eth0":
            raise InvalidInput(
                f"unable to determine network endpoint for sysctl {setting}, use driver option '{SYSCTLS}' "
                "to set per-interface sysctls"
            )
    moved = ",".join(
        f"net.{words[1]}.{words[2]}.IFNAME.{words[4]}={settings[setting]}" for setting, words in of_devices.items()
    )
    options = fields.text_table(end, "DriverOpts")
    told = ",".join(filter(None, (moved, options.get(SYSCTLS))))
    endpoints = {**endpoints, name: {**end, "DriverOpts": {**options, SYSCTLS: told}}}
    kept = {name: value for name, value in settings.items() if name not in of_devices}
    warning = f'Migrated sysctl "{",".join(of_devices)}" to DriverOpts{{"{SYSCTLS}":"{moved}"}}.'
    return endpoints, {**host, "Sysctls": kept}, warning


def _of_device(name: str) -> list[str]:
    words = name.split(".", 4)
    return words if len(words) == 5 and words[0] == "net" and words[3].startswith("eth") else []


def _unheard_driver(version: Version, body: Mapping[str, Any]) -> str:
    host = body["HostConfig"]
    if version < (1, 48) or not fields.text(host, "VolumeDriver"):
        return ""
    for mount in fields.items(host, "Mounts"):
        if not isinstance(mount, dict) or mount.get("Type") != "volume":
            continue
        driver = fields.table(fields.table(mount, "VolumeOptions"), "DriverConfig")
        if not fields.text(driver, "Name"):
            return (
                "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. "
                "Use '--mount type=volume,volume-driver=...' instead"
            )
    return ""


def _empty_bindings(version: Version, host: Mapping[str, Any]) -> str:
    empty = [port for port, bindings in fields.table(host, "PortBindings").items() if not bindings]
    if version < (1, 52) or not empty:
        return ""
    return (
        f"Following container port(s) have an empty list of port-bindings: {', '.join(empty)}. "
        "Such bindings will be discarded in a future version."
    )
