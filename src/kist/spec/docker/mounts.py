"""Mounts in the three spellings of HostConfig (Binds, Mounts, Tmpfs) and in the one of the answers (MountPoint)."""

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from kist.errors import InvalidInput, Unsupported
from kist.spec.docker import fields
from kist.spec.mount import Mount, check_target, parse_volume

_PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_OBJECTS = {"bind": "BindOptions", "volume": "VolumeOptions", "tmpfs": "TmpfsOptions", "image": "ImageOptions"}
_MOUNT_FIELDS = frozenset({"Type", "Source", "Target", "ReadOnly", "Consistency", "KistChown", *_OBJECTS.values()})


def read_mounts(host: Mapping[str, Any], volumes: Iterable[str]) -> tuple[Mount, ...]:
    """All mounts of a create body, parents before what lies under them.

    Args:
        host: the body's HostConfig.
        volumes: the keys of the body's ``Volumes``: anonymous volumes.

    Raises:
        InvalidInput: one of them cannot be right, or two have the same target.
        Unsupported: one asks for what Kist does not do.
    """
    found = [_read_bind(text) for text in fields.texts(host, "Binds")]
    found += [_read_mount(entry) for entry in fields.items(host, "Mounts")]
    found += [
        Mount.tmpfs(check_target(target, target), *filter(None, options.split(",")))
        for target, options in fields.text_table(host, "Tmpfs").items()
    ]
    taken = {mount.target for mount in found}
    targets = (check_target(target, target) for target in volumes)
    found += [Mount("volume", "", target) for target in targets if target not in taken]
    _refuse_duplicates(found)
    return tuple(sorted(found, key=lambda mount: mount.target.split("/")))


def _refuse_duplicates(mounts: Iterable[Mount]) -> None:
    seen: set[str] = set()
    for mount in mounts:
        if mount.target in seen:
            raise InvalidInput(f"Duplicate mount point: {mount.target}")
        seen.add(mount.target)


def _read_bind(text: str) -> Mount:
    mount = parse_volume(text)
    if mount.type == "bind" and not mount.source.startswith("/"):
        raise InvalidInput(
            f"invalid volume specification: {text!r}: the source must be an absolute path",
            hint="the engine does not know the directory that the path is relative to",
        )
    return mount


def _read_mount(entry: Any) -> Mount:
    if not isinstance(entry, dict):
        raise InvalidInput("invalid JSON: Mounts must hold objects only")
    fields.refuse_unknown(entry, _MOUNT_FIELDS, {}, "HostConfig.Mounts.")
    kind, target = fields.text(entry, "Type"), fields.text(entry, "Target")
    target = check_target(target, target)
    for other in _OBJECTS.keys() - {kind}:
        if not fields.is_empty(fields.table(entry, _OBJECTS[other])):
            raise InvalidInput(
                f'invalid mount config for type "{kind}": field {_OBJECTS[other]} must not be specified',
                hint=f"it is for mounts of type {other}",
            )
    readers = {
        "bind": _read_bind_mount,
        "volume": _read_volume_mount,
        "tmpfs": _read_tmpfs_mount,
        "image": _read_image_mount,
    }
    if kind not in readers:
        known = ", ".join(readers)
        raise Unsupported(f"mount type {kind!r} is not supported yet", hint=f"the types that work are {known}")
    words = ("ro",) if fields.flag(entry, "ReadOnly") else ()
    if fields.flag(entry, "KistChown"):
        if kind in {"tmpfs", "image"}:
            raise InvalidInput("KistChown is for mounts of type bind or volume")
        words = (*words, "U")
    return readers[kind](entry, target, words)


_BIND_FLAGS = {
    "NonRecursive": "bind",
    "ReadOnlyNonRecursive": "ro-top",
    "ReadOnlyForceRecursive": "ro-forced",
    "CreateMountpoint": "create",
}


