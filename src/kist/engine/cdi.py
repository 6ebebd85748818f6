"""Devices by their vendors' specifications (``--device vendor.com/class=name``) or by what they can do (``--gpus``)."""

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kist.engine.devices import is_cdi
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec import cdi
from kist.spec.container import ContainerOptions
from kist.spec.devices import DeviceRequest
from kist.spec.mount import Mount
from kist.spec.runtime import DeviceNode, DeviceRule

DIRECTORIES = cdi.DIRECTORIES

_FILES = (".json", ".yaml", ".yml")
_GPU = "gpu"
_NO_GPU = "let the vendor's tool describe the devices: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


def wanted(options: ContainerOptions, directories: Sequence[str] | None = None) -> cdi.Edits:
    """All that the devices which are asked for need.

    Raises:
        NotFound: no specification has such a device.
        InvalidInput: a name or a specification cannot be right.
    """
    named = [device.source for device in options.devices if is_cdi(device)]
    if not named and not options.device_requests:
        return cdi.Edits()
    found = list(load(DIRECTORIES if directories is None else directories))
    named += [name for request in options.device_requests for name in _requested(request, found)]
    edits = cdi.Edits()
    for name in dict.fromkeys(named):
        edits += _of_device(name, found)
    return edits


def load(directories: Iterable[str]) -> Iterable[cdi.Specification]:
    """The specifications in these directories, those that count more the later.

    Raises:
        InvalidInput: a file is none.
    """
    return map(_read, _paths(directories))


def discovered(directories: Sequence[str] | None = None) -> tuple[str, ...]:
    """The names of all devices that are described; what is no specification, or cannot be read, describes none."""
    found: set[str] = set()
    for path in _paths(DIRECTORIES if directories is None else directories):
        with contextlib.suppress(InvalidInput, OSError):
            described = _read(path)
            found.update(f"{described.kind}={device.name}" for device in described.devices)
    return tuple(sorted(found))


def _paths(directories: Iterable[str]) -> Iterator[str]:
    for directory in directories:
        if os.path.isdir(directory):
            for name in sorted(os.listdir(directory)):
                if name.endswith(_FILES):
                    yield os.path.join(directory, name)


def _read(path: str) -> cdi.Specification:
    import yaml  # noqa: PLC0415 - few engines have such devices

    what = f"CDI specification {path}"
    try:
        with open(path, encoding="utf-8") as file:
            value: Any = json.load(file) if path.endswith(".json") else yaml.safe_load(file)
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"invalid {what}: {error}", hint="generate it anew with the vendor's tool") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"invalid {what}: it is no table", hint="generate it anew with the vendor's tool")
    return cdi.read_specification(value, what=what)


def _of_device(text: str, found: Sequence[cdi.Specification]) -> cdi.Edits:
    kind, name = cdi.split_name(text)
    for specification in reversed(found):
        if specification.kind == kind:
            for device in specification.devices:
                if device.name == name:
                    return specification.container_edits + device.container_edits
    known = sorted(f"{each.kind}={device.name}" for each in found for device in each.devices)
    raise NotFound(
        f"CDI device injection failed: unresolvable CDI devices {text}",
        hint=f"known are {', '.join(known)}" if known else f"there is no specification in {' or '.join(DIRECTORIES)}",
    )


def _requested(request: DeviceRequest, found: Sequence[cdi.Specification]) -> list[str]:
    """The names of devices that a request means: its ids, or so many, or all."""
    if request.driver == "cdi":
        return list(request.ids)
    capabilities = {word for alternative in request.capabilities for word in alternative}
    gpus = [each for each in found if each.device_class == _GPU and request.driver in {"", each.kind.split(".")[0]}]
    if _GPU not in capabilities or not gpus:
        shown = "[" + " ".join("[" + " ".join(alternative) + "]" for alternative in request.capabilities) + "]"
        raise InvalidInput(
            f'could not select device driver "{request.driver}" with capabilities: {shown}', hint=_NO_GPU
        )
    kind = gpus[-1].kind
    if request.ids:
        return [f"{kind}={name}" for name in request.ids]
    names = [device.name for each in gpus if each.kind == kind for device in each.devices]
    if request.count < 0:
        return [f"{kind}=all"] if "all" in names else [f"{kind}={name}" for name in names]
    single = [name for name in names if name != "all"]
    if request.count > len(single):
        raise NotFound(f"{request.count} GPUs were asked for, this machine has {len(single)}", hint="--gpus all")
    return [f"{kind}={name}" for name in single[: request.count]]


def nodes(edits: cdi.Edits) -> tuple[tuple[DeviceNode, ...], tuple[DeviceRule, ...]]:
    """The device nodes, and the rules that let the container open them.

    Raises:
        NotFound: the host has no such device.
    """
    made = [(_node(each), each.permissions) for each in edits.device_nodes]
    rules = tuple(DeviceRule(True, node.type, node.major, node.minor, access) for node, access in made)
    return tuple(node for node, _ in made), rules


def _node(wanted_node: cdi.DeviceNode) -> DeviceNode:
    path = wanted_node.host_path or wanted_node.path
    try:
        status = os.stat(path)
    except OSError:
        raise NotFound(f"CDI device node {path}: no such device on this machine") from None
    kind = "b" if stat.S_ISBLK(status.st_mode) else "c"
    if not (stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode)):
        raise InvalidInput(f"CDI device node {path} is no device")
    return DeviceNode(
        path=wanted_node.path,
        type=wanted_node.type or kind,
        major=wanted_node.major or os.major(status.st_rdev),
        minor=wanted_node.minor or os.minor(status.st_rdev),
        mode=wanted_node.file_mode or stat.S_IMODE(status.st_mode),
        uid=wanted_node.uid or status.st_uid,
        gid=wanted_node.gid or status.st_gid,
        source=path,
    )


def mounts(edits: cdi.Edits) -> tuple[Mount, ...]:
    """The mounts in Kist's own words."""
    kept = [tuple(word for word in each.options if word not in {"bind", "rbind"}) for each in edits.mounts]
    return tuple(
        Mount("bind", each.host_path, each.container_path, options)
        for each, options in zip(edits.mounts, kept, strict=True)
    )


def refuse_hooks(edits: cdi.Edits) -> None:
    """Refuse what only an outside runtime does.

    Raises:
        Unsupported: the device needs programs to be run between the container's mounts and its pivot.
    """
    if edits.hooks:
        hook = edits.hooks[0]
        raise Unsupported(
            f"a CDI device needs hooks ({hook.hook_name}: {hook.path}), which Kist's own runtime does not run",
            hint="run the container with --runtime runc (or crun), which does",
        )
