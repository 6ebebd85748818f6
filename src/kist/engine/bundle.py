"""From a container's options to a runtime specification: pure. Docker's defaults, or stricter ones, live here."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from kist.engine import devices as host_devices
from kist.engine import (
    disk_size,
    lifetime,
    logconfig,
    namespaces,
    network_options,
    outside,
    security,
    sysctls,
    ulimits,
    userns,
)
from kist.engine.limits import cgroup_limits
from kist.errors import InvalidInput, Unsupported
from kist.kernel import process
from kist.spec.cdi import Hook
from kist.spec.container import Container, ContainerOptions, ExecOptions
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount, check_target
from kist.spec.resources import Resources
from kist.spec.runtime import (
    MASKED_PATHS,
    READONLY_PATHS,
    DeviceNode,
    DeviceRule,
    IdMaps,
    Joined,
    Linux,
    LinuxResources,
    Process,
    RuntimeSpec,
    User,
)
from kist.spec.volume import VolumeSource

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
_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LEAST_OOM_SCORE, _MOST_OOM_SCORE = -1000, 1000
_QUIET = ("nosuid", "noexec", "nodev")
_SHM = "/dev/shm"  # noqa: S108 - in a container
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")


class Surroundings(msgspec.Struct, frozen=True):
    """What the engine prepared for one start.

    Attributes:
        root: the root's mounts.
        resolv_conf, hostname_file, hosts: files that appear in /etc.
        env: variables of links.
        volumes: what each volume is on the host.
        hostname: the container's name for itself; empty for the one that was asked for or its short id.
        joined: the namespaces of others that it is to have.
        devices, device_rules: of the host's devices.
        mounts, groups, hooks: what vendors' specifications of devices add.
        ids: of its user namespace; None for the host's.
        images: what shows each image that is mounted, by the mount's target; nothing of one without layers.
    """

    root: tuple[Mount, ...]
    resolv_conf: str
    hostname_file: str
    hosts: str
    env: tuple[str, ...] = ()
    volumes: Mapping[str, VolumeSource] = msgspec.field(default_factory=dict)
    hostname: str = ""
    joined: tuple[Joined, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    device_rules: tuple[DeviceRule, ...] = host_devices.DEFAULT_RULES
    mounts: tuple[Mount, ...] = ()
    groups: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    ids: IdMaps | None = None
    images: Mapping[str, tuple[Mount, ...]] = msgspec.field(default_factory=dict)


def runtime_spec(container: Container, surroundings: Surroundings) -> RuntimeSpec:
    """The runtime specification of a container's first process."""
    options = container.options
    hostname = surroundings.hostname or options.hostname or container.id[:12]
    own, held = namespaces.own(options), security.read(options)
    return RuntimeSpec(
        process=_process(container, hostname, surroundings.env, surroundings.groups),
        root=surroundings.root,
        mounts=tuple(_mounts(options, surroundings)),
        hostname=hostname,
        domainname=options.domainname,
        read_only=options.read_only,
        linux=Linux(
            namespaces=own,
            masked_paths=_system_paths(options.masked_paths, MASKED_PATHS, held),
            readonly_paths=_system_paths(options.readonly_paths, READONLY_PATHS, held),
            sysctl=sysctls.wanted(options, own_network="network" in own, ids=surroundings.ids),
            cgroups_path=cgroup_path(container),
            resources=limits(options.resources, surroundings.device_rules),
            joined=surroundings.joined,
            devices=surroundings.devices,
            seccomp=held.seccomp,
            ids=surroundings.ids,
            owner=container.owner,
        ),
        hooks=surroundings.hooks,
    )


def _system_paths(asked: tuple[str, ...] | None, usual: tuple[str, ...], held: security.Security) -> tuple[str, ...]:
    if asked is not None:
        return asked
    return () if held.open_paths else usual


def cgroup_path(container: Container) -> str:
    """Where a container's cgroup is below the hierarchies' roots."""
    return f"{container.options.cgroup_parent.strip('/') or 'kist'}/{container.id}"


