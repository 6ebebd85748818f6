"""From a runtime specification to the operations that make the container: pure."""

import binascii
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from kist.errors import InvalidInput
from kist.runtime.mount_words import ATTRIBUTES, PROPAGATION, split_options
from kist.runtime.plan import Command, Life, Log, OutsideRuntime, Plan, Step
from kist.spec import json
from kist.spec.mount import Mount
from kist.spec.owner import Owner
from kist.spec.runtime import DeviceNode, IdMaps, Process, RuntimeSpec

# What a user namespace may mount only where it sees another one of it whole.
_VISIBLE = frozenset({"proc", "sysfs"})
# File systems that every container has for itself.
_OWN = frozenset({"proc", "sysfs", "cgroup", "tmpfs", "devpts", "mqueue"})
_SHARED = frozenset({"shared", "rshared"})
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}


def make_plan(
    identifier: str,
    spec: RuntimeSpec,
    *,
    root_at: str,
    limits: dict[str, Any],
    seccomp: bytes,
    wait_for_network: bool,
    ends_with_engine: bool = False,
    hierarchies: dict[str, Any] | None = None,
    stdin: bool = False,
    stdin_once: bool = False,
    init: bool = False,
    log: Log | None,
    passwd: dict[str, Any] | None = None,
    life: Life | None = None,
    publish: Sequence[dict[str, Any]] = (),
    port_rules: dict[str, Any] | None = None,
    room: str = "",
    runtime: dict[str, Any] | None = None,
    own_files: str = "",
) -> Plan:
    """The plan of a container's first process.

    Args:
        identifier: the container's id.
        spec: what is to be.
        root_at: an existing empty directory of the host, over which the root is mounted before the pivot.
        limits: ``spec.linux.resources`` as JSON.
        seccomp: the compiled filter; empty for none.
        wait_for_network: the engine attaches a network before the command runs.
        ends_with_engine: kill the process when the engine has gone.
        hierarchies: where the cgroup is; None for the machine's roots.
        stdin: keep standard input open.
        stdin_once: only until the first client that feeds it has ended.
        init: a reaper as the first process.
        log: where output is kept.
        passwd: arguments of the operation ``passwd_entry``, for ``--as-me``.
        life: how it is stopped, and what the monitor does by itself.
        publish: ports that the monitor carries.
        port_rules: for the kernel to carry them; None for the monitor alone.
        room: the file of a network namespace that the monitor enters, from which it reaches the container; empty for
            none.
        runtime: for an outside one: ``program``, its path; ``directory``, the container's run directory;
            ``config``, the bundle's (``kist.spec.oci_config``), its user as far as it is known.
        own_files: the directory of those files that only this container has mounted; empty where what is mounted is to
            be seen to be gone at its end.
    """
    namespaces = tuple(kind for kind in spec.linux.namespaces if kind != "cgroup")
    made = Plan(
        id=identifier,
        namespaces=namespaces,
        cgroup=spec.linux.cgroups_path,
        limits=limits,
        wait_for_network=wait_for_network,
        ends_with_engine=ends_with_engine,
        terminal=spec.process.terminal,
        stdin=stdin,
        stdin_once=stdin_once,
        log=log,
        operations=tuple(_operations(spec, root_at, seccomp, passwd, wait_for_network, ends_with_engine)),
        command=Command(spec.process.args, spec.process.env, init),
        life=life,
        joined=spec.linux.joined,
        publish=tuple(publish),
        port_rules=port_rules if publish else None,
        room=room,
        ids=spec.linux.ids,
        outside=tuple(_outside(spec, root_at)) if spec.linux.ids is not None else (),
        hierarchies=hierarchies if spec.linux.cgroups_path else None,
        own_mounts=bool(own_files) and _has_own_mounts(spec, own_files),
    )
    return made if runtime is None else _with_runtime(made, spec, runtime, passwd)


def _with_runtime(made: Plan, spec: RuntimeSpec, runtime: dict[str, Any], passwd: dict[str, Any] | None) -> Plan:
    """The plan with an outside runtime in place of init."""
    network = "network" in spec.linux.namespaces or any("network" in other.kinds for other in spec.linux.joined)
    told = {
        "id": made.id,
        **runtime,
        "root": {"type": spec.root[0].type, "source": spec.root[0].source, "options": _options(spec.root[0])},
        "disk": _own_disk(spec.root[0]),
        "user": user_arguments(spec.process),
        "passwd": passwd,
        "joined": [json.to_builtins(other) for other in spec.linux.joined],
        "wait_for_network": made.wait_for_network,
    }
    return msgspec.structs.replace(
        made,
        namespaces=("mount",),
        operations=(),
        joined=(),
        own_mounts=False,
        runtime=OutsideRuntime(runtime["program"], network),
        bundle=told,
    )


