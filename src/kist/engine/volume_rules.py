"""Whose volumes are, who has them, and which drivers there are: what both sides of volumes go by."""

from collections.abc import Iterable, Mapping

from kist.errors import Conflict, Forbidden, Unsupported
from kist.spec.mount import Mount
from kist.spec.owner import whose
from kist.spec.volume import Volume
from kist.spec.volume_options import LocalOptions, read_local_options
from kist.store import Store

DRIVER = "local"
IN_MEMORY = frozenset({"ramfs", "tmpfs"})
# What the kernel mounts in a user namespace.
_ANYBODYS = IN_MEMORY | {"overlay"}


def named_in(mounts: Iterable[Mount]) -> frozenset[str]:
    """The names of the volumes among mounts."""
    return frozenset(mount.source for mount in mounts if mount.type == "volume")


def in_use(store: Store, gone: frozenset[str] = frozenset()) -> frozenset[str]:
    """The names of all volumes that containers have, but for containers whose ids are among those ``gone``."""
    containers = (each for each in store.records.containers() if each.id not in gone)
    return frozenset().union(*(named_in(each.options.mounts) for each in containers))


def check_driver(name: str) -> None:
    """Refuse any driver but the one that there is.

    Raises:
        Unsupported: it is another one.
    """
    if name not in {"", DRIVER}:
        raise Unsupported(f"volume driver {name!r} is not supported", hint=f"the driver is {DRIVER}")


def check_owner(volume: Volume, owner: int) -> None:
    """Refuse a volume that is somebody else's.

    Raises:
        Forbidden: it is.
    """
    if volume.owner != owner:
        raise Forbidden(
            f"the volume {volume.name} belongs to {whose(volume.owner, owner)}", hint="choose another name for your own"
        )


def check_same(volume: Volume, options: Mapping[str, str]) -> None:
    """Refuse options that a volume which is there was not made with; none are asked for by who leaves them out.

    Raises:
        Conflict: they are others.
    """
    if options and options != volume.options:
        raise Conflict(
            f"a volume named {volume.name} already exists with other options",
            hint=f"choose another name, or look at it: kist volume inspect {volume.name}",
        )


def check_options(options: Mapping[str, str], *, root: bool) -> LocalOptions:
    """What a volume with these options is made of; ``root``: the engine is the machine's.

    Raises:
        InvalidInput: an option is unknown, missing, or cannot be right.
        Forbidden: it is a file system that only the machine's root mounts.
    """
    found = read_local_options(options)
    if found.is_mounted and not root and found.kind not in _ANYBODYS:
        raise Forbidden(
            f"an ordinary user cannot mount a file system of type {found.kind}",
            hint=f"have it mounted by the machine's root, and make the volume of the directory: -o type=none -o o=bind "
            f"-o device=/where/{found.kind}/is; {', '.join(sorted(_ANYBODYS))} can be mounted by everybody",
        )
    return found
