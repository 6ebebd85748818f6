"""Volumes: directories of the engine's that outlive containers."""

import msgspec


class Volume(msgspec.Struct, frozen=True, omit_defaults=True):
    """One volume.

    Attributes:
        name: 64 hexadecimal digits for one that nobody named.
        created_at: nanoseconds since the epoch.
        anonymous: made for a container that asked for a volume without a name, and not named by anybody since; goes
            with the container when that is told to.
        driver: ``local``, the only one.
        labels, options: as they were given.
        mountpoint: the directory on the engine's machine.
        owner: the user who made it; 0 for the engine's own.
    """

    name: str
    created_at: int
    anonymous: bool = False
    driver: str = "local"
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    mountpoint: str = ""
    owner: int = 0


class VolumeOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a volume is to be.

    Attributes:
        name: empty for a new one without a name.
        driver: ``local``, the only one.
        labels: for filters, and for whoever wants to know.
        options: of the driver: ``type``, ``device``, ``o``, ``size``, ``uid``, ``gid``, ``mode``.
    """

    name: str = ""
    driver: str = "local"
    labels: dict[str, str] = {}
    options: dict[str, str] = {}


class VolumeSource(msgspec.Struct, frozen=True):
    """What of the host a container sees where it has a volume.

    Attributes:
        path: of the directory.
        words: of ``Mount``, that the volume's own options ask for.
        is_host: it is a directory of the host's, as of a bind: its files are shown as those are.
        is_held: it is a file system that the engine has mounted where no path leads; ``path`` means nothing.
    """

    path: str
    words: tuple[str, ...] = ()
    is_host: bool = False
    is_held: bool = False
