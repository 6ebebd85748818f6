"""The OCI runtime specification's config.json, as far as Kist writes it (config.md and config-linux.md of 1.2)."""

import msgspec

from kist.spec.mount import Mount


class User(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Ids in the container; ``username`` (not in the specification for Linux) is looked up in its passwd."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    username: str = ""


class Rlimit(msgspec.Struct, frozen=True):
    """One resource limit: ``RLIMIT_NOFILE``, soft, hard."""

    type: str
    soft: int
    hard: int


class Process(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The container's first process, or an exec'd one."""

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    terminal: bool = False
    user: User = User()
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0


class DeviceRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of the device allow-list; -1 stands for any number."""

    allow: bool
    type: str
    major: int
    minor: int
    access: str


class LinuxResources(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """cgroup limits; 0 means none. ``cpu_quota`` and ``cpu_period`` in microseconds, ``memory`` in bytes.

    ``memory_swap`` is memory and swap together, -1 for unlimited swap.
    """

    memory: int = 0
    memory_swap: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    pids: int = 0
    devices: tuple[DeviceRule, ...] = ()


class Linux(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What config-linux.md adds; ``namespaces`` are the specification's words (pid, network, mount, …)."""

    namespaces: tuple[str, ...] = ("pid", "network", "mount", "ipc", "uts", "cgroup")
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctl: dict[str, str] = {}
    cgroups_path: str = ""
    resources: LinuxResources = LinuxResources()
    seccomp: bool = True


class RuntimeSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One container for the runtime.

    Attributes:
        root: the mounts that make the root file system, from the store, in order.
        read_only: whether the root is read-only for the container.
        mounts: everything else, in order.
    """

    process: Process
    root: tuple[Mount, ...]
    mounts: tuple[Mount, ...]
    hostname: str = ""
    read_only: bool = False
    linux: Linux = Linux()
