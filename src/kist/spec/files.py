"""What ``cp`` and ``diff`` tell of a container's files."""

import stat
from enum import IntEnum

import msgspec


class PathStatus(msgspec.Struct, frozen=True):
    """What is at a path of a container (Engine API, ContainerArchiveInfo).

    Attributes:
        name: the last component, ``/`` for the root.
        size: in bytes.
        mode: type and permissions in Go's bits, see ``go_mode``.
        mtime: nanoseconds since the epoch.
        link_target: the absolute path in the container that a symbolic link leads to in the end; empty for others.
    """

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str = ""


class ChangeKind(IntEnum):
    """What happened to a path, in the API's numbers; the letters of ``diff`` are C, A, D."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


class Change(msgspec.Struct, frozen=True):
    """One path of a container that is not as in its image."""

    path: str
    kind: ChangeKind

    def __str__(self) -> str:
        return f"{'CAD'[self.kind]} {self.path}"


# https://pkg.go.dev/io/fs#FileMode: the bits that have other places than in st_mode.
_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_SPECIAL = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def go_mode(mode: int) -> int:
    """A mode of stat(2) in the bits of Go's ``fs.FileMode``, which the API has."""
    special = sum(bit for own, bit in _SPECIAL.items() if mode & own)
    return mode & 0o777 | _TYPES.get(stat.S_IFMT(mode), 0) | special