def exec_namespaces(kinds: tuple[str, ...], ids: IdMaps | None) -> tuple[str, ...]:
    """Of which kinds the namespaces are that a further process enters; ``ids`` are its container's own."""
    return kinds if ids is None else ("user", *kinds)


def make_exec_plan(
    identifier: str,
    process: Process,
    namespaces: tuple[str, ...],
    *,
    seccomp: bytes,
    stdin: bool,
    ids: IdMaps | None = None,
) -> Plan:
    """The plan of a further process in a running container; it enters the container's namespaces and cgroup."""
    return Plan(
        id=identifier,
        namespaces=exec_namespaces(namespaces, ids),
        cgroup="",
        limits={},
        wait_for_network=False,
        ends_with_engine=False,
        terminal=process.terminal,
        stdin=stdin,
        stdin_once=True,
        log=None,
        operations=tuple(_exec_operations(process, seccomp)),
        command=Command(process.args, process.env),
        ids=ids,
    )


def _operations(
    spec: RuntimeSpec,
    root_at: str,
    seccomp: bytes,
    passwd: dict[str, Any] | None,
    wait_for_network: bool,
    bound: bool,
) -> Iterator[Step]:
    linux = spec.linux
    if linux.ids is None:
        yield from _take(spec, root_at)
        root = _root(spec)
        if disk := _own_disk(root):
            yield "mount_disk", {"at": disk["at"]}
        yield "mount_root", {"type": root.type, "source": root.source, "options": _options(root), "at": root_at}
    else:
        yield from _take_inside(spec)
        yield "place_root", {}
    yield "pivot", {}
    # At once: until then the host's root lies over this one, and "/.." in a link of the image leads there. (What a user
    # namespace may mount only while it sees the host's /proc is opened before the pivot, as binds are.)
    yield "detach_old_root", {}
    if passwd is not None:
        # Before there are mounts: a bind below the home makes directories on its way that are root's.
        yield "home", {"path": passwd["home"], "owner": passwd["owner"]}
    yield from _file_systems(spec)
    if spec.hostname and "uts" in linux.namespaces:
        yield "hostname", {"name": spec.hostname}
        if spec.domainname:
            yield "domainname", {"name": spec.domainname}
    for name, value in sorted(linux.sysctl.items()):
        yield "sysctl", {"name": name, "value": value}
    yield "mask", {"paths": list(linux.masked_paths)}
    yield "read_only", {"paths": list(linux.readonly_paths)}
    if passwd is not None:
        # After /proc is closed to writes, since it writes where the image says that /etc/passwd is.
        yield "passwd_entry", passwd
    if spec.process.terminal:
        yield "terminal", _size(spec.process)
        yield "console", {}
    if "network" in linux.namespaces:
        yield "loopback", {}
    # The last writes to the root (mount points, the working directory) come before it is closed to writes.
    yield from _process(spec.process)
    if spec.read_only:
        yield "root_read_only", {}
    if wait_for_network:
        yield "wait_for_network", {}
    yield from _drop(spec.process, seccomp, bound=bound)


def _root(spec: RuntimeSpec) -> Mount:
    if len(spec.root) != 1:
        raise InvalidInput(f"a root file system is one mount, not {len(spec.root)}")
    return spec.root[0]


def _own_disk(root: Mount) -> dict[str, str]:
    """The file with the file system that the container's own directories are in, and where they are; empty for none."""
    disk = root.option("disk")
    return {"disk": disk, "at": posixpath.dirname(root.option("upperdir") or root.source)} if disk else {}


def _has_own_mounts(spec: RuntimeSpec, own_files: str) -> bool:
    """Whether what is mounted is layers of images, the container's own files, and file systems of its own alone."""
    root = _root(spec)
    return (
        root.type == "overlay"
        and not _own_disk(root)
        and spec.linux.ids is None
        and "mount" in spec.linux.namespaces
        and all(
            mount.type in _OWN or (mount.type == "bind" and mount.source.startswith(f"{own_files}/"))
            for mount in spec.mounts
        )
    )


