"""What the machine lets this engine do: all for the machine's root, less for root of a user namespace.

A container is described as for root (``bundle``) and then fitted: what cannot be had is had in another way where there
is one that serves as well.
"""

import os
import posixpath
from collections.abc import Callable, Sequence

import msgspec

from kist.engine import sysctls
from kist.engine import userns as own_ids
from kist.errors import Unsupported, see_doctor
from kist.kernel import cgroup, userns, views
from kist.network import outward
from kist.spec.container import OWN_RUNTIMES, Caller, ContainerOptions
from kist.spec.devices import Device
from kist.spec.mount import Mount
from kist.spec.networking import Endpoint, Networking, joins_alone
from kist.spec.owner import Owner
from kist.spec.runtime import IdMap, IdMaps, Linux, Process, RuntimeSpec

# Whose terminals are, by convention (the group tty).
_TERMINALS_GROUP = 5
_WATCHED = (
    "There are no control groups here: the container's monitor watches its memory, and kills what is above the limit "
    f"within a moment ({see_doctor('cgroups')})."
)
# apt would become another user for its downloads, looks whether it has, and there is none here.
_APT = {"apt.conf": 'APT::Sandbox::User "root";\n'}
_NO_GROUPS = f"--group-add is left out: there is one group here, which is yours ({see_doctor('subids')})."
_NO_PARENT = f"--cgroup-parent is left out: there are no control groups here ({see_doctor('cgroups')})."
_DOCTORS = {outward.TUN: "tun", "/dev/fuse": "fuse"}
# File systems that show a namespace: only the root of that namespace mounts them.
_SHOWS = {"proc": "pid", "sysfs": "network", "mqueue": "ipc"}


