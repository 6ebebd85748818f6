"""First processes with namespaces of other containers or of an earlier run, or with a user namespace.

Imported by the monitors of such containers alone.
"""

from __future__ import annotations

import errno
import os

from kist.kernel import ends, mounts, namespaces, paths, process, userns
from kist.runtime import child, operations
from kist.spec import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from kist.runtime.child import Clone

_SHM = "/dev/shm"  # noqa: S108 - of a container


def clone(plan: dict[str, Any], flags: int, into: int | None, held: Mapping[str, int]) -> Clone:
    """How such a first process is made.

    Args:
        plan: of which ``joined`` and ``ids`` are used (``Joined`` and ``IdMaps`` as JSON has them).
        flags: of the namespaces that are made.
        into: a descriptor of the v2 cgroup that it starts in.
        held: descriptors of namespaces by kind, which it has in place of those of ``joined``: another container may
            have ended meanwhile.
    """
    joined, ids = plan.get("joined", ()), plan.get("ids")

    def enter(context: operations.Context) -> None:
        wanted = [(other, [kind for kind in other["kinds"] if kind not in held]) for other in joined]
        others = [(open_living(other["pid"], other["started"]), kinds) for other, kinds in wanted if kinds]
        if ids:
            _prepare(context, plan, ids, others, held)
        for descriptor, kinds in others:
            if "ipc" in kinds:
                context.trees["shm"] = open_shared_memory(descriptor)
            # The user namespace at last: only the host's root may enter the others.
            if others_than_user := child.flags_of(kind for kind in kinds if kind != "user"):
                namespaces.setns(descriptor, others_than_user)
        for kind, descriptor in held.items():
            if "runtime" in plan:
                context.trees[kind] = descriptor  # for an outside runtime, which joins it
            else:
                namespaces.setns(descriptor, child.flags_of((kind,)))
        if ids:
            userns.enter(context.user_namespace)

    # In a user namespace nobody may put a process into a cgroup; it is in it, for the helper has joined.
    return child.clone_after(enter, flags, None if ids else into)


def _prepare(
    context: operations.Context,
    plan: dict[str, Any],
    ids: dict[str, Any],
    others: Sequence[tuple[int, list[str]]],
    held: Mapping[str, int],
) -> None:
    """Do what takes the host's root."""
    giver = next((descriptor for descriptor, kinds in others if "user" in kinds), -1)
    if held:
        # Of the earlier run, for a namespace that is kept belongs to it.
        context.user_namespace = userns.owner_of(next(iter(held.values())))
    elif giver >= 0:
        context.user_namespace = _user_namespace_of(giver)
    else:
        context.user_namespace = userns.make(_lines(ids["uids"]), _lines(ids["gids"]))
    context.bind_namespace = context.user_namespace
    if ids.get("bind_uids"):
        context.bind_namespace = userns.make(_lines(ids["bind_uids"]), _lines(ids["bind_gids"]))
    context.owner = owner(ids)
    context.text = child.init_text(plan)
    operations.perform(context, jsontext.loads(context.text)["outside"])


def _lines(maps: list[dict[str, int]]) -> list[tuple[int, int, int]]:
    return [(entry["inside"], entry["outside"], entry["size"]) for entry in maps]


def owner(ids: dict[str, Any]) -> tuple[int, int]:
    """What the container's root is on the host: user and group."""
    uid, gid = (
        next(entry["outside"] - entry["inside"] for entry in ids[name] if entry["inside"] == 0)
        for name in ("uids", "gids")
    )
    return uid, gid


def _user_namespace_of(pidfd: int) -> int:
    """The user namespace of a process that is held by a descriptor."""
    for line in process.read_file(f"/proc/self/fdinfo/{pidfd}").splitlines():
        name, _, value = line.partition(b":")
        if name == b"Pid" and int(value) > 0:
            return process.namespace_descriptor(int(value), "user")
    raise _ended("pidfd")


def open_living(pid: int, started: int) -> int:
    """A descriptor of the process of this number that was started at this time.

    Raises:
        OSError: ESRCH when it has ended.
    """
    descriptor = ends.open_process(pid, started)
    if descriptor is None:
        raise _ended(f"/proc/{pid}")
    return descriptor


def _ended(path: str) -> OSError:
    return OSError(errno.ESRCH, "the container whose namespaces are to be joined has ended", path)


def open_shared_memory(pidfd: int) -> int:
    """Take hold of the shared memory of another container: it goes with its IPC namespace.

    Of one that is on its way into its root still, it would be the host's: that has no such thing yet.
    """
    ours = os.stat("/")
    own = process.namespace_descriptor(os.getpid(), "mnt")
    try:
        namespaces.setns(pidfd, namespaces.CLONE_NEWNS)
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.path.samestat(os.fstat(root), ours):
                raise OSError(errno.ESRCH, "the container whose namespaces are to be joined is just being started")
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