def _options(root: Mount) -> list[str]:
    return [option for option in root.options if not option.startswith("disk=")]


def _tell(spec: RuntimeSpec) -> Iterator[Step]:
    """What the monitor has to know of the process to find what the command leaves: no other end ends that."""
    if not spec.linux.cgroups_path and "pid" not in spec.linux.namespaces:
        yield "tell_mounts", {}


def _take(spec: RuntimeSpec, root_at: str) -> Iterator[Step]:
    """What is done to this process while it sees the host, and what it takes from there."""
    yield from _tell(spec)
    if disk := _own_disk(_root(spec)):
        yield "open_disk", {"disk": disk["disk"]}
    yield from _enter_cgroup(spec)
    if spec.process.oom_score_adj:
        yield "oom_score", {"adjust": spec.process.oom_score_adj}
    # What is to share later mounts with the host has to be taken while this namespace still shares them.
    yield from _open_host_paths(spec, shared=True)
    yield "detach_mounts", {}
    yield from _open_host_paths(spec, shared=False)
    yield from _open_volumes(spec)
    yield from _open_layers(spec, root_at)
    if spec.linux.confined:
        yield from _open_file_systems(spec)
        for target, source in _bound_devices(spec):
            yield "open_tree", {"slot": target, "source": source, "recursive": False}
    yield from _open_cgroup(spec)


def _outside(spec: RuntimeSpec, root_at: str) -> Iterator[Step]:
    """The same, in a helper with the host's root, where the container's has no rights there."""
    root = _root(spec)
    if disk := _own_disk(root):
        yield "open_disk", {"disk": disk["disk"]}
    if spec.linux.cgroups_path:
        yield "join_cgroup", {}
    if spec.process.oom_score_adj:
        yield "oom_score", {"adjust": spec.process.oom_score_adj}
    for limit in spec.process.rlimits:
        yield "raise_rlimit", {"type": limit.type, "hard": limit.hard}
    yield from _open_host_paths(spec, shared=True)
    yield "new_namespace", {"kind": "mount"}
    yield "detach_mounts", {}
    yield from _open_host_paths(spec, shared=False)
    yield from _open_volumes(spec)
    yield from _open_cgroup(spec)
    for mount in spec.mounts:
        if mount.target == "/dev" and mount.type == "tmpfs":
            flags, data = split_options(mount.options)
            yield "open_devices", {"options": data.split(","), "flags": flags, "devices": _device_directory(spec)}
    if disk:
        yield "mount_disk", {"at": disk["at"]}
    if layers := _layer_directories((root, *spec.mounts)):
        whole = {"recursive": True} if disk else {}
        yield "map_layers", {"paths": layers} | whole
    yield from _open_layers(spec, root_at)
    opened = {"type": root.type, "source": root.source, "options": _options(root), "at": root_at}
    yield "open_root", opened | ({"nodev": True} if spec.linux.owner is not None else {})


def _device_directory(spec: RuntimeSpec) -> list[dict[str, Any]]:
    return _usual_devices() + [_device(node)[1] for node in spec.linux.devices]


def _usual_devices() -> list[dict[str, Any]]:
    return [{"path": name, "major": major, "minor": minor, "mode": 0o666} for name, (major, minor) in _DEVICES.items()]


def _bound_devices(spec: RuntimeSpec) -> list[tuple[str, str]]:
    """Where devices are in the container and on the host, of one whose devices are the host's own."""
    usual = {f"/dev/{name}": f"/dev/{name}" for name in _DEVICES}
    # One that is asked for stands in place of a usual one.
    return list((usual | {node.path: node.source or node.path for node in spec.linux.devices}).items())


def _layer_directories(mounts: Iterable[Mount]) -> list[str]:
    """The directories that the layers of overlays are in."""
    layers = []
    for mount in mounts:
        if mount.type == "overlay":
            own = "" if mount.option("disk") else mount.option("upperdir") or ""
            layers += [own, *(mount.option("lowerdir") or "").split(":")]
    return sorted({layer.rpartition("/")[0] for layer in layers if layer})


def _take_inside(spec: RuntimeSpec) -> Iterator[Step]:
    """What is left to the process itself, in its user namespace: there the host's /proc and /sys are still in sight."""
    yield from _tell(spec)
    if "cgroup" in spec.linux.namespaces:
        yield "new_namespace", {"kind": "cgroup"}
    yield "detach_mounts", {}
    yield from _open_file_systems(spec)


