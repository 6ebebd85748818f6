"""What a snapshot's mounts say of where its files lie, for those who fill it or look at it without mounting it."""

from collections.abc import Sequence
from typing import NamedTuple

from kist.errors import InvalidInput
from kist.spec.mount import Mount


class Filling(NamedTuple):
    """An active snapshot.

    Attributes:
        directory: what is written to.
        lowers: of an overlay, the layers below, topmost first.
        opaque: overlayfs's name of the mark that hides what is below a directory.
        copy_of: the tree that the directory began as a copy of; empty for none.
        copied_at: when that copy was whole, in nanoseconds of the file system's clock.
    """

    directory: str
    lowers: tuple[str, ...] = ()
    opaque: str = "trusted.overlay.opaque"
    copy_of: str = ""
    copied_at: int = 0


def filling_of(mounts: Sequence[Mount]) -> Filling:
    """Of a writable snapshot's mounts.

    Raises:
        InvalidInput: they are not those of an active snapshot.
    """
    if len(mounts) == 1 and mounts[0].type == "bind" and not mounts[0].read_only:
        (mount,) = mounts
        copy_of = mount.option("copy-of") or ""
        return Filling(mount.source, copy_of=copy_of, copied_at=int(mount.option("copied-at") or 0))
    if len(mounts) == 1 and mounts[0].type == "overlay" and (upper := mounts[0].option("upperdir")):
        below = mounts[0].option("lowerdir") or ""
        space = "user" if "userxattr" in mounts[0].options else "trusted"
        return Filling(upper, tuple(filter(None, below.split(":"))), f"{space}.overlay.opaque")
    raise InvalidInput("these mounts are not those of an active snapshot")
