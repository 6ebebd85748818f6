"""config.json of the OCI: where each part of a runtime specification goes."""

from typing import Any

import msgspec
import pytest

from kist.spec.cdi import Hook
from kist.spec.mount import Mount
from kist.spec.oci_config import oci_config
from kist.spec.runtime import (
    BlockDeviceLimit,
    DeviceNode,
    DeviceRule,
    Joined,
    Linux,
    LinuxResources,
    Process,
    Rlimit,
    RuntimeSpec,
    User,
)

PLAIN = RuntimeSpec(Process(("true",)), (Mount("overlay", "overlay"),), ())


def of_linux(**fields: Any) -> dict[str, Any]:
    written: dict[str, Any] = oci_config(msgspec.structs.replace(PLAIN, linux=Linux(**fields)))["linux"]
    return written


def of_process(**fields: Any) -> dict[str, Any]:
    written: dict[str, Any] = oci_config(msgspec.structs.replace(PLAIN, process=Process(("true",), **fields)))[
        "process"
    ]
    return written


def of_mount(mount: Mount) -> dict[str, Any]:
    [written] = oci_config(msgspec.structs.replace(PLAIN, mounts=(mount,)))["mounts"]
    found: dict[str, Any] = written
    return found


def test_the_least() -> None:
    assert oci_config(PLAIN) == {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": [],
            "cwd": "/",
            "capabilities": {"bounding": [], "effective": [], "permitted": []},
            "noNewPrivileges": False,
        },
        "root": {"path": "rootfs", "readonly": False},
        "mounts": [],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "mount", "ipc", "uts", "cgroup")],
            "resources": {},
            "maskedPaths": [],
            "readonlyPaths": [],
        },
    }