def _open_file_systems(spec: RuntimeSpec) -> Iterator[Step]:
    for mount in spec.mounts:
        if mount.type in _VISIBLE:
            flags, _ = split_options(mount.options)
            yield "open_file_system", {"slot": mount.target, "type": mount.type, "flags": flags}


def _open_cgroup(spec: RuntimeSpec) -> Iterator[Step]:
    mount = next((mount for mount in spec.mounts if mount.type == "cgroup"), None)
    if spec.linux.cgroups_path and mount is not None:
        yield "open_cgroup", {"whole": True} if "host" in mount.options else {}


def _enter_cgroup(spec: RuntimeSpec) -> Iterator[Step]:
    if spec.linux.cgroups_path:
        yield "join_cgroup", {}
        if "cgroup" in spec.linux.namespaces:
            yield "new_namespace", {"kind": "cgroup"}


def _open_volumes(spec: RuntimeSpec) -> Iterator[Step]:
    """Of volumes that are mounted elsewhere."""
    found = [(number, mount) for number, mount in enumerate(spec.mounts) if mount.type == "held"]
    last = {mount.source: number for number, mount in found}
    for number, mount in found:
        arguments: dict[str, Any] = {"slot": f"bind{number}", "volume": mount.source}
        if within := mount.option("subpath"):
            arguments["within"] = within
        if variables := mount.pairs("environment"):
            arguments["environment"] = variables
        elif spec.linux.ids is not None:
            arguments["ids"] = "inside"
        yield "open_volume", arguments | ({"last": True} if last[mount.source] == number else {})


def _open_layers(spec: RuntimeSpec, root_at: str) -> Iterator[Step]:
    """Of images that are mounted, where they are of several layers."""
    for number, mount in enumerate(spec.mounts):
        if mount.type == "overlay":
            within = mount.option("subpath")
            options = [each for each in mount.options if each not in {"ro", f"subpath={within}"}]
            arguments: dict[str, Any] = {"slot": f"bind{number}", "options": options, "at": root_at}
            yield "open_layers", arguments | ({"within": within} if within else {})


def _open_host_paths(spec: RuntimeSpec, *, shared: bool) -> Iterator[Step]:
    for number, mount in enumerate(spec.mounts):
        if mount.type == "bind" and bool(_SHARED & set(mount.options)) == shared:
            if spec.linux.owner is not None and "callers" in mount.options:
                yield "open_for", _for_owner(f"bind{number}", mount, spec.linux.owner)
                continue
            arguments: dict[str, Any] = {"slot": f"bind{number}", "source": mount.source}
            if "bind" in mount.options:
                arguments["recursive"] = False
            if within := mount.option("subpath"):
                arguments["within"] = within
            if spec.linux.ids is not None:
                arguments["ids"] = "callers" if "callers" in mount.options else "inside"
            yield "open_tree", arguments


def _for_owner(slot: str, mount: Mount, owner: Owner) -> dict[str, Any]:
    arguments: dict[str, Any] = {"slot": slot, "source": mount.source, "access": "ro" if mount.read_only else "rw"}
    arguments |= {"user": owner.name, "uid": owner.uid, "gid": owner.gid, "groups": list(owner.groups)}
    if within := owner.grant(mount.source, writable=not mount.read_only):
        arguments["within"] = within
    return arguments | ({"closed": list(owner.closed)} if owner.closed else {})


def _file_systems(spec: RuntimeSpec) -> Iterator[Step]:
    for number, mount in enumerate(spec.mounts):
        if mount.type in {"bind", "held", "overlay"}:
            yield from _attached(number, mount, nodev=spec.linux.owner is not None)
            continue
        if mount.type == "joined":
            yield "attach", {"slot": "shm", "target": mount.target}
            continue
        if mount.type == "cgroup":
            yield "cgroup_mounts", {} if "ro" in mount.options else {"writable": True}
            continue
        mapped = spec.linux.ids is not None
        devices = mount.target == "/dev" and mount.type == "tmpfs"
        if (mapped and devices) or ((mapped or spec.linux.confined) and mount.type in _VISIBLE):
            yield "attach", {"slot": "dev" if devices else mount.target, "target": mount.target}
        else:
            flags, data = split_options(mount.options)
            named = {} if mount.source in {"", mount.type} else {"source": mount.source}
            yield "mount", {"type": mount.type, "target": mount.target, "flags": flags, "data": data} | named
        if mount.target == "/dev":
            yield from _filled_dev(spec, spec.mounts[number + 1 :])