def _read_bind_mount(entry: dict[str, Any], target: str, options: tuple[str, ...]) -> Mount:
    source = fields.text(entry, "Source")
    if not source.startswith("/"):
        raise InvalidInput(f"invalid mount config for type \"bind\": invalid mount path: '{source}' must be absolute")
    bind = fields.table(entry, "BindOptions")
    fields.refuse_unknown(bind, frozenset({"Propagation", *_BIND_FLAGS}), {}, "HostConfig.Mounts.BindOptions.")
    propagation = fields.text(bind, "Propagation")
    if propagation and propagation not in _PROPAGATIONS:
        raise InvalidInput(f"invalid propagation mode: {propagation}", hint=", ".join(sorted(_PROPAGATIONS)))
    flags = {word for name, word in _BIND_FLAGS.items() if fields.flag(bind, name)}
    if flags & {"ro-top", "ro-forced"} and "ro" not in options:
        raise InvalidInput("ReadOnlyNonRecursive and ReadOnlyForceRecursive are for a mount that is ReadOnly")
    if "ro-top" in flags:
        options = ("ro-top", *(option for option in options if option != "ro"))
    # A read-only mount is so with all that is below it, or it is not made at all: nothing is left to be forced.
    words = tuple(sorted(flags & {"bind", "create"}))
    return Mount("bind", source, target, (*options, *words, *((propagation,) if propagation else ())))


def _read_volume_mount(entry: dict[str, Any], target: str, options: tuple[str, ...]) -> Mount:
    volume = fields.table(entry, "VolumeOptions")
    known = frozenset({"NoCopy", "Labels", "DriverConfig", "Subpath"})
    fields.refuse_unknown(volume, known, {}, "HostConfig.Mounts.VolumeOptions.")
    driver = fields.table(volume, "DriverConfig")
    if fields.text(driver, "Name") not in {"", "local"}:
        name = fields.text(driver, "Name")
        raise Unsupported(f"volume driver {name!r} is not supported", hint="the driver is local")
    source, subpath = fields.text(entry, "Source"), fields.text(volume, "Subpath")
    if subpath and not source:
        raise InvalidInput("must not set Subpath when using anonymous volumes", hint="name the volume (source=NAME)")
    words = [*options, *(("nocopy",) if fields.flag(volume, "NoCopy") else ())]
    words += [f"subpath={check_subpath(subpath)}"] if subpath else []
    words += [f"volume-label={name}={value}" for name, value in fields.text_table(volume, "Labels").items()]
    words += [f"volume-opt={name}={value}" for name, value in fields.text_table(driver, "Options").items()]
    return Mount("volume", source, target, tuple(words))


def _read_image_mount(entry: dict[str, Any], target: str, options: tuple[str, ...]) -> Mount:
    source = fields.text(entry, "Source")
    if not source:
        raise InvalidInput('invalid mount config for type "image": field Source must not be empty',
                           hint="it is the name or the id of an image")  # fmt: skip
    image = fields.table(entry, "ImageOptions")
    fields.refuse_unknown(image, frozenset({"Subpath"}), {}, "HostConfig.Mounts.ImageOptions.")
    subpath = fields.text(image, "Subpath")
    return Mount("image", source, target, (*options, *((f"subpath={check_subpath(subpath)}",) if subpath else ())))


def check_subpath(path: str) -> str:
    """The normal form of a path below a volume, or in an image.

    Raises:
        InvalidInput: it is absolute, or would lead out.
    """
    normal = posixpath.normpath(path)
    if path.startswith("/") or normal.startswith("../") or normal == ".." or "\0" in path:
        raise InvalidInput(
            f"invalid subpath {path!r}: subpath must be a relative path within the volume",
            hint="a subpath is relative, and stays inside the volume or image",
        )
    return normal


def _read_tmpfs_mount(entry: dict[str, Any], target: str, options: tuple[str, ...]) -> Mount:
    if fields.text(entry, "Source"):
        raise InvalidInput('invalid mount config for type "tmpfs": field Source must not be specified')
    tmpfs = fields.table(entry, "TmpfsOptions")
    fields.refuse_unknown(tmpfs, frozenset({"SizeBytes", "Mode", "Options"}), {}, "HostConfig.Mounts.TmpfsOptions.")
    size, mode = fields.number(tmpfs, "SizeBytes"), fields.number(tmpfs, "Mode")
    words = [f"size={size}"] * bool(size) + [f"mode={mode:o}"] * bool(mode)
    for option in fields.items(tmpfs, "Options"):
        if not isinstance(option, list) or not 1 <= len(option) <= 2:
            raise InvalidInput("invalid tmpfs option: an option is an array of a name, or of a name and a value")
        words.append("=".join(fields.strings(option, "TmpfsOptions.Options")))
    return Mount.tmpfs(target, *options, *words)