@pytest.mark.parametrize(
    ("fields", "name", "written"),
    [
        ({"terminal": True}, "terminal", True),
        ({"env": ("A=b",)}, "env", ["A=b"]),
        ({"cwd": "/work"}, "cwd", "/work"),
        ({"no_new_privileges": True}, "noNewPrivileges", True),
        ({"oom_score_adj": -5}, "oomScoreAdj", -5),
        ({"user": User(1, 2, (3, 4))}, "user", {"uid": 1, "gid": 2, "additionalGids": [3, 4]}),
        ({"capabilities": ("CAP_KILL",)}, "capabilities",
         {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted")}),
        ({"rlimits": (Rlimit("RLIMIT_CORE", 0, -1),)}, "rlimits",
         [{"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1}]),
    ],
)  # fmt: skip
def test_the_process(fields: dict[str, Any], name: str, written: object) -> None:
    assert of_process(**fields)[name] == written


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        (Mount.bind("/a", "/b"), ["rbind", "rprivate"]),
        (Mount.bind("/a", "/b", read_only=True), ["rbind", "rro", "rprivate", "ro"]),
        (Mount("bind", "/a", "/b", ("ro-top",)), ["rbind", "ro", "rprivate"]),
        (Mount("bind", "/a", "/b", ("bind", "ro")), ["bind", "rprivate", "ro"]),
        (Mount("bind", "/a", "/b", ("rshared", "z", "U", "create")), ["rbind", "rshared"]),
        (Mount("bind", "/a", "/b", ("rw", "slave", "nosuid")), ["rbind", "slave", "nosuid"]),
        (Mount.tmpfs("/b", "size=64m", "noexec"), ["size=64m", "noexec"]),
        (Mount("cgroup", "cgroup", "/b", ("nosuid", "ro", "host")), ["nosuid", "ro"]),
        (Mount("cgroup", "cgroup", "/b", ("nosuid",)), ["nosuid", "rw"]),
    ],
)
def test_mounts(mount: Mount, options: list[str]) -> None:
    assert of_mount(mount) == {
        "destination": "/b", "type": mount.type, "source": mount.source, "options": options,
    }  # fmt: skip


def test_shared_memory_of_another_is_bound() -> None:
    assert of_mount(Mount("joined", "12:34", "/dev/shm"))["type"] == "bind"


@pytest.mark.parametrize(
    ("options", "written"), [(("rshared",), "rshared"), (("slave",), "rslave"), (("rprivate",), None), ((), None)]
)
def test_the_propagation_of_the_root_lets_that_of_its_mounts_through(options: tuple[str, ...], written: object) -> None:
    spec = msgspec.structs.replace(PLAIN, mounts=(Mount("bind", "/a", "/b", options),))
    assert oci_config(spec)["linux"].get("rootfsPropagation") == written


def test_namespaces_of_others_are_named_by_paths_and_the_hosts_not_at_all() -> None:
    joined = (Joined(12, 34, ("network", "ipc", "pid")),)
    assert of_linux(namespaces=("mount", "uts"), joined=joined)["namespaces"] == [
        {"type": "mount"},
        {"type": "uts"},
        {"type": "network", "path": "/proc/12/ns/net"},
        {"type": "ipc", "path": "/proc/12/ns/ipc"},
        {"type": "pid", "path": "/proc/12/ns/pid"},
    ]


def test_names_only_in_a_namespace_of_its_own() -> None:
    named = msgspec.structs.replace(PLAIN, hostname="one", domainname="two")
    assert (oci_config(named)["hostname"], oci_config(named)["domainname"]) == ("one", "two")
    shared = msgspec.structs.replace(named, linux=Linux(namespaces=("mount",)))
    assert not {"hostname", "domainname"} & set(oci_config(shared))


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({"memory": 1, "memory_swap": -1, "memory_reservation": 2},
         {"memory": {"limit": 1, "reservation": 2, "swap": -1}}),
        ({"memory_swappiness": 0}, {"memory": {"swappiness": 0}}),
        ({"disable_oom_killer": True}, {"memory": {"disableOOMKiller": True}}),
        ({"cpu_shares": 2, "cpu_quota": 3, "cpu_period": 4, "cpus": "0-1", "mems": "0"},
         {"cpu": {"shares": 2, "quota": 3, "period": 4, "cpus": "0-1", "mems": "0"}}),
        ({"pids": 10}, {"pids": {"limit": 10}}),
        ({"blkio_weight": 10, "blkio_weight_devices": (BlockDeviceLimit("8:0", 20),)},
         {"blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 0, "weight": 20}]}}),
        ({"read_bps": (BlockDeviceLimit("8:0", 1),), "write_iops": (BlockDeviceLimit("8:16", 2),)},
         {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                      "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 2}]}}),
        ({"devices": (DeviceRule(False, "a", -1, -1, "rwm"), DeviceRule(True, "c", 136, -1, "rw"))},
         {"devices": [{"allow": False, "type": "a", "access": "rwm"},
                      {"allow": True, "type": "c", "major": 136, "access": "rw"}]}),
    ],
)  # fmt: skip
def test_limits(fields: dict[str, Any], written: dict[str, Any]) -> None:
    assert of_linux(resources=LinuxResources(**fields))["resources"] == written


def test_the_rest_of_linux() -> None:
    written = of_linux(
        masked_paths=("/proc/keys",),
        readonly_paths=("/proc/sys",),
        sysctl={"net.core.somaxconn": "1"},
        cgroups_path="kist/1",
        devices=(DeviceNode("/dev/fuse", "c", 10, 229, 0o600, 1, 2),),
    )
    assert written["maskedPaths"] == ["/proc/keys"]
    assert written["readonlyPaths"] == ["/proc/sys"]
    assert written["sysctl"] == {"net.core.somaxconn": "1"}
    assert written["cgroupsPath"] == "/kist/1"
    assert written["devices"] == [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 1, "gid": 2}
    ]


def test_what_is_handed_in() -> None:
    hooks = (Hook("createRuntime", "/a", ("a", "b"), ("C=d",), 3), Hook("createRuntime", "/b"), Hook("poststop", "/c"))
    spec = msgspec.structs.replace(PLAIN, hooks=hooks, read_only=True)
    written = oci_config(spec, root="/r", seccomp={"defaultAction": "SCMP_ACT_ALLOW"}, annotations={"a": "b"})
    assert written["root"] == {"path": "/r", "readonly": True}
    assert written["linux"]["seccomp"] == {"defaultAction": "SCMP_ACT_ALLOW"}
    assert written["annotations"] == {"a": "b"}
    assert written["hooks"] == {
        "createRuntime": [{"path": "/a", "args": ["a", "b"], "env": ["C=d"], "timeout": 3}, {"path": "/b"}],
        "poststop": [{"path": "/c"}],
    }