class Means(msgspec.Struct, frozen=True):
    """What can be done.

    Attributes:
        root: whether this is the machine's root, and not root of a user namespace.
        cgroups: whether containers have control groups.
        ids: that there are; None for all.
        lacks: why there is one only, where that is known.
        bound: containers end with this process; their control groups are below these.
        look_for_way_out: finds the program that carries packets out of an ordinary user's bridge.
    """

    root: bool = True
    cgroups: bool = True
    ids: userns.Ids | None = None
    lacks: str = ""
    bound: cgroup.Hierarchies | None = None
    look_for_way_out: Callable[[], outward.Helper | None] = lambda: None

    def check(self, options: ContainerOptions) -> None:
        """Refuse what cannot be done here.

        Raises:
            Unsupported: names the option.
        """
        if self.ids is not None and own_ids.read(options.namespaces.user).kind == "auto":
            raise Unsupported(
                "--userns auto: the ids of an ordinary user are one range, which all containers have",
                hint="leave it out: containers are in a user namespace of yours already",
            )
        if self.bound is not None:
            _check_bound(options)

    @property
    def way_out(self) -> str:
        """The program that carries packets out of an ordinary user's bridge; empty where there is none to be had.

        It is looked for each time: what is installed meanwhile is taken.
        """
        helper = None if self.root else self.look_for_way_out()
        return helper.name if helper is not None else ""

    @property
    def hierarchies(self) -> dict[str, object] | None:
        """Where control groups are made, as a plan tells it; None for the machine's roots."""
        return self.bound.told() if self.bound is not None else None

    def fit_options(self, options: ContainerOptions, owner: Owner | None = None) -> ContainerOptions:
        """The same options with a network that can be had.

        An owner other than the engine's user is never given the host's: a bridge that leads nowhere is the lesser lack.
        """
        if self.root or owner is not None or options.network != "bridge" or _needs_bridge(options.networking):
            return options
        if self.way_out:
            return options
        networking = msgspec.structs.replace(options.networking, endpoints=())
        return msgspec.structs.replace(options, network="host", networking=networking)

    def warnings(self, options: ContainerOptions, owner: Owner | None = None) -> tuple[str, ...]:
        """What of these options is had in another way."""
        watched = (_WATCHED,) if options.resources.memory > 0 and not self.cgroups else ()
        closed = () if self.root else tuple(map(_closed, filter(_is_closed, options.devices)))
        groups = (_NO_GROUPS,) if self.ids is not None and self.ids.alone and options.group_add else ()
        parent = (_NO_PARENT,) if options.cgroup_parent and not self.cgroups else ()
        return (*watched, *closed, *groups, *parent, *self._network_warnings(options, owner))

    def _network_warnings(self, options: ContainerOptions, owner: Owner | None) -> tuple[str, ...]:
        if self.root or joins_alone(options.network) or self.way_out:
            return ()
        if os.path.exists(outward.TUN) and not os.access(outward.TUN, os.R_OK | os.W_OK):
            missing = f"{outward.TUN} is closed to you ({see_doctor('tun')})"
        else:
            missing = f"neither pasta nor slirp4netns is installed ({see_doctor('pasta')})"
        if owner is not None or options.network != "bridge" or _needs_bridge(options.networking):
            return (f"The container reaches nothing outside of its bridge: {missing}.",)
        return (f"The container has the host's network, not a bridge: {missing}.",)

    def fit(self, spec: RuntimeSpec) -> RuntimeSpec:
        """The same container, as far as it can be made here."""
        if not self.cgroups:
            mounts = tuple(mount for mount in spec.mounts if mount.type != "cgroup")
            spec = msgspec.structs.replace(spec, mounts=mounts, linux=_replaced(spec, cgroups_path=""))
        elif self.bound is not None:
            # One level, so that no parent is left in a group that is not ours.
            path = f"kist-{posixpath.basename(spec.linux.cgroups_path)}"
            spec = msgspec.structs.replace(spec, linux=_replaced(spec, cgroups_path=path))
        if self.ids is None:
            return spec
        ours = {*spec.linux.namespaces, *(kind for other in spec.linux.joined for kind in other.kinds)}
        mounts = tuple(found for mount in spec.mounts if (found := _fitted(mount, self.ids, ours)) is not None)
        sysctl = {**spec.linux.sysctl}
        if sysctl.get(sysctls.PINGERS) == sysctls.ALL_GROUPS:
            sysctl[sysctls.PINGERS] = f"0 {self.ids.last_group}"
        # A device that may be opened is one that the host lets this user open: only root may add to that.
        resources = msgspec.structs.replace(spec.linux.resources, devices=())
        return msgspec.structs.replace(
            spec,
            process=self.fit_process(spec.process),
            mounts=mounts,
            linux=_replaced(
                spec, confined=True, sysctl=sysctl, resources=resources, dev_files=_APT if self.ids.alone else {}
            ),
        )

    def fit_process(self, process: Process) -> Process:
        """A process whose user is the caller (``--as-me``, ``keep-id``): here root is, so the two change places."""
        if self.ids is None:
            return process
        if self.ids.alone and not any(entry.startswith("APT_CONFIG=") for entry in process.env):
            process = msgspec.structs.replace(process, env=(*process.env, "APT_CONFIG=/dev/apt.conf"))
        who = process.user
        if who.username or not who.uid:
            return process
        maps = IdMaps(_exchanged(who.uid, self.ids.uids), _exchanged(who.gid, self.ids.gids))
        # The caller's other groups have no number in the namespace, and so can be kept and not be set.
        user = msgspec.structs.replace(who, additional_gids=(who.gid,), keeps_groups=not who.groups)
        return msgspec.structs.replace(process, user=user, within=maps)

    def owner_of(self, caller: Caller) -> tuple[int, int]:
        """Whose the caller's own files are while a container is set up: root's, where the two change places."""
        return (caller.uid, caller.gid) if self.ids is None else (0, 0)


