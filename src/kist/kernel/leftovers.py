"""What processes that were killed may have left in the kernel: cgroups, mounts."""

from __future__ import annotations

import os
import time

from kist.kernel import cgroup_files
from kist.kernel.process import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.kernel.cgroup import Hierarchies


def groups(hierarchies: Hierarchies, parent: str) -> dict[str, list[str]]:
    """All cgroups directly below ``parent`` (``kist``) by their names: the directories of each, one in a hierarchy."""
    found: dict[str, list[str]] = {}
    roots = [root for root, _ in hierarchies.v1] + ([hierarchies.v2] if hierarchies.v2 else [])
    for root in dict.fromkeys(roots):
        try:
            with os.scandir(f"{root}/{parent}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found.setdefault(entry.name, []).append(entry.path)
        except FileNotFoundError:
            continue
    return found


def empty_for(directory: str) -> float:
    """Since how many seconds there has been a cgroup that has no processes now; -1 for one with processes."""
    try:
        made = os.stat(directory).st_ctime
        return -1.0 if cgroup_files.pids(directory) else max(0.0, time.time() - made)
    except FileNotFoundError:
        return -1.0


def remove_groups(directories: list[str]) -> None:
    """Remove an empty cgroup, and those below it, from every hierarchy.

    Raises:
        OSError: EBUSY, it has processes.
    """
    for directory in directories:
        cgroup_files.remove(directory, 0)


def mounts_below(directory: str) -> list[str]:
    """Mount points of this mount namespace below ``directory``, the innermost first (proc_pid_mountinfo(5))."""
    text = read_file("/proc/self/mountinfo").decode(errors="surrogateescape")
    points = [_unescaped(line.split()[4]) for line in text.splitlines()]
    return [point for point in reversed(points) if point.startswith(directory.rstrip("/") + "/")]


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
