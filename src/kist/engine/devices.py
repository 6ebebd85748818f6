"""Devices of the host for a container: what ``--device``, ``--device-cgroup-rule`` and ``--privileged`` mean here."""

import os
import re
import stat
from collections.abc import Iterator, Sequence

import msgspec

from kist.errors import InvalidInput, NotFound
from kist.spec.container import ContainerOptions
from kist.spec.devices import Device
from kist.spec.runtime import DeviceNode, DeviceRule

# Any node may be made, only these may be opened (and the container's own terminals).
DEFAULT_RULES = (
    DeviceRule(allow=False, type="a", major=-1, minor=-1, access="rwm"),
    DeviceRule(allow=True, type="c", major=-1, minor=-1, access="m"),
    DeviceRule(allow=True, type="b", major=-1, minor=-1, access="m"),
    *(
        DeviceRule(allow=True, type="c", major=major, minor=minor, access="rwm")
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, -1))
    ),
)
ALL_RULES = (DeviceRule(allow=True, type="a", major=-1, minor=-1, access="rwm"),)
# What every container has of its own, so that the host's is not shown.
_OWN = frozenset({"console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
                  "stdout", "tty", "urandom", "zero", "lxc", ".lxc", ".lxd-mounts", ".udev"})  # fmt: skip
_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")


def check(options: ContainerOptions) -> None:
    """Refuse rules and devices that cannot be right.

    Raises:
        InvalidInput: names the option, the value and what is allowed.
    """
    for text in options.resources.device_rules:
        read_rule(text)
    for device in options.devices:
        if device.target and not device.target.startswith("/"):
            raise InvalidInput(f"invalid device: the path in the container {device.target!r} is not absolute")


def read_rule(text: str) -> DeviceRule:
    """A rule of the device allow-list as the kernel writes it, ``c 1:3 rwm``.

    Raises:
        InvalidInput: it is not of that form.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"invalid device cgroup rule format: '{text}'", hint="write TYPE MAJOR:MINOR ACCESS, such as c 10:200 rwm"
        )
    kind, major, minor, access = found.groups()
    numbers = [-1 if part == "*" else int(part) for part in (major, minor)]
    return DeviceRule(allow=True, type=kind, major=numbers[0], minor=numbers[1], access=access)


def is_cdi(device: Device) -> bool:
    """Whether it is a name of the Container Device Interface (``vendor.com/class=name``) and no path."""
    return not device.source.startswith("/") and "=" in device.source


def nodes(options: ContainerOptions) -> tuple[tuple[DeviceNode, ...], tuple[DeviceRule, ...]]:
    """The device nodes that a container gets beyond the usual ones, and the rules that let it open them.

    Raises:
        InvalidInput: a path that is no device.
        NotFound: a path that is not there.
    """
    asked = tuple(map(read_rule, options.resources.device_rules))
    if options.privileged:
        found = {node.path: node for node in _of_directory("/dev", "/dev", _OWN)}
        named = [node for device in options.devices for node in _of_device(device)]
        return tuple((found | {node.path: node for node in named}).values()), ALL_RULES
    made: dict[str, DeviceNode] = {}
    rules: list[DeviceRule] = []
    for device in options.devices:
        if is_cdi(device):
            continue
        for node in _of_device(device):
            made[node.path] = node
            rules.append(DeviceRule(True, node.type, node.major, node.minor, device.access))
    return tuple(made.values()), (*DEFAULT_RULES, *rules, *asked)


def _of_device(device: Device) -> Sequence[DeviceNode]:
    source, target = os.path.realpath(device.source), os.path.normpath(device.target or device.source)
    try:
        status = os.stat(source)
    except OSError as error:
        raise NotFound(
            f'error gathering device information while adding custom device "{device.source}": '
            f"{(error.strerror or '').lower()}",
            hint="`ls /dev` lists the devices of this machine",
        ) from error
    if stat.S_ISDIR(status.st_mode):
        found = tuple(_of_directory(source, target, frozenset({"pts", "shm", "fd", "mqueue"})))
        if found:
            return found
    elif (node := _node(status, target)) is not None:
        return (msgspec.structs.replace(node, source=source),)
    raise InvalidInput(
        f'error gathering device information while adding custom device "{device.source}": not a device node',
        hint="to show files of the host, use -v",
    )


def _of_directory(directory: str, target: str, left_out: frozenset[str]) -> Iterator[DeviceNode]:
    """All devices below a directory; links are left out, and what has gone meanwhile."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name in left_out:
            continue
        path = f"{target}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _of_directory(entry.path, path, frozenset())
            continue
        try:
            node = _node(entry.stat(follow_symlinks=False), path)
        except FileNotFoundError:
            continue
        if node is not None:
            yield msgspec.structs.replace(node, source=entry.path)


def _node(status: os.stat_result, path: str) -> DeviceNode | None:
    kinds = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return DeviceNode(path, kind, major, minor, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
