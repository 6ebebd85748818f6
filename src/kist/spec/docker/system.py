"""Version and Info (Engine API, tag System)."""

from typing import Any

from kist.spec import cdi
from kist.spec.docker.versions import API_VERSION, MIN_API_VERSION
from kist.spec.platform import Platform
from kist.spec.summary import Info, Version

_NO_SWARM = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}
REGISTRY = "https://index.docker.io/v1/"


def write_version(version: Version) -> dict[str, Any]:
    """The answer of ``/version``."""
    architecture = Platform.of_machine(version.architecture).architecture
    numbers = {"ApiVersion": API_VERSION, "MinAPIVersion": MIN_API_VERSION}
    machine = {"Os": version.os, "Arch": architecture, "KernelVersion": version.kernel}
    runtime = {"GitCommit": "", "GoVersion": f"none (Python {version.python})", "BuildTime": ""}
    details = numbers | machine | runtime | {"Experimental": "false"}
    return {
        "Platform": {"Name": "Kist"},
        "Version": version.version,
        **numbers,
        **machine,
        **runtime,
        "Components": [{"Name": "Engine", "Version": version.version, "Details": details}],
    }


# Fields of the answer, and the engine's word for what the machine's cgroups can keep.
_LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "CpuCfsPeriod": "cpu_cfs",
    "CpuCfsQuota": "cpu_cfs",
    "CPUShares": "cpu_shares",
    "CPUSet": "cpuset",
    "PidsLimit": "pids",
    "OomKillDisable": "oom_kill_disable",
}


def write_info(info: Info, *, now: str, hostname: str, machine: str, operating_system: str) -> dict[str, Any]:
    """The answer of ``/info``.

    Args:
        info: what the engine knows.
        now: the time, as RFC 3339.
        hostname: the machine's name.
        machine: what ``uname -m`` says.
        operating_system: the distribution's pretty name.
    """
    cgroups = {"CgroupDriver": "cgroupfs", "CgroupVersion": "2" if info.cgroup_version.startswith(("2", "v2")) else "1"}
    limits = {name: word in info.limits for name, word in _LIMITS.items()}
    return {
        "ID": "",
        "Containers": info.containers,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.containers - info.running - info.paused,
        "Images": info.images,
        "Driver": info.storage_driver,
        "DriverStatus": [["Chosen because", info.storage_reason], ["Run root", info.run_root]],
        "DockerRootDir": info.data_root,
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": list(info.log_drivers),
        },
        **limits,
        "IPv4Forwarding": True,
        "Debug": False,
        "ExperimentalBuild": False,
        **cgroups,
        "NEventsListener": info.event_readers,
        "NFd": 0,
        "NGoroutines": 0,
        "SystemTime": now,
        "LoggingDriver": info.log_driver,
        "KernelVersion": info.version.kernel,
        "OperatingSystem": operating_system,
        "OSVersion": "",
        "OSType": info.version.os,
        "Architecture": machine,
        "NCPU": info.cpus,
        "MemTotal": info.memory,
        "IndexServerAddress": REGISTRY,
        "RegistryConfig": {
            "InsecureRegistryCIDRs": [],
            "IndexConfigs": {"docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}},
            "Mirrors": [],
        },
        "GenericResources": None,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": hostname,
        "Labels": [],
        "ServerVersion": info.version.version,
        "Runtimes": {"kist": {"path": "kist"}},
        "DefaultRuntime": "kist",
        "Swarm": _NO_SWARM,
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "kist",
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "FirewallBackend": {"Driver": "nftables"},
        "CDISpecDirs": list(cdi.DIRECTORIES),
        **({"DiscoveredDevices": [{"Source": "cdi", "ID": name} for name in info.devices]} if info.devices else {}),
        **({"RootlessIds": {"Count": info.ids, "Lacks": info.lacks}} if info.rootless else {}),
        "SecurityOptions": ["name=seccomp,profile=builtin", *(["name=rootless"] if info.rootless else [])],
        "Warnings": [f"WARNING: {warning}" for warning in info.warnings] or None,
    }  # fmt: skip
