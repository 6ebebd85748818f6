"""What a guest asks of a container, judged: pure. What nobody has thought of is refused.

Every field of ``ContainerOptions``, ``Networking``, ``Namespaces`` and ``Resources`` is either harmless, or has a check
here; a test walks through them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from kist.engine import bundle, logconfig, publishing, security
from kist.engine.policy.rights import Bounds
from kist.engine.userns import USUAL_SIZE, read
from kist.spec.container import OWN_RUNTIMES, Container, ContainerOptions, Namespaces
from kist.spec.mount import Mount
from kist.spec.network import NetworkOptions
from kist.spec.owner import Owner
from kist.spec.resources import Resources
from kist.spec.volume import VolumeOptions

# Of its own command, its own namespaces or its own files: nothing of the host's, and nothing of others'.
HARMLESS = frozenset(
    {
        "image", "name", "platform", "command", "entrypoint", "env", "working_dir", "user", "group_add", "hostname",
        "domainname", "storage_options", "cap_drop", "sysctls", "read_only", "init", "tty", "console_size",
        "open_stdin", "stdin_once", "attach_stdin", "attach_stdout", "attach_stderr", "auto_remove", "labels",
        "annotations", "stop_signal", "stop_timeout", "timeout", "restart", "healthcheck", "health_on_failure",
        "container_id_file",
    }
)  # fmt: skip
HARMLESS_NETWORKING = frozenset(
    {
        "extra_hosts", "dns", "dns_search", "dns_options", "exposed_ports",
    }
)  # fmt: skip
HARMLESS_RESOURCES = frozenset(
    {
        "memory", "memory_reservation", "memory_swap", "memory_swappiness", "cpu_shares", "nano_cpus", "cpu_period",
        "cpu_quota", "cpuset_cpus", "cpuset_mems", "pids", "blkio_weight", "shm_size",
    }
)  # fmt: skip
# Of the volume's own directory.
HARMLESS_VOLUME_OPTIONS = frozenset({"uid", "gid", "mode", "size"})
# Of a mount, where Docker's clients write them; the rest changes more than the container's own view.
_BIND_WORDS = frozenset({"ro", "rw", "z", "Z", "private", "rprivate", "consistent", "cached", "delegated"})
_VOLUME_WORDS = _BIND_WORDS | {"nocopy"}
_VOLUME_VALUES = ("subpath=", "volume-label=")
_LOCAL_LOGS = frozenset({"json-file", "local", "none"})
_REALTIME = frozenset({"rtprio", "nice", "rttime"})
_FIRST_PORT = 1024
_NOTHING = Resources()


@dataclass(frozen=True, slots=True)
class Guest:
    """Who asks, and what the policy, or a socket's role, says of it."""

    owner: Owner
    rights: Bounds


def judge(
    options: ContainerOptions,
    guest: Guest,
    get: Callable[[str], Container],
    networks: frozenset[str] = frozenset(),
) -> ContainerOptions:
    """The options as a guest's container has them.

    Args:
        options: as they were asked for.
        guest: who asks.
        get: finds a container by name, of those that are the guest's.
        networks: the names and ids of those that are the guest's.

    Raises:
        Forbidden: names the option, the rule, and how an administrator grants it.
    """
    for check in _CHECKS:
        check(options, guest)
    _networks(options, guest, networks)
    judge_resources(options.resources, guest)
    for mount in options.mounts:
        _mount(mount, guest)
    # By its id: whoever has the name when the container is made, this one is meant.
    givers = tuple(_giver(text, get) for text in options.volumes_from)
    usual = "auto" if guest.owner.is_user else ""
    spaces = msgspec.structs.replace(options.namespaces, user=options.namespaces.user or usual)
    return msgspec.structs.replace(options, namespaces=spaces, volumes_from=givers)


def judge_resources(resources: Resources, guest: Guest) -> None:
    """Refuse limits that are at others' cost.

    Raises:
        Forbidden: as for ``judge``.
    """
    if resources.device_rules:
        raise guest.rights.refuse(f"--device-cgroup-rule {resources.device_rules[0]}", "no devices of the host")
    for name in ("blkio_weight_devices", "read_bps", "write_bps", "read_iops", "write_iops"):
        if getattr(resources, name):
            raise guest.rights.refuse("a limit of single devices", "devices are the administrator's")
    if resources.oom_kill_disable:
        raise guest.rights.refuse("--oom-kill-disable", "the machine's memory is everybody's")
    if resources.cpu_realtime_runtime or resources.cpu_realtime_period:
        guest.rights.need("realtime", "--cpu-rt-runtime")
    for limit in resources.ulimits:
        if limit.name in _REALTIME:
            guest.rights.need("realtime", f"--ulimit {limit.name}")


