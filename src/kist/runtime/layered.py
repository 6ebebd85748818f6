"""Images that are mounted in a container, where it takes several layers to show one."""

from __future__ import annotations

from kist.kernel import mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from kist.runtime.operations import Context


def open_layers(context: Context, slot: str, options: Sequence[str], at: str, within: str = "") -> None:
    """Take hold of layers that an overlay shows as one tree, read-only, or of a part of that.

    Args:
        context: where it is kept.
        slot: what it is called until it is attached.
        options: of the overlay.
        at: an absolute path, of an empty directory, that it is mounted on meanwhile.
        within: what of it is meant; no link in it leads out.

    Raises:
        OSError: from the kernel.
    """
    mounts.mount_layers("overlay", "overlay", options, at, mounts.MS_RDONLY)
    try:
        context.trees[slot] = mounts.clone_part(at, within)
    finally:
        mounts.unmount(at, mounts.MNT_DETACH)
