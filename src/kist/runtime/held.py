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
    context: Context, slot: str, volume: str, within: str = "", ids: str = "", *, last: bool = False
) -> None:
    """Take hold of a volume that is mounted elsewhere, or of a part of it.

    Args:
        context: with the descriptors.
        slot: what it is called until it is attached.
        volume: its name.
        within: what of it is meant.
        ids: how its files are shown, where they are mapped.
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
    # The holder's own stays private: what one container mounts on it is not the others'.
    mounts.set_attributes("", 0, recursive=True, propagation=mounts.MS_PRIVATE, dir_fd=tree)
    context.trees[slot] = tree
    if ids:
        from kist.runtime import mapped  # noqa: PLC0415 - few containers have a user namespace

        mapped.map_tree(tree, context, ids, volume, recursive=True)
