"""Every row of the history of answers: at the version before the change, and at the version that made it."""

import copy
from typing import Any

import pytest

from kist.spec.docker.history.answers import ANSWERS
from kist.spec.docker.history.rows import History, added, changed, hidden, removed
from kist.spec.docker.versions import LATEST, LOWEST

Path = tuple[Any, ...]

ENDPOINT: dict[str, Any] = {
    "Aliases": ["a"],
    "DNSNames": ["web"],
    "DriverOpts": None,
    "EndpointID": "e",
    "Gateway": "g",
    "GlobalIPv6Address": "6",
    "GlobalIPv6PrefixLen": 64,
    "GwPriority": 0,
    "IPAddress": "i",
    "IPPrefixLen": 16,
    "IPv6Gateway": "g6",
    "MacAddress": "m",
}
CHECK = {"Test": ["CMD", "true"], "StartInterval": 1, "StartPeriod": 2}
CONTAINER: dict[str, Any] = {
    "Id": "ab" * 32,
    "ImageManifestDescriptor": {},
    "Storage": {},
    "Config": {"Hostname": "box", "MacAddress": "02:00:00:00:00:01", "StopTimeout": 3, "Healthcheck": CHECK},
    "HostConfig": {
        "Annotations": {"k": "v"}, "AutoRemove": False, "CgroupnsMode": "private", "CpuCount": 0,
        "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "DeviceCgroupRules": None, "DeviceRequests": None,
        "Init": True, "MaskedPaths": [], "Mounts": [], "NanoCpus": 0, "ReadonlyPaths": [],
    },
    "NetworkSettings": {"Networks": {"bridge": ENDPOINT, "lab": ENDPOINT}},
}  # fmt: skip
SUMMARY: dict[str, Any] = {
    "Health": {"Status": "none", "FailingStreak": 0},
    "HostConfig": {"NetworkMode": "lab", "Annotations": {"k": "v"}},
    "ImageManifestDescriptor": {},
    "NetworkSettings": {"Networks": {"lab": ENDPOINT}},
}
STATS = {"os_type": "linux", "cpu_stats": {"online_cpus": 2}, "precpu_stats": {"online_cpus": 2}}
IMAGE: dict[str, Any] = {
    "Size": 12, "Config": {"Healthcheck": CHECK}, "Descriptor": {}, "Identity": {}, "Manifests": [],
    "Metadata": {"LastTagTime": ""}, "Variant": "v8",
}  # fmt: skip
LISTED: dict[str, Any] = {
    "Size": 12, "Containers": 3, "RepoTags": [], "RepoDigests": [], "Descriptor": {}, "Manifests": [],
}  # fmt: skip
NETWORK: dict[str, Any] = {"Name": "lab", "Created": "", "EnableIPv4": True, "Ingress": False}
VOLUME: dict[str, Any] = {"Name": "v", "CreatedAt": "", "Options": None}
INFO: dict[str, Any] = {
    "CDISpecDirs": [], "CgroupVersion": "2", "Containerd": {}, "ContainerdCommit": {"ID": "c"},
    "DefaultAddressPools": [], "DiscoveredDevices": [], "FirewallBackend": {}, "InitCommit": {"ID": "i"},
    "Isolation": "", "KernelVersion": "", "NRI": {}, "OperatingSystem": "",
    "PidsLimit": True, "Plugins": {"Log": [], "Volume": []}, "ProductLicense": "",
    "RegistryConfig": {}, "RuncCommit": {"ID": "r"}, "Runtimes": {"kist": {"path": "kist", "status": {}}},
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"], "Warnings": None,
}  # fmt: skip
USAGE: dict[str, Any] = {
    **{f"{kind}Usage": {} for kind in ("BuildCache", "Container", "Image", "Volume")},
    "BuildCache": [{"Size": 1}, {"Size": 2}], "Containers": [SUMMARY], "Images": [LISTED], "Volumes": [VOLUME],
}  # fmt: skip
NEWEST: dict[str, Any] = {
    "ContainerInspect": CONTAINER,
    "ContainerList": [SUMMARY],
    "ContainerStats": STATS,
    "ContainerWait": {"StatusCode": 0, "Error": None},
    "ExecInspect": {"ID": "e", "Pid": 7},
    "ImageInspect": IMAGE,
    "ImageList": [LISTED],
    "NetworkInspect": NETWORK | {"Containers": {}, "Status": {}},
    "NetworkList": [NETWORK],
    "SystemDataUsage": USAGE,
    "SystemEvents": {"Type": "container", "Action": "die", "Actor": {"ID": "c", "Attributes": {"image": "debian"}}},
    "SystemInfo": INFO,
    "SystemVersion": {"ApiVersion": "1.56", "MinAPIVersion": "1.24", "Platform": {}, "Components": []},
    "VolumeInspect": VOLUME,
    "VolumeList": {"Volumes": [VOLUME], "Warnings": None},
}

