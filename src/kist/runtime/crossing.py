"""First processes that are not only in new namespaces: they have some of another container's, or of an earlier run.

Imported by the monitors of such containers alone.
"""

from __future__ import annotations

import errno
import os

from kist.kernel import mounts, namespaces, paths, process
from kist.runtime import child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from kist.runtime.child import Clone

_SHM = "/dev/shm"  # noqa: S108 - of a container


def clone_joined(joined: Iterable[dict[str, Any]], flags: int, cgroup: int | None, held: Mapping[str, int]) -> Clone:
    """How a first process is made that has namespaces of other containers, or of an earlier run of its own.

    Args:
        joined: ``kist.spec.runtime.Joined`` as JSON has it.
        flags: of the namespaces that are made.
        cgroup: a descriptor of the v2 cgroup that it starts in.
        held: descriptors of namespaces by kind, which it has in place of those of ``joined``: another container may
            have ended meanwhile.
    """

    def enter() -> dict[str, int]:
        trees = {}
        wanted = [(other, [kind for kind in other["kinds"] if kind not in held]) for other in joined]
        others = [(open_living(other["pid"], other["started"]), kinds) for other, kinds in wanted if kinds]
        for descriptor, kinds in others:
            if "ipc" in kinds:
                trees["shm"] = _open_shared_memory(descriptor)
            namespaces.setns(descriptor, child.flags_of(kinds))
        for kind, descriptor in held.items():
            namespaces.setns(descriptor, child.flags_of((kind,)))
        return trees

    return child.clone_after(enter, flags, cgroup)


def open_living(pid: int, started: int) -> int:
    """A descriptor of the process of this number that was started at this time.

    Raises:
        OSError: ESRCH when it has ended.
    """
    try:
        descriptor = os.pidfd_open(pid)
        # Looked at while it is held: the number cannot come to mean another process any more.
        found = process.start_time(pid) == started
    except (FileNotFoundError, ProcessLookupError):
        found = False
    if found:
        return descriptor
    raise OSError(errno.ESRCH, "the container whose namespaces are to be joined has ended", f"/proc/{pid}")


def _open_shared_memory(pidfd: int) -> int:
    """Take hold of /dev/shm of another container: it goes with its IPC namespace."""
    own = process.namespace_descriptor(os.getpid(), "mnt")
    try:
        namespaces.setns(pidfd, namespaces.CLONE_NEWNS)
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # In that root, whatever links the other container has put there.
            place = paths.open_in_root(root, _SHM, os.O_PATH | os.O_DIRECTORY)
            tree = mounts.clone_tree("", recursive=False, dir_fd=place)
            os.close(place)
        finally:
            os.close(root)
            namespaces.setns(own, namespaces.CLONE_NEWNS)
    finally:
        os.close(own)
    return tree