def write_mounts(mounts: Iterable[Mount]) -> dict[str, Any]:
    """The mounts as fields of HostConfig; ``read_mounts`` gives them back."""
    binds: list[str] = []
    entries: list[dict[str, Any]] = []
    tmpfs: dict[str, str] = {}
    for mount in mounts:
        if mount.type == "tmpfs":
            tmpfs[mount.target] = ",".join(mount.options)
        elif mount.type == "image" or ":" in mount.source + mount.target or _has_more_than_words(mount):
            entries.append(_write_mount(mount))
        else:
            binds.append(":".join(filter(None, (mount.source, mount.target, ",".join(mount.options)))))
    host: dict[str, Any] = {"Binds": binds or None}
    if entries:
        host["Mounts"] = entries
    if tmpfs:
        host["Tmpfs"] = tmpfs
    return host


def _has_more_than_words(mount: Mount) -> bool:
    """Whether it has no source, or options that ``Binds`` cannot spell."""
    return (
        not mount.source or bool(set(_BIND_FLAGS.values()) & set(mount.options)) or mount.plain_options != mount.options
    )


def _write_mount(mount: Mount) -> dict[str, Any]:
    entry: dict[str, Any] = {"Type": mount.type, "Source": mount.source, "Target": mount.target}
    if mount.read_only and (mount.type != "image" or "ro" in mount.options):
        entry["ReadOnly"] = True
    if "U" in mount.options:
        entry["KistChown"] = True
    bind: dict[str, Any] = {name: True for name, word in _BIND_FLAGS.items() if word in mount.options}
    propagation = next((option for option in mount.options if option in _PROPAGATIONS), "")
    if propagation:
        bind["Propagation"] = propagation
    if bind:
        entry["BindOptions"] = bind
    if mount.type == "volume" and (volume := _write_volume_options(mount)):
        entry["VolumeOptions"] = volume
    if mount.type == "image" and (subpath := mount.option("subpath")):
        entry["ImageOptions"] = {"Subpath": subpath}
    return entry


def _write_volume_options(mount: Mount) -> dict[str, Any]:
    options = mount.pairs("volume-opt")
    found = {
        "NoCopy": "nocopy" in mount.options,
        "Labels": mount.pairs("volume-label"),
        "DriverConfig": {"Name": "local", "Options": options} if options else {},
        "Subpath": mount.option("subpath") or "",
    }
    return {name: value for name, value in found.items() if value}


def write_mount_points(mounts: Iterable[Mount], volume_root: str) -> list[dict[str, Any]]:
    """The mounts as ``Mounts`` of inspect and list; tmpfs of HostConfig.Tmpfs is not among them, as in Docker.

    ``volume_root`` is the directory of the volumes on the engine's machine.
    """
    return [_write_mount_point(mount, volume_root) for mount in mounts if mount.type != "tmpfs"]


def _write_mount_point(mount: Mount, volume_root: str) -> dict[str, Any]:
    propagation = next((option for option in mount.options if option in _PROPAGATIONS), "")
    words = mount.plain_options if mount.type != "image" else ()
    mode = ",".join(option for option in words if option not in _PROPAGATIONS)
    point: dict[str, Any] = {"Type": mount.type}
    if mount.type == "volume":
        point |= {"Name": mount.source, "Source": f"{volume_root}/{mount.source}/_data", "Driver": "local"}
    elif mount.type == "image":  # it is mounted nowhere on the host that a path could lead to
        point |= {"Name": mount.source, "Source": mount.option("image") or ""}
    else:
        point["Source"] = mount.source
    rest = {"Destination": mount.target, "Mode": mode, "RW": not mount.read_only}
    return point | rest | {"Propagation": propagation or ("rprivate" if mount.type == "bind" else "")}
