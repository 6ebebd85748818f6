"""Container Device Interface: what a vendor says that a container needs for a device (SPEC.md of CDI 0.8).

A specification has a kind (``vendor.com/class``) and devices by name; a container asks for ``vendor.com/class=name``.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from kist.errors import InvalidInput
from kist.spec import json

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Where specifications are looked for; what a later directory says of a device counts."""
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]/[A-Za-z][A-Za-z0-9_-]*[A-Za-z0-9]\Z")


class DeviceNode(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A device node; what is not told is as on the host."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int = 0
    permissions: str = "rwm"
    uid: int = 0
    gid: int = 0


class Mount(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A file or directory of the host."""

    host_path: str
    container_path: str
    options: tuple[str, ...] = ()
    type: str = ""


class Hook(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A program of the host that is run at a point of the container's life (config.md, "POSIX-platform Hooks")."""

    hook_name: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int = 0


class Edits(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What is changed in a container."""

    env: tuple[str, ...] = ()
    device_nodes: tuple[DeviceNode, ...] = ()
    mounts: tuple[Mount, ...] = ()
    hooks: tuple[Hook, ...] = ()
    additional_gids: tuple[int, ...] = msgspec.field(name="additionalGids", default=())

    def __add__(self, other: "Edits") -> "Edits":
        """Both, each thing once."""
        both = {name: (*getattr(self, name), *getattr(other, name)) for name in self.__struct_fields__}
        return Edits(**{name: tuple(dict.fromkeys(values)) for name, values in both.items()})


class Device(msgspec.Struct, frozen=True, rename="camel"):
    """One device of a specification."""

    name: str
    container_edits: Edits


class Specification(msgspec.Struct, frozen=True, rename="camel"):
    """One file; ``container_edits`` are for whatever device of it is asked for."""

    cdi_version: str
    kind: str
    devices: tuple[Device, ...]
    container_edits: Edits = Edits()

    @property
    def device_class(self) -> str:
        """The second half of its kind: ``gpu``."""
        return self.kind.partition("/")[2]


def read_specification(value: Mapping[str, Any], *, what: str) -> Specification:
    """The specification of a file's JSON or YAML; null stands for a missing field.

    Raises:
        InvalidInput: it is none; names ``what`` and the field.
    """
    found = json.convert(_without_null(value), Specification, what=what)
    if not _KIND.match(found.kind):
        raise InvalidInput(f"invalid {what}: kind {found.kind!r}", hint="a kind is vendor.com/class")
    return found


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_null(item) for item in value]
    return value


def split_name(text: str) -> tuple[str, str]:
    """``vendor.com/class=name`` as kind and name.

    Raises:
        InvalidInput: it is not of that form.
    """
    kind, equals, name = text.partition("=")
    if not equals or not name or not _KIND.match(kind):
        raise InvalidInput(f"invalid CDI device name {text!r}", hint="write vendor.com/class=name")
    return kind, name