ABSENT = object()
NETWORKS = ("NetworkSettings", "Networks", "lab")


def came(operation: str, minor: int, *path: Any) -> tuple[str, int, Path, object, object]:
    """A field that is there from this version on; as it is in the newest answer."""
    return operation, minor, path, ABSENT, get(NEWEST[operation], path)


def went(operation: str, minor: int, before: object, *path: Any) -> tuple[str, int, Path, object, object]:
    """A field that was there before this version, and what it held."""
    return operation, minor, path, before, ABSENT


def get(value: Any, path: Path) -> Any:
    for name in path:
        if isinstance(value, dict) and name not in value:
            return ABSENT
        value = value[name]
    return value


CHANGES = [
    *(came("ContainerInspect", 25, "HostConfig", name) for name in (
        "AutoRemove", "CpuCount", "CpuRealtimePeriod", "CpuRealtimeRuntime", "Init", "Mounts", "NanoCpus",
    )),
    came("ContainerInspect", 25, "Config", "StopTimeout"),
    came("ContainerInspect", 28, "HostConfig", "DeviceCgroupRules"),
    came("ContainerInspect", 29, "Config", "Healthcheck", "StartPeriod"),
    came("ContainerInspect", 32, *NETWORKS, "DriverOpts"),
    came("ContainerInspect", 38, "HostConfig", "MaskedPaths"),
    came("ContainerInspect", 38, "HostConfig", "ReadonlyPaths"),
    came("ContainerInspect", 40, "HostConfig", "DeviceRequests"),
    ("ContainerInspect", 40, ("HostConfig", "KernelMemoryTCP"), ABSENT, 0),
    came("ContainerInspect", 41, "HostConfig", "CgroupnsMode"),
    went("ContainerInspect", 42, 0, "HostConfig", "KernelMemory"),
    went("ContainerInspect", 42, 0, "HostConfig", "KernelMemoryTCP"),
    came("ContainerInspect", 43, "HostConfig", "Annotations"),
    came("ContainerInspect", 44, "Config", "Healthcheck", "StartInterval"),
    came("ContainerInspect", 44, *NETWORKS, "DNSNames"),
    ("ContainerInspect", 45, (*NETWORKS, "Aliases"), ["a", "ab" * 6, "box"], ["a"]),
    came("ContainerInspect", 48, *NETWORKS, "GwPriority"),
    came("ContainerInspect", 48, "ImageManifestDescriptor"),
    came("ContainerInspect", 52, "Storage"),
    went("ContainerInspect", 52, "02:00:00:00:00:01", "Config", "MacAddress"),
    went("ContainerInspect", 52, None, "Config", "OnBuild"),
    *(went("ContainerInspect", 52, ENDPOINT[name], "NetworkSettings", name) for name in (
        "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen", "IPv6Gateway",
        "MacAddress",
    )),
    *(went("ContainerInspect", 52, "", "NetworkSettings", name) for name in ("Bridge", "LinkLocalIPv6Address")),
    *(went("ContainerInspect", 52, None, "NetworkSettings", f"Secondary{kind}Addresses") for kind in ("IP", "IPv6")),
    went("ContainerInspect", 52, False, "NetworkSettings", "HairpinMode"),
    went("ContainerInspect", 52, 0, "NetworkSettings", "LinkLocalIPv6PrefixLen"),
    came("ContainerList", 44, 0, *NETWORKS, "DNSNames"),
    came("ContainerList", 46, 0, "HostConfig", "Annotations"),
    came("ContainerList", 48, 0, *NETWORKS, "GwPriority"),
    came("ContainerList", 48, 0, "ImageManifestDescriptor"),
    came("ContainerList", 52, 0, "Health"),
    came("ContainerStats", 27, "cpu_stats", "online_cpus"),
    came("ContainerStats", 27, "precpu_stats", "online_cpus"),
    came("ContainerStats", 52, "os_type"),
    came("ContainerWait", 34, "Error"),
    came("ExecInspect", 25, "Pid"),
    came("ImageInspect", 29, "Config", "Healthcheck", "StartPeriod"),
    came("ImageInspect", 31, "Metadata"),
    came("ImageInspect", 39, "Variant"),
    went("ImageInspect", 44, 12, "VirtualSize"),
    went("ImageInspect", 44, "0001-01-01T00:00:00Z", "Created"),
    came("ImageInspect", 44, "Config", "Healthcheck", "StartInterval"),
    went("ImageInspect", 45, "", "Container"),
    went("ImageInspect", 45, "", "ContainerConfig", "Hostname"),
    came("ImageInspect", 48, "Descriptor"),
    came("ImageInspect", 48, "Manifests"),
    *(went("ImageInspect", 50, "", "Config", name) for name in ("Domainname", "Hostname", "Image")),
    *(went("ImageInspect", 50, False, "Config", name) for name in (
        "AttachStderr", "AttachStdin", "AttachStdout", "OpenStdin", "StdinOnce", "Tty",
    )),
    *(went("ImageInspect", 52, None, "Config", name) for name in (
        "Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes",
    )),
    *(went("ImageInspect", 52, "", "Config", name) for name in ("User", "WorkingDir")),
    *(went("ImageInspect", 52, "", name) for name in ("Author", "Comment", "DockerVersion", "Parent")),
    came("ImageInspect", 53, "Identity"),
    ("ImageList", 43, (0, "RepoTags"), ["<none>:<none>"], []),
    ("ImageList", 43, (0, "RepoDigests"), ["<none>@<none>"], []),
    went("ImageList", 44, 12, 0, "VirtualSize"),
    came("ImageList", 47, 0, "Manifests"),
    came("ImageList", 48, 0, "Descriptor"),
    ("ImageList", 51, (0, "Containers"), -1, 3),
    came("NetworkInspect", 25, "Created"),
    came("NetworkInspect", 29, "Ingress"),
    came("NetworkInspect", 48, "EnableIPv4"),
    came("NetworkInspect", 52, "Status"),
    came("NetworkList", 48, 0, "EnableIPv4"),
    went("NetworkList", 52, {}, 0, "Containers"),
    came("SystemDataUsage", 31, "Volumes", 0, "CreatedAt"),
    ("SystemDataUsage", 31, ("BuilderSize",), ABSENT, 3),
    went("SystemDataUsage", 42, 3, "BuilderSize"),
    went("SystemDataUsage", 42, "", "BuildCache", 0, "Parent"),
    went("SystemDataUsage", 44, 12, "Images", 0, "VirtualSize"),
    came("SystemDataUsage", 44, "Containers", 0, *NETWORKS, "DNSNames"),
    *(came("SystemDataUsage", 52, f"{kind}Usage") for kind in ("BuildCache", "Container", "Image", "Volume")),
    *(went("SystemEvents", 52, value, name) for name, value in {"status": "die", "id": "c", "from": "debian"}.items()),
    came("SystemInfo", 25, "Isolation"),
    ("SystemInfo", 25, ("SecurityOptions",), ["seccomp", "rootless"], INFO["SecurityOptions"]),
    came("SystemInfo", 30, "Plugins", "Log"),
    ("SystemInfo", 39, ("KernelVersion",), "<unknown>", ""),
    ("SystemInfo", 39, ("OperatingSystem",), "<unknown>", ""),
    came("SystemInfo", 39, "Warnings"),
    came("SystemInfo", 39, "ProductLicense"),
    came("SystemInfo", 40, "PidsLimit"),
    ("SystemInfo", 40, ("KernelMemoryTCP",), ABSENT, False),
    came("SystemInfo", 41, "CgroupVersion"),
    came("SystemInfo", 41, "DefaultAddressPools"),
    went("SystemInfo", 42, False, "KernelMemory"),
    went("SystemInfo", 42, False, "KernelMemoryTCP"),
    came("SystemInfo", 44, "CDISpecDirs"),
    came("SystemInfo", 44, "Runtimes", "kist", "status"),
    came("SystemInfo", 46, "Containerd"),
    came("SystemInfo", 49, "FirewallBackend"),
    went("SystemInfo", 49, None, "RegistryConfig", "AllowNondistributableArtifactsCIDRs"),
    went("SystemInfo", 49, None, "RegistryConfig", "AllowNondistributableArtifactsHostnames"),
    *(went("SystemInfo", 49, name[0].lower(), f"{name}Commit", "Expected") for name in ("Containerd", "Init", "Runc")),
    came("SystemInfo", 50, "DiscoveredDevices"),
    went("SystemInfo", 50, False, "BridgeNfIp6tables"),
    went("SystemInfo", 50, False, "BridgeNfIptables"),
    came("SystemInfo", 53, "NRI"),
    came("SystemVersion", 25, "MinAPIVersion"),
    came("SystemVersion", 35, "Components"),
    came("SystemVersion", 35, "Platform"),
    came("VolumeInspect", 25, "Options"),
    came("VolumeInspect", 31, "CreatedAt"),
    came("VolumeList", 31, "Volumes", 0, "CreatedAt"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "minor", "path", "before", "after"),
    CHANGES,
    ids=[f"{operation}-{minor}-{'.'.join(map(str, path))}" for operation, minor, path, *_ in CHANGES],
)
def test_an_answer_has_the_fields_of_its_version(
    operation: str, minor: int, path: Path, before: object, after: object
) -> None:
    newest = NEWEST[operation]
    assert get(ANSWERS.at((1, minor - 1), operation, newest), path) == before
    assert get(ANSWERS.at((1, minor), operation, newest), path) == after


