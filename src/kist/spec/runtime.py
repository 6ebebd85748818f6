"""The OCI runtime specification's config.json, as far as Kist writes it (config.md and config-linux.md of 1.2)."""

import msgspec

from kist.spec.cdi import Hook
from kist.spec.mount import Mount
from kist.spec.owner import Owner

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""Paths of the system that a container does not see, unless it is told otherwise (Docker's list)."""
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""Those that it cannot write to."""


class User(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Ids in the container; ``username`` (not in the specification for Linux) is looked up in its passwd.

    ``groups`` are further groups, names of its group file or numbers. ``keeps_groups`` (ours) leaves the process those
    that the engine's process has, also where they have no number in the container.
    """

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    username: str = ""
    groups: tuple[str, ...] = ()
    keeps_groups: bool = False


class Rlimit(msgspec.Struct, frozen=True):
    """One resource limit: ``RLIMIT_NOFILE``, soft, hard."""

    type: str
    soft: int
    hard: int


class IdMap(msgspec.Struct, frozen=True):
    """``size`` ids from ``inside`` on in the container are those from ``outside`` on of the host."""

    inside: int
    outside: int
    size: int


class IdMaps(msgspec.Struct, frozen=True, omit_defaults=True):
    """A user namespace.

    Attributes:
        uids, gids: what its ids are on the host. Files of its own are kept under the ids that they have inside.
        bind_uids, bind_gids: which ids of files on binds are whose on the host; empty where that is the same.
    """

    uids: tuple[IdMap, ...]
    gids: tuple[IdMap, ...]
    bind_uids: tuple[IdMap, ...] = ()
    bind_gids: tuple[IdMap, ...] = ()


class Process(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """The container's first process, or an exec'd one.

    ``console_size`` is height and width of its terminal, (0, 0) for what the kernel makes it with. ``within`` is a user
    namespace that it enters at last, alone: there is nothing in it but this process and its own.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    terminal: bool = False
    console_size: tuple[int, int] = (0, 0)
    user: User = User()
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0
    within: IdMaps | None = None


class DeviceRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of the device allow-list; -1 stands for any number."""

    allow: bool
    type: str
    major: int
    minor: int
    access: str


class DeviceNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device in the container: ``type`` is ``c`` or ``b``, ``mode`` its permissions, ids those that it is to have.

    ``source`` is its path on the host, where that is another.
    """

    path: str
    type: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    source: str = ""


class Joined(msgspec.Struct, frozen=True):
    """Namespaces of another container, by its first process.

    Attributes:
        pid: in the host's pid namespace.
        started: when it was started, in the kernel's ticks (proc_pid_stat(5), field 22): whether it still is the one.
        kinds: which namespaces, in the specification's words.
    """

    pid: int
    started: int
    kinds: tuple[str, ...]


class BlockDeviceLimit(msgspec.Struct, frozen=True):
    """A weight or a rate of one block device, which is named ``MAJOR:MINOR``."""

    device: str
    rate: int


class LinuxResources(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """cgroup limits; 0 and empty mean that none is set, and -1 for no limit.

    Attributes:
        memory, memory_reservation: bytes.
        memory_swap: bytes of memory and swap together.
        memory_swappiness: 0 to 100; -1 when it is not set.
        disable_oom_killer: version 1 only.
        cpu_shares: 2 to 262144, as version 1 has them.
        cpu_quota, cpu_period, cpu_realtime_runtime, cpu_realtime_period: microseconds.
        cpus, mems: lists such as ``0-2,4``.
        blkio_weight: 10 to 1000.
        read_bps, write_bps, read_iops, write_iops: bytes or operations a second.
    """

    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int = -1
    disable_oom_killer: bool = False
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_realtime_runtime: int = 0
    cpu_realtime_period: int = 0
    cpus: str = ""
    mems: str = ""
    pids: int = 0
    blkio_weight: int = 0
    blkio_weight_devices: tuple[BlockDeviceLimit, ...] = ()
    read_bps: tuple[BlockDeviceLimit, ...] = ()
    write_bps: tuple[BlockDeviceLimit, ...] = ()
    read_iops: tuple[BlockDeviceLimit, ...] = ()
    write_iops: tuple[BlockDeviceLimit, ...] = ()
    devices: tuple[DeviceRule, ...] = ()


class Linux(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What config-linux.md adds.

    Attributes:
        namespaces: those that it gets of its own, in the specification's words (pid, network, mount, …).
        joined: those of others.
        devices: beyond the ones that every container has.
        dev_files: small files in its /dev, their texts by their names.
        confined: made by the root of a user namespace: no device nodes are made, the host's own are bound; and proc and
            sysfs are mounted while the host's are in sight (mount_namespaces(7), "Restrictions on mount namespaces").
        ids: of its user namespace; None for the host's.
        seccomp: ``default``, a profile in Docker's JSON, or empty for no filter.
        owner: with whose rights binds are opened; None for the engine's.
    """

    namespaces: tuple[str, ...] = ("pid", "network", "mount", "ipc", "uts", "cgroup")
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctl: dict[str, str] = {}
    cgroups_path: str = ""
    resources: LinuxResources = LinuxResources()
    joined: tuple[Joined, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    dev_files: dict[str, str] = {}
    confined: bool = False
    ids: IdMaps | None = None
    seccomp: str = "default"
    owner: Owner | None = None


class RuntimeSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """One container for the runtime.

    Attributes:
        root: the mounts that make the root file system, from the store, in order.
        read_only: whether the root is read-only for the container.
        mounts: everything else, in order.
        hooks: programs that an outside runtime runs; Kist's own runs none.
    """

    process: Process
    root: tuple[Mount, ...]
    mounts: tuple[Mount, ...]
    hostname: str = ""
    domainname: str = ""
    read_only: bool = False
    linux: Linux = Linux()
    hooks: tuple[Hook, ...] = ()
