"""From a container's options to a runtime specification: pure. Docker's defaults, or stricter ones, live here."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kist.engine import lifetime, logconfig, network_options, undone
from kist.errors import InvalidInput, Unsupported
from kist.kernel import process
from kist.spec.container import Container, ContainerOptions, ExecOptions
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount, check_target
from kist.spec.resources import Resources
from kist.spec.runtime import DeviceRule, Linux, LinuxResources, Process, RuntimeSpec, User

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
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
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
# Any node may be made, only these may be opened (and the container's own terminals).
DEVICE_RULES = (
    DeviceRule(allow=False, type="a", major=-1, minor=-1, access="rwm"),
    DeviceRule(allow=True, type="c", major=-1, minor=-1, access="m"),
    DeviceRule(allow=True, type="b", major=-1, minor=-1, access="m"),
    *(
        DeviceRule(allow=True, type="c", major=major, minor=minor, access="rwm")
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, -1))
    ),
)
_CPU_PERIOD = 100_000
_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MINIMUM_MEMORY = 6 << 20
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the engine prepared for one start.

    Attributes:
        root: the root's mounts.
        resolv_conf, hostname_file, hosts: files that appear in /etc.
        env: variables of links.
        volumes: the directory of each volume.
    """

    root: tuple[Mount, ...]
    resolv_conf: str
    hostname_file: str
    hosts: str
    env: tuple[str, ...] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)


def runtime_spec(container: Container, surroundings: Surroundings) -> RuntimeSpec:
    """The runtime specification of a container's first process."""
    options = container.options
    hostname = options.hostname or container.id[:12]
    namespaces = ("pid", "mount", "ipc", "uts", "cgroup", *(() if options.network == "host" else ("network",)))
    return RuntimeSpec(
        process=_process(container, hostname, surroundings.env),
        root=surroundings.root,
        mounts=tuple(_mounts(options, surroundings)),
        hostname=hostname,
        read_only=options.read_only,
        linux=Linux(
            namespaces=namespaces,
            masked_paths=MASKED_PATHS,
            readonly_paths=READONLY_PATHS,
            sysctl=_sysctl(options),
            cgroups_path=cgroup_path(container.id),
            resources=limits(options.resources),
        ),
    )


def cgroup_path(identifier: str) -> str:
    """Where a container's cgroup is below the hierarchies' roots."""
    return f"kist/{identifier}"


def exec_process(container: Container, options: ExecOptions, linked: Sequence[str] = ()) -> Process:
    """A further process, which has the container's environment, user and directory unless told otherwise.

    ``linked`` are the variables of the container's links.
    """
    first = _process(container, container.options.hostname or container.id[:12], linked)
    env = merge_env(first.env, options.env)
    if options.tty and not container.options.tty:
        env = merge_env(("TERM=xterm",), env)
    return Process(
        args=options.command,
        env=env,
        cwd=options.working_dir or first.cwd,
        terminal=options.tty,
        user=User(username=options.user) if options.user else first.user,
        capabilities=first.capabilities,
    )


def effective_config(options: ContainerOptions, image: ContainerConfig) -> tuple[ContainerConfig, tuple[str, ...]]:
    """What really runs: the image's config with the options laid over it, and the argument vector.

    Raises:
        InvalidInput: neither the image nor the options name a command.
    """
    entrypoint = image.entrypoint if options.entrypoint is None else options.entrypoint
    # As in Docker, an empty command is none, and the image's goes with the image's entrypoint only.
    command = options.command or (image.cmd if options.entrypoint is None else ())
    argv = (*(entrypoint or ()), *(command or ()))
    if not argv:
        raise InvalidInput("no command specified", hint="the image names no command: write one after the image's name")
    env = merge_env((DEFAULT_PATH,), image.env or (), options.env)
    config = ContainerConfig(
        user=options.user or image.user,
        env=env,
        entrypoint=entrypoint,
        cmd=command,
        working_dir=options.working_dir or image.working_dir,
        labels={**(image.labels or {}), **options.labels},
        exposed_ports=_exposed(image.exposed_ports, options.networking.exposed_ports),
        volumes=image.volumes,
        stop_signal=options.stop_signal or image.stop_signal,
        shell=image.shell,
        healthcheck=lifetime.merge_healthcheck(options.healthcheck, image.healthcheck),
    )
    return config, argv


