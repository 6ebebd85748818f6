"""Fields of answers, by the operation's name in the definition: since when they are there, and until when.

A field that a version's own definition (or the history) does not have is not in its answers, so that old clients see
what they were written for.
"""

from typing import Any

from kist.spec.docker.history.rows import History, Holder, Row, added, below, changed, hidden, removed
from kist.spec.docker.times import NEVER

_SHORT_ID = 12
_NO_TAG, _NO_DIGEST = "<none>:<none>", "<none>@<none>"
_OWN_NETWORKS = frozenset({"bridge", "default", "host", "none"})

_HEALTHCHECK = (added("StartInterval", (1, 44)), added("StartPeriod", (1, 29)))
_ENDPOINT = (added("DNSNames", (1, 44)), added("GwPriority", (1, 48)), added("DriverOpts", (1, 32)))


def _aliases(answer: Holder) -> Any:
    """Before 1.45 the aliases on networks that somebody made had the container's short id and its host name, too."""
    networks = answer["NetworkSettings"].get("Networks") or {}
    more = (answer["Id"][:_SHORT_ID], answer["Config"]["Hostname"])
    told = {
        name: end if name in _OWN_NETWORKS else end | {"Aliases": list(dict.fromkeys([*(end["Aliases"] or ()), *more]))}
        for name, end in networks.items()
    }
    return answer["NetworkSettings"] | {"Networks": told}


def _of_bridge(field: str, empty: object) -> Row:
    """What the default network's endpoint has, once more for the container as a whole."""
    return removed(field, (1, 52), lambda settings: settings["Networks"].get("bridge", {}).get(field, empty))


_NETWORK_SETTINGS = (
    *(
        removed(field, (1, 52), value)
        for field, value in {
            "Bridge": "", "HairpinMode": False, "LinkLocalIPv6Address": "", "LinkLocalIPv6PrefixLen": 0,
            "SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None,
        }.items()
    ),
    *(_of_bridge(field, "") for field in (
        "EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway", "MacAddress",
    )),
    _of_bridge("GlobalIPv6PrefixLen", 0),
    _of_bridge("IPPrefixLen", 0),
    *below("Networks.*", _ENDPOINT),
)  # fmt: skip

_HOST_CONFIG = (
    added("Annotations", (1, 43)),
    added("CgroupnsMode", (1, 41)),
    added("DeviceRequests", (1, 40)),
    added("MaskedPaths", (1, 38)),
    added("ReadonlyPaths", (1, 38)),
    added("DeviceCgroupRules", (1, 28)),
    *(added(field, (1, 25)) for field in (
        "AutoRemove", "CpuCount", "CpuRealtimePeriod", "CpuRealtimeRuntime", "Init", "Mounts", "NanoCpus",
    )),
    # From 1.42 on it is left out unless it is set, and it is never set here.
    removed("KernelMemory", (1, 42), 0),
    removed("KernelMemoryTCP", (1, 42), 0, since=(1, 40)),
)  # fmt: skip

_CONTAINER = (
    changed("NetworkSettings", (1, 45), _aliases),
    added("ImageManifestDescriptor", (1, 48)),
    added("Storage", (1, 52)),
    removed("Config.OnBuild", (1, 52), None),
    hidden("Config.MacAddress", (1, 52)),
    added("Config.StopTimeout", (1, 25)),
    *below("Config.Healthcheck", _HEALTHCHECK),
    *below("HostConfig", _HOST_CONFIG),
    *below("NetworkSettings", _NETWORK_SETTINGS),
)

_CONTAINER_SUMMARY = (
    added("Health", (1, 52)),
    added("HostConfig.Annotations", (1, 46)),
    added("ImageManifestDescriptor", (1, 48)),
    *below("NetworkSettings.Networks.*", _ENDPOINT),
)

_CONTAINER_STATS = (
    added("os_type", (1, 52)),
    added("cpu_stats.online_cpus", (1, 27)),
    added("precpu_stats.online_cpus", (1, 27)),
)

_VIRTUAL_SIZE = removed("VirtualSize", (1, 44), lambda image: image["Size"])
_IMAGE_USAGE = (_VIRTUAL_SIZE, added("Descriptor", (1, 48)), added("Manifests", (1, 47)))
_IMAGE_SUMMARY = (
    *_IMAGE_USAGE,
    changed("Containers", (1, 51), lambda _image: -1),
    changed("RepoTags", (1, 43), lambda image: image["RepoTags"] or ([] if image["RepoDigests"] else [_NO_TAG])),
    changed(
        "RepoDigests",
        (1, 43),
        lambda image: image["RepoDigests"] or ([_NO_DIGEST] if image["RepoTags"] in ([], [_NO_TAG]) else []),
    ),
)

# Of a container's config, and never of an image: there by mistake, always empty.
_NOT_OF_AN_IMAGE: dict[str, object] = {
    "Hostname": "", "Domainname": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "Tty": False,
    "OpenStdin": False, "StdinOnce": False, "Image": "",
}  # fmt: skip
_NOT_LEFT_OUT: dict[str, object] = {
    "User": "", "Env": None, "Cmd": None, "Volumes": None, "WorkingDir": "", "Entrypoint": None, "OnBuild": None,
    "Labels": None,
}  # fmt: skip