def judge_network(options: NetworkOptions, guest: Guest) -> None:
    """Refuse a network that is at others' cost, or has something of the host's.

    Raises:
        Forbidden: as for ``judge``.
    """
    if options.driver != "bridge":
        raise guest.rights.refuse(f"--driver {options.driver}", "devices of the host are the administrator's")
    for subnet in options.subnets:
        if subnet.subnet:
            raise guest.rights.refuse(f"--subnet {subnet.subnet}", "the host would look for these addresses there")
    for option in options.options:
        if option not in _HARMLESS_DRIVER_OPTIONS:
            raise guest.rights.refuse(f"--opt {option}", "it is not known to be harmless")


_HARMLESS_DRIVER_OPTIONS = frozenset(
    f"com.docker.network.{name}"
    for name in ("bridge.enable_icc", "bridge.enable_ip_masquerade", "container_iface_prefix", "driver.mtu")
)


def judge_volume(options: VolumeOptions, guest: Guest) -> None:
    """Refuse a volume that shows what is the host's.

    Raises:
        Forbidden: as for ``judge``.
    """
    for name in sorted(options.options.keys() - HARMLESS_VOLUME_OPTIONS):
        raise guest.rights.refuse(
            f"the option {name} of a volume", "what a guest's volumes mount would be mounted by the machine's root"
        )


def _giver(text: str, get: Callable[[str], Container]) -> str:
    name, colon, mode = text.partition(":")
    return f"{get(name).id}{colon}{mode}"


def _privileges(options: ContainerOptions, guest: Guest) -> None:
    if options.privileged:
        raise guest.rights.refuse("--privileged", "its container's root would be root of the machine")
    held = set(bundle.DEFAULT_CAPABILITIES)
    for name in bundle.capabilities(options.cap_add, ()):
        if name not in held:
            guest.rights.need(f"cap-add={name}", f"--cap-add {name}")
    asked = security.read(options)
    plain = asked.seccomp == "default" and not asked.open_paths and not asked.writable_cgroups
    if not plain or asked.apparmor or asked.labels:
        raise guest.rights.refuse("--security-opt", "a guest's containers keep the usual confinement")
    if options.masked_paths is not None or options.readonly_paths is not None:
        raise guest.rights.refuse("MaskedPaths and ReadonlyPaths", "a guest's containers keep the usual confinement")
    if options.oom_score_adj < 0:
        raise guest.rights.refuse(f"--oom-score-adj {options.oom_score_adj}", "the machine's memory is everybody's")


def _spaces(options: ContainerOptions, guest: Guest) -> None:
    spaces = options.namespaces
    asked = {
        "network": options.network,
        "ipc": spaces.ipc,
        "pid": spaces.pid,
        "uts": spaces.uts,
        "cgroupns": spaces.cgroup,
    }
    for name, mode in asked.items():
        if mode == "host":
            raise guest.rights.refuse(f"--{name} host", "the host's namespaces are the administrator's")
        if mode.startswith("container:"):
            raise guest.rights.refuse(f"--{name} {mode}", "a guest's containers share no namespaces")
    own = {"ipc": ("", "none", "private", "shareable"), "pid": ("",), "uts": ("",), "cgroupns": ("", "private")}
    for name, modes in own.items():
        if asked[name] not in modes:
            raise guest.rights.refuse(f"--{name} {asked[name]}", "it is not known to be harmless")
    if options.network != "none":
        guest.rights.check("network", f"--network {options.network}")
    ids = read(spaces.user)
    if spaces.user and (ids.kind != "auto" or ids.uids or ids.gids):
        raise guest.rights.refuse(f"--userns {spaces.user}", "a guest's containers have ids of their own (auto)")
    if ids.size > USUAL_SIZE:
        raise guest.rights.refuse(f"--userns {spaces.user}", f"a guest's containers have {USUAL_SIZE} ids")