def _exposed(of_image: dict[str, dict[str, Any]] | None, added: Iterable[str]) -> dict[str, dict[str, Any]] | None:
    return {**(of_image or {}), **{port: {} for port in added}} or None


def merge_env(*layers: Iterable[str]) -> tuple[str, ...]:
    """Environments laid over each other: a later ``NAME=value`` replaces an earlier one, ``NAME`` alone removes it."""
    merged: dict[str, str] = {}
    for layer in layers:
        for entry in layer:
            name, equals, _ = entry.partition("=")
            if equals:
                merged[name] = entry
            else:
                merged.pop(name, None)
    return tuple(merged.values())


def capabilities(add: Sequence[str], drop: Sequence[str]) -> tuple[str, ...]:
    """Docker's default set, without ``drop``, with ``add``; ``ALL`` stands for every one there is.

    Raises:
        InvalidInput: a name that is no capability.
    """
    added, dropped = _capability_names(add), _capability_names(drop)
    if "ALL" in added:
        kept = set(process.CAPABILITIES) - dropped
    elif "ALL" in dropped:
        kept = added
    else:
        kept = {name for name in DEFAULT_CAPABILITIES if name not in dropped} | added
    return tuple(name for name in process.CAPABILITIES if name in kept)


def check(options: ContainerOptions) -> None:
    """Refuse what cannot be right before anything is made.

    Raises:
        InvalidInput: names the option, the value, and what is allowed.
    """
    undone.refuse(options)
    lifetime.check(options)
    logconfig.check(options.log)
    capabilities(options.cap_add, options.cap_drop)
    memory = options.resources.memory
    if memory and memory < _MINIMUM_MEMORY:
        raise InvalidInput("Minimum memory limit allowed is 6MB", hint=f"-m was {memory} bytes")
    if options.resources.nano_cpus < 0:
        raise InvalidInput(f"invalid NanoCpus {options.resources.nano_cpus}: the number of CPUs cannot be negative")
    if options.resources.pids < -1:
        raise InvalidInput(f"invalid PidsLimit {options.resources.pids}: a limit cannot be negative")
    if options.working_dir and not options.working_dir.startswith("/"):
        raise InvalidInput(f"the working directory {options.working_dir!r} is invalid, it needs to be an absolute path")
    if options.hostname and not _HOSTNAME.fullmatch(options.hostname):
        raise InvalidInput(
            f"invalid hostname: {options.hostname!r}", hint="letters, digits, '-', '_' and '.', at most 63 in all"
        )
    for entry in options.env:
        if entry.startswith("=") or "\0" in entry:
            raise InvalidInput(f"invalid environment variable: {entry!r}", hint="write NAME=value")
    if any("\0" in argument for argument in (*(options.entrypoint or ()), *(options.command or ()))):
        raise InvalidInput("the command contains a NUL character")
    network_options.check(options)
    _check_mounts(options.mounts)


def _check_mounts(asked: Sequence[Mount]) -> None:
    taken: set[str] = set()
    for mount in asked:
        target = check_target(mount.target, mount.target)
        if target in taken:
            raise InvalidInput(f"Duplicate mount point: {mount.target}")
        taken.add(target)
        if {"shared", "rshared"} & set(mount.options):
            raise Unsupported(f"mount {target}: shared propagation is not supported", hint="leave the option out")
        if mount.type == "bind" and not mount.source.startswith("/"):
            raise InvalidInput(f"invalid mount source {mount.source!r}: it must be an absolute path")
        if mount.type not in {"bind", "tmpfs", "volume"}:
            raise Unsupported(f"mounts of type {mount.type} are not supported", hint="use bind, volume or tmpfs")