_IMAGE = (
    _VIRTUAL_SIZE,
    removed("Created", (1, 44), NEVER),
    removed("Container", (1, 45), ""),
    removed("ContainerConfig", (1, 45), lambda _image: _NOT_OF_AN_IMAGE | _NOT_LEFT_OUT),
    *(removed(field, (1, 52), "") for field in ("Author", "Comment", "DockerVersion", "Parent")),
    *(removed(f"Config.{field}", (1, 50), value) for field, value in _NOT_OF_AN_IMAGE.items()),
    *(removed(f"Config.{field}", (1, 52), value) for field, value in _NOT_LEFT_OUT.items()),
    *below("Config.Healthcheck", _HEALTHCHECK),
    added("Descriptor", (1, 48)),
    added("Identity", (1, 53)),
    added("Manifests", (1, 48)),
    added("Metadata", (1, 31)),
    added("Variant", (1, 39)),
)

_NETWORK = (added("EnableIPv4", (1, 48)), added("Ingress", (1, 29)), added("Created", (1, 25)))
_VOLUME = (added("CreatedAt", (1, 31)), added("Options", (1, 25)))


def _names_alone(answer: Holder) -> list[str]:
    """``name=seccomp,profile=builtin`` was ``seccomp``."""
    return [option.removeprefix("name=").partition(",")[0] for option in answer["SecurityOptions"]]


_INFO = (
    added("NRI", (1, 53)),
    added("DiscoveredDevices", (1, 50)),
    added("FirewallBackend", (1, 49)),
    added("Containerd", (1, 46)),
    added("CDISpecDirs", (1, 44)),
    added("Runtimes.*.status", (1, 44)),
    added("CgroupVersion", (1, 41)),
    added("DefaultAddressPools", (1, 41)),
    added("PidsLimit", (1, 40)),
    added("ProductLicense", (1, 39)),
    added("Warnings", (1, 39)),
    added("Plugins.Log", (1, 30)),
    added("Isolation", (1, 25)),
    changed("SecurityOptions", (1, 25), _names_alone),
    changed("KernelVersion", (1, 39), lambda info: info["KernelVersion"] or "<unknown>"),
    changed("OperatingSystem", (1, 39), lambda info: info["OperatingSystem"] or "<unknown>"),
    removed("BridgeNfIptables", (1, 50), value=False),
    removed("BridgeNfIp6tables", (1, 50), value=False),
    *(
        removed(f"{name}.Expected", (1, 49), lambda commit: commit["ID"])
        for name in ("ContainerdCommit", "RuncCommit", "InitCommit")
    ),
    removed("RegistryConfig.AllowNondistributableArtifactsCIDRs", (1, 49), None),
    removed("RegistryConfig.AllowNondistributableArtifactsHostnames", (1, 49), None),
    # From 1.42 on these are left out where the host cannot limit that.
    removed("KernelMemory", (1, 42), value=False),
    removed("KernelMemoryTCP", (1, 42), value=False, since=(1, 40)),
)

_VERSION = (added("Components", (1, 35)), added("Platform", (1, 35)), added("MinAPIVersion", (1, 25)))


def _is_old_kind(event: Holder) -> bool:
    return event["Type"] in {"container", "image"}


_EVENT = (
    removed("status", (1, 52), lambda event: event["Action"], where=_is_old_kind),
    removed("id", (1, 52), lambda event: event["Actor"]["ID"], where=_is_old_kind),
    removed(
        "from",
        (1, 52),
        lambda event: event["Actor"]["Attributes"].get("image", ""),
        where=lambda event: event["Type"] == "container",
    ),
)

_USAGE = (
    *(added(field, (1, 52)) for field in ("BuildCacheUsage", "ContainerUsage", "ImageUsage", "VolumeUsage")),
    removed(
        "BuilderSize",
        (1, 42),
        lambda usage: sum(entry["Size"] for entry in usage["BuildCache"]),
        since=(1, 31),
        where=lambda usage: "BuildCache" in usage,
    ),
    removed("BuildCache.*.Parent", (1, 42), ""),
    *below("Images.*", _IMAGE_USAGE),
    *below("Containers.*", _CONTAINER_SUMMARY),
    *below("Volumes.*", _VOLUME),
)

ANSWERS = History(
    {
        "ContainerList": below("*", _CONTAINER_SUMMARY),
        "ContainerInspect": _CONTAINER,
        "ContainerStats": _CONTAINER_STATS,
        "ContainerWait": (added("Error", (1, 34)),),
        "ExecInspect": (added("Pid", (1, 25)),),
        "ImageList": below("*", _IMAGE_SUMMARY),
        "ImageInspect": _IMAGE,
        "NetworkList": (
            *below("*", _NETWORK),
            added("*.Status", (1, 52)),
            # Before 1.28 the list told of each network who is on it.
            removed("*.Containers", (1, 52), lambda _network: {}),
        ),
        "NetworkInspect": (*_NETWORK, added("Status", (1, 52))),
        "VolumeList": below("Volumes.*", _VOLUME),
        "VolumeInspect": _VOLUME,
        "SystemInfo": _INFO,
        "SystemVersion": _VERSION,
        "SystemEvents": _EVENT,
        "SystemDataUsage": _USAGE,
    }
)
