"""The mounts of this process's namespace, as /proc/self/mountinfo lists them (proc_pid_mountinfo(5))."""

from __future__ import annotations

import os

from kist.kernel import cgroup_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class MountEntry:
    """A mount.

    Attributes:
        point: where it is.
        shared, slave: whether mounts made below it travel to others, and whether others' travel here.
    """

    __slots__ = ("point", "shared", "slave")

    def __init__(self, point: str, *, shared: bool, slave: bool) -> None:
        self.point = point
        self.shared = shared
        self.slave = slave


def mount_of(path: str) -> MountEntry:
    """The mount that the file or directory at ``path``, links followed, lies on."""
    real = os.path.realpath(path)
    # Of mounts at one place the last one is on top.
    return max(
        (entry for entry in _entries() if f"{real}/".startswith(entry.point.rstrip("/") + "/")),
        key=lambda entry: len(entry.point),
        default=MountEntry("/", shared=False, slave=False),
    )


def _entries() -> Iterator[MountEntry]:
    found: dict[str, MountEntry] = {}
    for line in cgroup_files.read("/proc/self/mountinfo").splitlines():
        fields = line.split(" - ", 1)[0].split(" ")
        words = [field.partition(":")[0] for field in fields[6:]]
        point = _unescaped(fields[4])
        found[point] = MountEntry(point, shared="shared" in words, slave="master" in words)
    yield from found.values()


def _unescaped(text: str) -> str:
    """A space, tab, newline or backslash is written as a backslash and three octal digits."""
    head, *parts = text.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)
