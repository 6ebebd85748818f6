"""Answers have all the fields that the Engine API's definition has, but for those that are named here."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from urllib.parse import quote

import pytest

from definition.document import load
from definition.presence import absent, present

from .conftest import IMAGE, Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

_NOT_SET = "left out when it is not set, as dockerd does"
_SWARM = "of a swarm"
_WINDOWS = "Windows only"
_STORE = "of containerd's image store"
_ABSENT = {
    ("ContainerList", "[[]].HostConfig.Annotations"): _NOT_SET,
    ("Container*", "*ImageManifestDescriptor"): _STORE,
    ("Container*", "*.IPAMConfig.*"): _NOT_SET,
    ("ContainerInspect", "Storage"): _STORE + "; GraphDriver is there",
    **{
        ("ContainerInspect", f"HostConfig.{name}"): _NOT_SET
        for name in ("Init", "Mounts", "Annotations", "StorageOpt", "Tmpfs", "Sysctls")
    },
    **{
        ("ContainerInspect", f"Config.{name}"): _NOT_SET
        for name in ("NetworkDisabled", "OnBuild", "StopSignal", "Shell", "Healthcheck.*")
    },
    ("ContainerInspect", "Config.ArgsEscaped"): _WINDOWS,
    ("ContainerStats", "memory_stats.commit*"): _WINDOWS,
    ("ContainerStats", "memory_stats.privateworkingset"): _WINDOWS,
    ("ContainerStats", "storage_stats.*"): _WINDOWS,
    ("ContainerStats", "networks.*.*_id"): _WINDOWS,
    ("ContainerStats", "pids_stats.limit"): _NOT_SET,
    ("ContainerStats", "precpu_stats.*"): "there is no sample before a single one",
    ("ContainerStats", "memory_stats.*"): "cgroup v1 and v2 have others of each other",
    ("Image*", "*Descriptor"): _STORE,
    ("Image*", "*Manifests[[]].*"): _STORE,
    ("Image*", "*Identity*"): _STORE,
    ("Image*", "*Manifests"): "where they are asked for",
    ("ImageInspect", "Author"): _NOT_SET,
    ("ImageInspect", "Variant"): _NOT_SET,
    ("ImageInspect", "OsVersion"): _WINDOWS,
    ("ImageInspect", "Config.*"): _NOT_SET,
    ("SystemInfo", "Runtimes.*"): "of runtimes that the daemon's configuration names",
    ("SystemInfo", "Swarm.*"): _SWARM,
    ("SystemInfo", "GenericResources*"): _SWARM,
    ("SystemInfo", "ProductLicense"): "of Docker's own products",
    ("SystemInfo", "DefaultAddressPools"): _NOT_SET,
    ("SystemInfo", "FirewallBackend.Info"): _NOT_SET,
    ("SystemInfo", "DiscoveredDevices"): _NOT_SET,
    ("SystemInfo", "NRI"): "there is no such interface here",
    ("SystemInfo", "Containerd"): "there is no containerd",
    ("SystemInfo", "*Warnings"): _NOT_SET,
    ("SystemVersion", "Experimental"): _NOT_SET,
    ("Volume*", "*Status"): "of volume plugins",
    ("Volume*", "*ClusterVolume"): _SWARM,
    ("Volume*", "*UsageData"): "in /system/df alone, as in Docker",
    ("Network*", "*IPAM.Config[[]].IPRange"): _NOT_SET,
    ("Network*", "*IPAM.Config[[]].AuxiliaryAddresses"): _NOT_SET,
    ("Network*", "*Peers"): _SWARM,
    ("NetworkInspect", "Services"): _SWARM,
}


@pytest.fixture(scope="module")
def box(server: Server) -> Iterator[str]:
    """A container that has much of what a container can have, on a network, with a volume; its name is theirs too."""
    name = "of-the-definition"
    server.good("POST", "/volumes/create", {"Name": name, "Labels": {"a": "b"}})
    subnet = {"Config": [{"Subnet": "10.234.5.0/24"}]}
    server.good("POST", "/networks/create", {"Name": name, "IPAM": subnet, "Labels": {"a": "b"}})
    devices = [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}]
    host = {
        "NetworkMode": name,
        "Binds": [f"{name}:/v"],
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]},
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "Devices": devices,
    }
    endpoint = {"IPAMConfig": {"IPv4Address": "10.234.5.6"}}
    made = server.create(
        "sleep",
        "1000",
        HostConfig=host,
        ExposedPorts={"81/udp": {}},
        Labels={"a": "b"},
        Healthcheck={"Test": ["CMD", "true"], "Interval": 10**9},
        NetworkingConfig={"EndpointsConfig": {name: endpoint}},
    )
    server.good("POST", f"/containers/{made}/rename?name={name}")
    server.good("POST", f"/containers/{name}/start")
    yield name
    server.remove(made)
    server.good("DELETE", f"/networks/{name}")
    server.good("DELETE", f"/volumes/{name}")


_MINE = quote('{"label":["a=b"]}')


@pytest.mark.parametrize(
    "target",
    [
        f"/containers/json?size=1&filters={_MINE}",
        "/containers/BOX/json?size=1",
        "/containers/BOX/top",
        "/containers/BOX/stats?stream=0&one-shot=1",
        "/images/json",
        f"/images/{IMAGE}/json",
        f"/images/{IMAGE}/history",
        "/info",
        "/version",
        "/system/df?verbose=1",
        f"/volumes?filters={_MINE}",
        "/volumes/BOX",
        f"/networks?filters={_MINE}",
        "/networks/BOX",
    ],
)
def test_an_answer_lacks_no_field_but_those_with_a_reason(server: Server, box: str, target: str):
    value = server.good("GET", target.replace("BOX", box))
    operation = load().find("GET", target)
    assert operation is not None
    schema = operation.value["responses"]["200"]["schema"]
    lacking = set(absent(load(), schema, set(present(load(), schema, value))))
    named = [place for name, place in _ABSENT if fnmatchcase(operation.name, name)]
    assert not {place for place in lacking if not any(fnmatchcase(place, pattern) for pattern in named)}