def _check_bound(options: ContainerOptions) -> None:
    """Refuse what needs somebody who outlives the calling process."""
    if options.restart.name != "no":
        raise Unsupported(
            "a restart policy cannot be kept by an engine that ends with the calling process",
            hint="leave --restart or --local out",
        )
    if options.health_on_failure == "restart":
        raise Unsupported(
            "--health-on-failure restart cannot be done by an engine that ends with the calling process",
            hint="choose none, kill or stop, or leave --local out",
        )
    if options.cgroup_parent:
        raise Unsupported(
            "--cgroup-parent: a container of the calling process is in that process's own control group",
            hint="leave --cgroup-parent or --local out",
        )
    if options.runtime not in OWN_RUNTIMES:
        raise Unsupported(
            "--runtime: an outside runtime does not put a container into the calling process's control group",
            hint="leave --runtime or --local out",
        )


def _is_closed(device: Device) -> bool:
    """Whether a device of the host's is there, and this user may not do with it what the container is to."""
    wanted = os.R_OK * ("r" in device.access) | os.W_OK * ("w" in device.access)
    return os.path.exists(device.source) and not os.access(device.source, wanted)


def _closed(device: Device) -> str:
    code = _DOCTORS.get(device.source)
    more = f" ({see_doctor(code)})" if code else ""
    return f"{device.source} is closed to you: the container sees it, and cannot open it{more}."


def _needs_bridge(asked: Networking) -> bool:
    """Whether something is asked for that only a container with an address of its own can have."""
    plain = asked.endpoints in ((), (Endpoint("bridge"),))
    return bool(asked.ports or asked.publish_all or asked.links or not plain)


def _exchanged(own: int, ranges: Sequence[tuple[int, int]]) -> tuple[IdMap, ...]:
    """Ids as they are, but ``own`` is root here, and root is whoever has ``own``, if anybody has."""
    if own == 0:
        return tuple(IdMap(first, first, size) for first, size in ranges)
    end = sum(size for _, size in ranges)  # from 0 on there are all
    parts = [IdMap(own, 0, 1), IdMap(1, 1, min(own, end) - 1)]
    if own < end:
        parts += [IdMap(0, own, 1), IdMap(own + 1, own + 1, end - own - 1)]
    return tuple(sorted((part for part in parts if part.size > 0), key=lambda part: part.inside))


def _fitted(mount: Mount, ids: userns.Ids, ours: set[str]) -> Mount | None:
    """The mount as it can be made; ``ours`` are the kinds of namespaces that the container has not of the host."""
    if mount.type == "devpts" and not ids.has_group(_TERMINALS_GROUP):
        options = tuple(option for option in mount.options if not option.startswith("gid="))
        return Mount(mount.type, mount.source, mount.target, options)
    if mount.type in _SHOWS and _SHOWS[mount.type] not in ours:
        # The host's own; message queues are not mounted on every machine, and are reached without that too.
        return Mount("bind", mount.target, mount.target, ("rbind", *mount.options)) if mount.type != "mqueue" else None
    return mount


def _replaced(spec: RuntimeSpec, **changes: object) -> Linux:
    return msgspec.structs.replace(spec.linux, **changes)


def check_process() -> None:
    """Refuse a process that no engine can be in.

    Raises:
        Unsupported: says why, and what to do.
    """
    if os.geteuid() != 0:
        raise Unsupported(
            "the engine's code runs as root, of the machine or of a user namespace",
            hint="kist.Engine(local=True) sees to that in a process of its own",
        )
    if views.in_chroot():
        raise Unsupported(
            "the engine runs in a chroot, where containers could reach what is outside of it",
            hint=see_doctor(
                "chroot", "give it mounts of its own instead: unshare --mount, and pivot_root in place of chroot"
            ),
        )


def look(lacks: str = "", *, bound: bool = False) -> Means:
    """This process's means.

    Args:
        lacks: why there is one id only (``rootless.enter``).
        bound: for an engine whose containers end with it.
    """
    ids = userns.limited_ids()
    below = cgroup.below_own() if bound else None
    cgroups = (below or cgroup.detect()).mode != "none"
    return Means(ids is None, cgroups, ids, lacks, below, lambda: outward.find(os.environ))