def test_each_row_of_the_tables_has_its_case() -> None:
    # Their rows are those of others, once more.
    repeated = {"ContainerList", "NetworkList", "SystemDataUsage", "VolumeList"}
    listed = {(name, row.path) for name, rows in ANSWERS.rows.items() if name not in repeated for row in rows}
    told = {(operation, _pattern(path)) for operation, _, path, *_ in CHANGES}
    # Of these two a part was looked at.
    assert listed - told == {("ContainerInspect", "NetworkSettings"), ("ImageInspect", "ContainerConfig")}


def _pattern(path: Path) -> str:
    return ".".join("*" if name in {0, "kist", "lab"} else str(name) for name in path)


@pytest.mark.parametrize("operation", sorted(NEWEST))
def test_nothing_is_done_to_the_newest_version_or_to_the_value_that_was_given(operation: str) -> None:
    given = copy.deepcopy(NEWEST[operation])
    for minor in range(LOWEST[1], LATEST[1] + 1):
        ANSWERS.at((1, minor), operation, given)
    assert given == NEWEST[operation]
    if operation != "ContainerInspect":  # its address is not shown any more
        assert ANSWERS.at(LATEST, operation, given) is given


def test_an_image_with_names_keeps_them_at_all_versions() -> None:
    named = LISTED | {"RepoTags": ["a:1"]}
    digests = LISTED | {"RepoDigests": ["a@sha256:1"]}
    for minor in (24, 42, 43):
        found = ANSWERS.at((1, minor), "ImageList", [named, digests])
        assert [(each["RepoTags"], each["RepoDigests"]) for each in found] == [(["a:1"], []), ([], ["a@sha256:1"])]


