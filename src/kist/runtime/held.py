"""Volumes that are file systems of their own: the engine holds them, and the container's first process takes them.

The descriptors come with the request for the monitor, which keeps them for the container's whole life, over its
restarts, and leaves duplicates with its keeper. So what is mounted goes with the last container that has it.
"""

from __future__ import annotations

import os

from kist.kernel import mount_holders, mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.runtime.operations import Context


def open_volume(
    context: Context,
    slot: str,
    volume: str,
    within: str = "",
    ids: str = "",
    environment: dict[str, str] | None = None,
    *,
    last: bool = False,
) -> None:
    """Take hold of a volume that is mounted elsewhere, or of a part of it.

    Args:
        context: with the descriptors.
        slot: what it is called until it is attached.
        volume: its name.
        within: what of it is meant.
        ids: how its files are shown, where they are mapped.
        environment: by the names of variables, files of it that these are read from; nothing of it is attached then.
        last: no further mount of it follows.
    """
    space = context.volumes[volume]
    try:
        tree = mount_holders.copy_of(space, within)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{volume}/{within}" if within else volume) from error
    if last:
        del context.volumes[volume]
        os.close(space)
    if environment is not None:
        _read(context, tree, environment)
        return
    # The holder's own stays private: what one container mounts on it is not the others'.
    mounts.set_attributes("", 0, recursive=True, propagation=mounts.MS_PRIVATE, dir_fd=tree)
    context.trees[slot] = tree
    if ids:
        from kist.runtime import mapped  # noqa: PLC0415 - few containers have a user namespace

        mapped.map_tree(tree, context, ids, volume, recursive=True)


def _read(context: Context, tree: int, environment: dict[str, str]) -> None:
    """Take variables from files: what is secret is in no plan, for a plan is a file."""
    try:
        for name, file in environment.items():
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree)
            with open(descriptor, "rb") as opened:
                context.environment[name] = os.fsdecode(opened.read())
    finally:
        os.close(tree)