def _places(options: ContainerOptions, guest: Guest) -> None:
    if options.rootfs:
        raise guest.rights.refuse(f"--rootfs {options.rootfs}", "directories of the host are no roots for guests")
    if options.runtime not in OWN_RUNTIMES:
        raise guest.rights.refuse(f"--runtime {options.runtime}", "it would run as root on the host")
    if options.cgroup_parent:
        raise guest.rights.refuse(f"--cgroup-parent {options.cgroup_parent}", "control groups are the administrator's")
    if options.volume_driver not in {"", "local"}:
        raise guest.rights.refuse(f"--volume-driver {options.volume_driver}", "a guest's volumes are local")
    driver = logconfig.driver_of(options.log)
    if driver not in _LOCAL_LOGS:
        guest.rights.need(f"log-driver={driver}", f"--log-driver {driver}")


def _devices(options: ContainerOptions, guest: Guest) -> None:
    if options.device_requests:
        raise guest.rights.refuse("--gpus", "devices are the administrator's")
    for device in options.devices:
        guest.rights.need(f"device={device.source}", f"--device {device.source}")


def _network(options: ContainerOptions, guest: Guest) -> None:
    asked = options.networking
    if asked.links:
        raise guest.rights.refuse(f"--link {asked.links[0]}", "a link shows the other container's environment")
    if asked.ports or asked.publish_all:
        guest.rights.check("publish", "-p")
    for port in asked.ports:
        if any(0 < number < _FIRST_PORT for number in publishing.host_ports(port)):
            guest.rights.need("low-ports", f"-p {port.host_port}:{port.port}")


def _networks(options: ContainerOptions, guest: Guest, own: frozenset[str]) -> None:
    for name in (options.network, *(endpoint.network for endpoint in options.networking.endpoints)):
        if name not in {"bridge", "none"} and name not in own:
            raise guest.rights.refuse(
                f"--network {name}", "a guest's networks are bridge, none, and those that the guest has made"
            )
    for endpoint in options.networking.endpoints:
        if endpoint.links:
            raise guest.rights.refuse(f"--link {endpoint.links[0]}", "a link shows the other container's environment")


def _caller(options: ContainerOptions, guest: Guest) -> None:
    caller, owner = options.caller, guest.owner
    if caller is None:
        return
    groups = {owner.gid, *owner.groups}
    if not owner.is_user:
        raise guest.rights.refuse("--as-me", "whoever comes by a socket with a role is nobody of the machine's")
    if (caller.uid, caller.gid) != (owner.uid, owner.gid) or not groups.issuperset(caller.groups):
        raise guest.rights.refuse("--as-me for somebody else", f"it is {owner.name} who calls")


_CHECKS = (_privileges, _spaces, _places, _devices, _network, _caller)
CHECKED = frozenset(
    {
        "privileged", "cap_add", "security_options", "masked_paths", "readonly_paths", "oom_score_adj", "network",
        "networking", "namespaces", "rootfs", "runtime", "cgroup_parent", "volume_driver", "log", "devices",
        "device_requests", "caller", "resources", "mounts", "volumes_from",
    }
)  # fmt: skip


def _mount(mount: Mount, guest: Guest) -> None:
    shown = f"the mount {mount.source or mount.type}:{mount.target}"
    if mount.type == "tmpfs":
        return  # made by the container's own root, in its own memory
    if mount.type == "image":
        return  # whose name it has is looked at where it is found, as that of the image that the container is of
    guest.rights.check("bind" if mount.type == "bind" else "volume", shown)
    words, asked = _BIND_WORDS, mount.options
    if mount.type == "volume":
        words = _VOLUME_WORDS
        judge_volume(VolumeOptions(options=mount.pairs("volume-opt")), guest)
        asked = tuple(word for word in asked if not word.startswith((*_VOLUME_VALUES, "volume-opt=")))
    if mount.type not in {"bind", "volume"} or not words.issuperset(asked):
        unknown = next((word for word in asked if word not in words), mount.type)
        raise guest.rights.refuse(
            f"{unknown!r} of {shown}", "a guest's mounts are plain, and read-only as a whole or not"
        )


def spaces_checked() -> frozenset[str]:
    """The fields of ``Namespaces`` that ``judge`` looks at."""
    return frozenset(Namespaces.__struct_fields__)