def _filled_dev(spec: RuntimeSpec, later: Sequence[Mount]) -> Iterator[Step]:
    """What is in a new /dev; ``later`` mounts have their places there already."""
    made = {} if spec.linux.ids is not None or spec.linux.confined else {"devices": _usual_devices()}
    names = (mount.target.removeprefix("/dev/") for mount in later if mount.type in _OWN)
    places = [name for name in dict.fromkeys(names) if "/" not in name and name not in {*_LINKS, *_DEVICES}]
    yield "fill_dev", {"links": _LINKS, **made, "directories": places}
    if spec.linux.confined:
        for target, _ in _bound_devices(spec):
            yield "attach", {"slot": target, "target": target}
    elif made:
        for node in spec.linux.devices:
            yield _device(node)
    for name, text in spec.linux.dev_files.items():
        yield "file", {"path": f"/dev/{name}", "text": text}


def _attached(number: int, mount: Mount, *, nodev: bool) -> Iterator[Step]:
    if mount.target:  # else it is for variables
        yield "attach", _bind_arguments(f"bind{number}", mount, nodev=nodev)


def _device(node: DeviceNode) -> Step:
    arguments: dict[str, Any] = {"path": node.path, "major": node.major, "minor": node.minor, "mode": node.mode}
    if node.type == "b":
        arguments["block"] = True
    if node.uid or node.gid:
        arguments |= {"uid": node.uid, "gid": node.gid}
    return "device", arguments


def _bind_arguments(slot: str, mount: Mount, *, nodev: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {"slot": slot, "target": mount.target}
    attributes = ATTRIBUTES["nodev"] if nodev else 0
    propagation = PROPAGATION["private"]
    for option in mount.options:
        attributes |= ATTRIBUTES.get(option, 0)
        propagation = PROPAGATION.get(option.removeprefix("r"), propagation)
    if attributes:
        arguments["attributes"] = attributes
        if "ro-top" in mount.options:
            arguments["top_only"] = True
    arguments["propagation"] = propagation
    return arguments


def _exec_operations(process: Process, seccomp: bytes) -> Iterator[Step]:
    if process.terminal:
        yield "terminal", _size(process)
    yield from _process(process, make_directory=False)
    yield from _drop(process, seccomp)


def _size(process: Process) -> dict[str, Any]:
    height, width = process.console_size
    return {"height": height, "width": width} if height and width else {}


def user_arguments(process: Process) -> dict[str, Any]:
    """The arguments of the operation ``user``."""
    who = process.user
    added: dict[str, Any] = {"added": list(who.groups)} if who.groups else {}
    if who.keeps_groups:  # none can be added to groups that have no number here
        added = {"keeps_groups": True}
    if who.username:
        return {"name": who.username, **added}
    return {"uid": who.uid, "gid": who.gid, "groups": list(who.additional_gids) or None, **added}


def _process(process: Process, *, make_directory: bool = True) -> Iterator[Step]:
    yield "user", user_arguments(process)
    yield "directory", {"path": process.cwd} | ({} if make_directory else {"make": False})


def _drop(process: Process, seccomp: bytes, *, bound: bool = False) -> Iterator[Step]:
    # As late as can be: they are the command's, and opening one more file may be beyond them.
    yield from _rlimits(process)
    if process.no_new_privileges:
        yield "no_new_privileges", {}
    if process.within is not None:
        yield (
            "user_namespace",
            {
                name: [[entry.inside, entry.outside, entry.size] for entry in entries]
                for name, entries in (("uids", process.within.uids), ("gids", process.within.gids))
            },
        )
    arguments: dict[str, Any] = {"capabilities": list(process.capabilities)}
    if seccomp:
        arguments["seccomp_filter"] = binascii.b2a_base64(seccomp, newline=False).decode()
    if process.no_new_privileges:
        arguments["locked"] = True
    if bound:
        arguments["bound"] = True
    yield "privileges", arguments


def _rlimits(process: Process) -> Iterator[Step]:
    for limit in process.rlimits:
        yield "rlimit", {"type": limit.type, "soft": limit.soft, "hard": limit.hard}