def exec_process(container: Container, options: ExecOptions, linked: Sequence[str] = (), hostname: str = "") -> Process:
    """A further process, which has the container's environment, user and directory unless told otherwise.

    Args:
        container: where it runs.
        options: of the process.
        linked: the variables of the container's links.
        hostname: the container's name for itself, where it is another than the one that was asked for or its short id.
    """
    first = _process(container, hostname or container.options.hostname or container.id[:12], linked)
    env = merge_env(first.env, options.env)
    if options.tty and not container.options.tty:
        env = merge_env(("TERM=xterm",), env)
    return Process(
        args=options.command,
        env=env,
        cwd=options.working_dir or first.cwd,
        terminal=options.tty,
        console_size=options.console_size,
        user=User(username=options.user, groups=first.user.groups) if options.user else first.user,
        capabilities=process.CAPABILITIES if options.privileged else first.capabilities,
        no_new_privileges=first.no_new_privileges,
        rlimits=first.rlimits,
        oom_score_adj=first.oom_score_adj,
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


def check_hostname(name: str, option: str) -> None:
    """Refuse what no machine can be called.

    Raises:
        InvalidInput: tells what the option takes.
    """
    if not _HOSTNAME.fullmatch(name):
        raise InvalidInput(
            f"invalid hostname: {name!r}", hint=f"{option} takes letters, digits, '-', '_' and '.', at most 63 in all"
        )


def check(options: ContainerOptions) -> None:
    """Refuse what cannot be right before anything is made.

    Raises:
        InvalidInput: names the option, the value, and what is allowed.
    """
    outside.check(options)
    lifetime.check(options)
    logconfig.check(options.log)
    capabilities(options.cap_add, options.cap_drop)
    if options.resources.pids < -1:
        raise InvalidInput(f"invalid PidsLimit {options.resources.pids}: a limit cannot be negative")
    if options.namespaces.cgroup not in {"", "private", "host"}:
        raise InvalidInput(f"invalid cgroup namespace mode: {options.namespaces.cgroup}", hint="it is private or host")
    if ".." in options.cgroup_parent.split("/"):
        raise InvalidInput(f"invalid cgroup parent {options.cgroup_parent!r}: it leads out of the hierarchy",
                           hint="write a path below the root of the cgroups")  # fmt: skip
    if options.working_dir and not options.working_dir.startswith("/"):
        raise InvalidInput(f"the working directory {options.working_dir!r} is invalid, it needs to be an absolute path")
    if options.hostname:
        check_hostname(options.hostname, "--hostname")
    for entry in options.env:
        if entry.startswith("=") or "\0" in entry:
            raise InvalidInput(f"invalid environment variable: {entry!r}", hint="write NAME=value")
    if any("\0" in argument for argument in (*(options.entrypoint or ()), *(options.command or ()))):
        raise InvalidInput("the command contains a NUL character")
    disk_size.asked_size(options)
    network_options.check(options)
    namespaces.check(options)
    userns.check(options)
    sysctls.check(options)
    host_devices.check(options)
    security.read(options)
    ulimits.rlimits(options.resources.ulimits)
    if not _LEAST_OOM_SCORE <= options.oom_score_adj <= _MOST_OOM_SCORE:
        raise InvalidInput(
            f"Invalid value {options.oom_score_adj}, range for oom score adj is [{_LEAST_OOM_SCORE}, {_MOST_OOM_SCORE}]"
        )
    _check_mounts(options.mounts)


def _check_mounts(asked: Sequence[Mount]) -> None:
    taken: set[str] = set()
    for mount in asked:
        target = check_target(mount.target, mount.target)
        if target in taken:
            raise InvalidInput(f"Duplicate mount point: {mount.target}")
        taken.add(target)
        if mount.type == "bind" and not mount.source.startswith("/"):
            raise InvalidInput(f"invalid mount source {mount.source!r}: it must be an absolute path")
        if mount.type not in {"bind", "tmpfs", "volume", "image"}:
            raise Unsupported(f"mounts of type {mount.type} are not supported", hint="use bind, volume, tmpfs or image")


def limits(resources: Resources, rules: tuple[DeviceRule, ...] = host_devices.DEFAULT_RULES) -> LinuxResources:
    """The cgroup limits; the device allow-list is always among them."""
    return msgspec.structs.replace(cgroup_limits(resources), devices=rules)


def _capability_names(names: Sequence[str]) -> set[str]:
    full = set()
    for name in names:
        upper = name.upper()
        canonical = upper if upper == "ALL" else "CAP_" + upper.removeprefix("CAP_")
        if canonical != "ALL" and canonical not in process.CAPABILITIES:
            raise InvalidInput(
                f"invalid capability: {name!r}",
                hint="--cap-add and --cap-drop take the names of capabilities(7), or ALL",
            )
        full.add(canonical)
    return full


def _process(container: Container, hostname: str, linked: Sequence[str] = (), groups: Sequence[str] = ()) -> Process:
    options, config = container.options, container.config
    groups = (*options.group_add, *groups)
    held = security.read(options)
    base = (f"HOSTNAME={hostname}", *(("TERM=xterm",) if options.tty else ()), *linked)
    env = merge_env(base, config.env or ())
    caller = userns.caller_of(options)
    if caller is not None and not (options.user and userns.keeps_ids(options)):
        user = User(uid=caller.uid, gid=caller.gid, additional_gids=caller.groups, groups=groups)
        env = merge_env((f"HOME={caller.home}", f"USER={caller.name}"), env)
    else:
        user = User(username=config.user or "0", groups=groups)
    return Process(
        args=container.argv,
        env=env,
        cwd=config.working_dir or "/",
        terminal=options.tty,
        console_size=options.console_size,
        user=user,
        capabilities=process.CAPABILITIES if options.privileged else capabilities(options.cap_add, options.cap_drop),
        no_new_privileges=held.no_new_privileges,
        rlimits=ulimits.rlimits(options.resources.ulimits),
        oom_score_adj=options.oom_score_adj,
    )


def _mounts(options: ContainerOptions, surroundings: Surroundings) -> list[Mount]:
    held = security.read(options)
    writable = options.privileged
    terminals = ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=620", "gid=5")
    own = [
        Mount("proc", "proc", "/proc", _QUIET),
        Mount("tmpfs", "tmpfs", "/dev", ("nosuid", "noexec", "strictatime", "mode=755", "size=64k")),
        Mount("devpts", "devpts", "/dev/pts", terminals),
        Mount("sysfs", "sysfs", "/sys", (*_QUIET, *(() if writable else ("ro",)))),
        _cgroup_mount(options, read_only=not held.writable_cgroups),
        Mount("mqueue", "mqueue", "/dev/mqueue", _QUIET),
        *_shared_memory(options, surroundings.joined),
    ]
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
    theirs = [_user_mount(mount, surroundings) for mount in options.mounts]
    return kept + sorted([*etc, *surroundings.mounts, *theirs], key=_depth)


def _depth(mount: Mount) -> int:
    return posixpath.normpath(mount.target).count("/")


def _user_mount(mount: Mount, surroundings: Surroundings) -> Mount:
    if mount.type == "tmpfs":
        default = ("nosuid", "nodev", "noexec")
        given = set(mount.options)
        opposite = {"nosuid": "suid", "nodev": "dev", "noexec": "exec"}
        kept = tuple(option for option in default if opposite[option] not in given)
        return Mount("tmpfs", "tmpfs", mount.target, (*kept, *mount.options))
    if mount.type == "volume":
        return _volume_mount(mount, surroundings)
    if mount.type == "image":
        return _image_mount(mount, surroundings.images.get(mount.target, ()))
    return Mount("bind", mount.source, mount.target, (*mount.options, *_callers(surroundings)))


def _volume_mount(mount: Mount, surroundings: Surroundings) -> Mount:
    source = surroundings.volumes.get(mount.source, VolumeSource(mount.source or "ANONYMOUS"))
    within = mount.option("subpath")
    words = [*source.words, *(option for option in mount.plain_options if option != "nocopy")]
    words += [f"subpath={within}"] if within else []
    if source.is_held:
        return Mount("held", mount.source, mount.target, tuple(words))
    return Mount("bind", source.path, mount.target, (*words, *(_callers(surroundings) if source.is_host else ())))


def _image_mount(mount: Mount, view: tuple[Mount, ...]) -> Mount:
    """What shows the image's files, read-only: a directory, an overlay, or nothing at all."""
    if not view:
        return Mount("tmpfs", "tmpfs", mount.target, ("ro", *_QUIET, "size=4k", "mode=755"))
    within = mount.option("subpath")
    words = ("ro", *((f"subpath={within}",) if within else ()))
    (shown,) = view
    if shown.type == "bind":
        return Mount("bind", shown.source, mount.target, ("bind", *words))
    return Mount(shown.type, shown.source, mount.target, (*shown.options, *words))


def _callers(surroundings: Surroundings) -> tuple[str, ...]:
    """The word by which what is the caller's on the host is the caller's in the container too."""
    return ("callers",) if surroundings.ids is not None and surroundings.ids.bind_uids else ()


def _cgroup_mount(options: ContainerOptions, *, read_only: bool) -> Mount:
    whole = ("host",) if options.namespaces.cgroup == "host" else ()
    return Mount("cgroup", "cgroup", "/sys/fs/cgroup", (*_QUIET, *(("ro",) if read_only else ()), *whole))


def _shared_memory(options: ContainerOptions, joined: tuple[Joined, ...]) -> list[Mount]:
    """The shared memory, which belongs to the IPC namespace."""
    mode = options.namespaces.ipc
    if mode == "none":
        return []
    if mode == "host":
        return [Mount.bind(_SHM, _SHM)]
    if (of := next((other for other in joined if "ipc" in other.kinds), None)) is not None:
        return [Mount("joined", f"{of.pid}:{of.started}", _SHM)]
    return [Mount("tmpfs", "shm", _SHM, (*_QUIET, "mode=1777", f"size={options.resources.shm_size}"))]