def test_an_event_of_a_network_never_had_the_old_fields() -> None:
    event = {"Type": "network", "Action": "create", "Actor": {"ID": "n", "Attributes": {}}}
    assert ANSWERS.at((1, 24), "SystemEvents", event) == event
    image = {"Type": "image", "Action": "tag", "Actor": {"ID": "i", "Attributes": {}}}
    assert ANSWERS.at((1, 24), "SystemEvents", image) == image | {"status": "tag", "id": "i"}


def test_the_default_networks_aliases_have_no_id() -> None:
    networks = ANSWERS.at((1, 44), "ContainerInspect", CONTAINER)["NetworkSettings"]["Networks"]
    assert networks["bridge"]["Aliases"] == ["a"]


def test_a_container_that_is_on_no_bridge_has_empty_addresses() -> None:
    alone = CONTAINER | {"NetworkSettings": {"Networks": {}}}
    settings = ANSWERS.at((1, 51), "ContainerInspect", alone)["NetworkSettings"]
    assert (settings["IPAddress"], settings["IPPrefixLen"]) == ("", 0)


def test_rows_leave_alone_what_is_not_of_the_shape_they_are_for() -> None:
    history = History(
        {
            "x": (
                added("a.b", (1, 30)),
                removed("c.*.d", (1, 30), 1, since=(1, 26)),
                changed("e", (1, 30), lambda _holder: "old"),
                hidden("f", (1, 30)),
            )
        }
    )
    assert history.at((1, 29), "x", {"a": None, "c": [1, {}], "f": 1}) == {"a": None, "c": [1, {"d": 1}], "f": 1}
    assert history.at((1, 25), "x", {"c": {"p": {}, "q": {"d": 2}}}) == {"c": {"p": {}, "q": {"d": 2}}}
    assert history.at((1, 26), "x", {"c": {"p": {}, "q": {"d": 2}}}) == {"c": {"p": {"d": 1}, "q": {"d": 2}}}
    assert history.at((1, 29), "x", {"e": "new"}) == {"e": "old"}
    assert history.at((1, 30), "x", {"a": {"b": 1}, "e": "new", "f": 1}) == {"a": {"b": 1}, "e": "new"}
    assert history.at((1, 24), "x", [1]) == [1]
