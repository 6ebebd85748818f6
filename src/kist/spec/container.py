"""A container as its users see it: what they ask for, and what became of it."""

from typing import Literal

import msgspec

from kist.spec.devices import Device, DeviceRequest
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig, Healthcheck
from kist.spec.mount import Mount
from kist.spec.networking import NetworkAttachment, Networking, PublishedPort
from kist.spec.owner import Owner
from kist.spec.resources import Resources
from kist.spec.truth import TRUE

# ``bridge``, ``host``, ``none``, ``container:NAME``, or the name of a network.
NetworkMode = str
Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


class Namespaces(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose namespaces the container has, in Docker's words; empty for its own, as the engine's defaults have it.

    Attributes:
        ipc: ``private``, ``shareable``, ``none``, ``host`` or ``container:NAME``.
        pid: ``host`` or ``container:NAME``.
        uts: ``host``.
        cgroup: ``private`` or ``host``.
        user: ``host``, ``auto[:OPTIONS]``, ``keep-id[:OPTIONS]`` or ``nomap``.
    """

    ipc: str = ""
    pid: str = ""
    uts: str = ""
    cgroup: str = ""
    user: str = ""


class RestartPolicy(msgspec.Struct, frozen=True):
    """When a container that has ended is started again.

    Attributes:
        name: ``no``, ``always``, ``unless-stopped`` or ``on-failure``.
        maximum_retry_count: of ``on-failure``; 0 for any number.
    """

    name: str = "no"
    maximum_retry_count: int = 0


OWN_RUNTIMES = frozenset({"", "kist"})
"""What Kist's own runtime, the default one, is called; every other name is an outside runtime's."""


class LogConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the output goes: a log driver (empty for the engine's default) and its options."""

    driver: str = ""
    options: dict[str, str] = {}

    @property
    def keeps_file(self) -> bool:
        """Whether there is a file to read the log from, on the engine's machine."""
        if self.driver == "none":
            return False
        return self.driver in {"", "json-file", "local"} or self.options.get("cache-disabled", "") not in TRUE


class Caller(msgspec.Struct, frozen=True):
    """Who calls, for ``--as-me``: the command runs with these ids, a passwd entry and a home."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str


class ContainerOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that ``create`` is told. None means: as the image says.

    Attributes:
        image: the reference or id as the caller wrote it; empty with ``rootfs``.
        rootfs: a directory of the host in place of an image.
        platform: what the image must be for; empty for this machine's.
        command: replaces the image's Cmd.
        entrypoint: replaces the image's Entrypoint (and then its Cmd is not used); ``()`` clears it.
        env: ``NAME=value``, added to the image's.
        hostname: empty for the short container id.
        caller: set for ``--as-me``.
        group_add: further groups, names or numbers.
        mounts: binds, tmpfs and volumes.
        volumes_from: ``CONTAINER[:ro|rw]``, whose mounts this one gets too.
        volume_driver: of the volumes that are made for it.
        storage_options: of the writable layer (``size``).
        network: the network's name, or ``host``, ``none``, ``container:NAME``.
        cgroup_parent: the cgroup that the container's is made in; empty for Kist's own.
        devices, device_requests: what of the host's devices it gets.
        cap_add, cap_drop: names with or without ``CAP_``, or ``ALL``.
        security_options: as ``--security-opt`` has them.
        masked_paths, readonly_paths: in place of the default ones; None for these.
        sysctls: parameters of its namespaces.
        oom_score_adj: -1000 to 1000.
        console_size: height and width of its terminal when it starts; (0, 0) where the client will tell.
        open_stdin: keep standard input open while nobody is attached (``-i``).
        stdin_once: close standard input when the first attached client goes.
        attach_stdin, attach_stdout, attach_stderr: what the creating client attaches to; inspect shows them.
        auto_remove: remove the container when it has ended (``--rm``).
        stop_timeout: seconds between the stop signal and SIGKILL; -1 for no end.
        timeout: seconds after which the container is ended; 0 for never.
        healthcheck: replaces the image's; fields that are not set are the image's.
        health_on_failure: ``none``, ``kill``, ``restart`` or ``stop``; empty for none.
        runtime: an outside OCI runtime by name or path; empty for Kist's own.
        container_id_file: where the client wrote the id; inspect shows it.
    """

    image: str
    name: str = ""
    rootfs: str = ""
    platform: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    caller: Caller | None = None
    group_add: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    volume_driver: str = ""
    storage_options: dict[str, str] = {}
    network: NetworkMode = "bridge"
    networking: Networking = Networking()
    namespaces: Namespaces = Namespaces()
    resources: Resources = Resources()
    cgroup_parent: str = ""
    devices: tuple[Device, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    security_options: tuple[str, ...] = ()
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    sysctls: dict[str, str] = {}
    oom_score_adj: int = 0
    read_only: bool = False
    init: bool = False
    tty: bool = False
    console_size: tuple[int, int] = (0, 0)
    open_stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = True
    attach_stderr: bool = True
    auto_remove: bool = False
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: int = 10
    timeout: int = 0
    restart: RestartPolicy = RestartPolicy()
    healthcheck: Healthcheck | None = None
    health_on_failure: str = ""
    log: LogConfig = LogConfig()
    runtime: str = ""
    container_id_file: str = ""


class HealthResult(msgspec.Struct, frozen=True):
    """One health check: when (nanoseconds since the epoch), its exit code (-1: it could not run, or took too long)."""

    start: int
    end: int
    exit_code: int
    output: str


class Health(msgspec.Struct, frozen=True):
    """What a container's health checks have shown.

    Attributes:
        status: of a container that has ended, ``unhealthy``.
        streak: how many checks have failed one after the other.
        log: the last five, the oldest first.
    """

    status: Literal["starting", "healthy", "unhealthy"] = "starting"
    streak: int = 0
    log: tuple[HealthResult, ...] = ()


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run of a container used, all in all; recorded at its end. What the machine does not count is 0.

    Attributes:
        cpu_ns: CPU time in nanoseconds, of all CPUs together.
        memory_peak: the most bytes of memory at one moment.
        block_read, block_write: bytes from and to block devices.
        network_received, network_sent: bytes over its own networks.
        oom_kills: processes that the kernel killed for lack of memory.
    """

    cpu_ns: int = 0
    memory_peak: int = 0
    block_read: int = 0
    block_write: int = 0
    network_received: int = 0
    network_sent: int = 0
    oom_kills: int = 0


class ContainerState(msgspec.Struct, frozen=True):
    """What the monitor recorded.

    Attributes:
        status: ``created`` before the first start; ``restarting`` between an end and the next start by its policy.
        pid: of the container's first process in the host's pid namespace; 0 when it does not run.
        exit_code: 0 to 255 (128 + n for signal n) of the last run that has ended.
        started_at, finished_at: nanoseconds since the epoch; 0 for never.
        oom_killed: the kernel killed a process of it for lack of memory.
        error: why the last start failed.
        restart_count: how often it was started again by its policy since somebody started it.
        by_hand: somebody stopped it.
        health: None for a container without health checks.
        ports: where its ports are published.
        usage: of the last run that has ended; None while it runs, and where nobody saw the end.
    """

    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    started_at: int = 0
    finished_at: int = 0
    oom_killed: bool = False
    error: str = ""
    restart_count: int = 0
    by_hand: bool = False
    health: Health | None = None
    ports: tuple[PublishedPort, ...] = ()
    usage: Usage | None = None

    @property
    def running(self) -> bool:
        """Whether it has a monitor: its first process lives, or is about to be started again (as Docker counts it)."""
        return self.status in {"running", "paused", "restarting"}


class Container(msgspec.Struct, frozen=True):
    """One container, as ``inspect`` and ``list`` see it.

    Attributes:
        id: 64 hexadecimal digits.
        image_id: the config digest of the image that it was made from.
        created_at: nanoseconds since the epoch.
        config: the image's config with the options laid over it: what really runs.
        argv: entrypoint and command together.
        log_path: the current log file on the engine's machine.
        volume_root: the directory of all volumes there.
        owner: who made it; None for the engine's own user.
        former_names: those by which links still lead to it, while it is renamed.
    """

    id: str
    name: str
    image_id: Digest
    created_at: int
    options: ContainerOptions
    config: ContainerConfig
    argv: tuple[str, ...]
    state: ContainerState = ContainerState()
    networks: tuple[NetworkAttachment, ...] = ()
    log_path: str = ""
    volume_root: str = ""
    owner: Owner | None = None
    former_names: tuple[str, ...] = ()


class RunResult(msgspec.Struct, frozen=True):
    """What ``run`` gives back after the end: the exit code and all output, decoded leniently from UTF-8."""

    container: str
    exit_code: int
    stdout: str
    stderr: str


class ExecOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """One more process in a running container; empty fields are as the container's own process has them.

    ``detach_keys`` are the words of the keys by which its client detaches (``kist.spec.detach``); empty for the usual.
    """

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    open_stdin: bool = False
    privileged: bool = False
    console_size: tuple[int, int] = (0, 0)
    detach_keys: str = ""


class ExecState(msgspec.Struct, frozen=True):
    """An exec'd process; ``exit_code`` is None until it has ended."""

    id: str
    container: str
    running: bool
    exit_code: int | None
    pid: int
    options: ExecOptions


class LogRecord(msgspec.Struct, frozen=True):
    """A line of a container's output, with its line end unless the output had none; ``time`` in ns since the epoch."""

    stream: Literal["stdout", "stderr"]
    time: int
    data: bytes