def limits(resources: Resources) -> LinuxResources:
    """The cgroup limits; the device allow-list is always among them."""
    quota = resources.nano_cpus * _CPU_PERIOD // 1_000_000_000
    return LinuxResources(
        memory=resources.memory,
        cpu_quota=max(quota, 1000) if quota else 0,
        cpu_period=_CPU_PERIOD if quota else 0,
        pids=max(resources.pids, 0),
        devices=DEVICE_RULES,
    )


def _capability_names(names: Sequence[str]) -> set[str]:
    full = set()
    for name in names:
        upper = name.upper()
        canonical = upper if upper == "ALL" else "CAP_" + upper.removeprefix("CAP_")
        if canonical != "ALL" and canonical not in process.CAPABILITIES:
            raise InvalidInput(f"invalid capability: {name!r}", hint="names are those of capabilities(7), or ALL")
        full.add(canonical)
    return full


def _process(container: Container, hostname: str, linked: Sequence[str] = ()) -> Process:
    options, config = container.options, container.config
    base = (f"HOSTNAME={hostname}", *(("TERM=xterm",) if options.tty else ()), *linked)
    env = merge_env(base, config.env or ())
    if options.caller is not None:
        caller = options.caller
        user = User(uid=caller.uid, gid=caller.gid, additional_gids=caller.groups)
        env = merge_env((f"HOME={caller.home}", f"USER={caller.name}"), env)
    else:
        user = User(username=config.user or "0")
    return Process(
        args=container.argv,
        env=env,
        cwd=config.working_dir or "/",
        terminal=options.tty,
        user=user,
        capabilities=capabilities(options.cap_add, options.cap_drop),
    )


def _mounts(options: ContainerOptions, surroundings: Surroundings) -> list[Mount]:
    quiet = ("nosuid", "noexec", "nodev")
    terminals = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=620", "gid=5")
    own = [
        Mount("proc", "proc", "/proc", quiet),
        Mount("tmpfs", "tmpfs", "/dev", ("nosuid", "noexec", "strictatime", "mode=755", "size=64k")),
        Mount("devpts", "devpts", "/dev/pts", terminals),
        Mount("sysfs", "sysfs", "/sys", (*quiet, "ro")),
        Mount("cgroup", "cgroup", "/sys/fs/cgroup", (*quiet, "ro")),
        Mount("mqueue", "mqueue", "/dev/mqueue", quiet),
        Mount("tmpfs", "shm", "/dev/shm", (*quiet, "mode=1777", f"size={options.resources.shm_size}")),  # noqa: S108
    ]  # fmt: skip
    files = (surroundings.resolv_conf, surroundings.hostname_file, surroundings.hosts)
    asked = {posixpath.normpath(mount.target) for mount in options.mounts}
    etc = [
        Mount.bind(source, target)
        for source, target in zip(files, _NETWORK_FILES, strict=True)
        if source and target not in asked
    ]
    # Who brings a /dev brings all of it.
    kept = [m for m in own if m.target not in asked and not (m.target.startswith("/dev/") and "/dev" in asked)]
    # A mount on a directory below another's target comes after it, whatever the order on the command line.
    theirs = [_user_mount(mount, surroundings.volumes) for mount in options.mounts]
    return kept + sorted([*etc, *theirs], key=_depth)


def _depth(mount: Mount) -> int:
    return posixpath.normpath(mount.target).count("/")


def _user_mount(mount: Mount, volumes: Mapping[str, str]) -> Mount:
    if mount.type == "tmpfs":
        default = ("nosuid", "nodev", "noexec")
        given = set(mount.options)
        opposite = {"nosuid": "suid", "nodev": "dev", "noexec": "exec"}
        kept = tuple(option for option in default if opposite[option] not in given)
        return Mount("tmpfs", "tmpfs", mount.target, (*kept, *mount.options))
    if mount.type == "volume":
        source = volumes.get(mount.source, mount.source or "ANONYMOUS")
        return Mount("bind", source, mount.target, tuple(option for option in mount.options if option != "nocopy"))
    return mount


def _sysctl(options: ContainerOptions) -> dict[str, str]:
    # As in Docker: with a network of its own, a container may open low ports and ping without privileges.
    if options.network == "host":
        return {}
    return {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
