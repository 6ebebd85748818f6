"""How the files of snapshots lie: what each storage does, and which there are.

| storage | a layer is | a container's own files are |
|---|---|---|
| ``overlay`` | a directory with what it adds | a directory that overlayfs lays over them |
| ``copy`` | a whole tree | a whole tree, copied from the image's |
| ``btrfs`` | a subvolume with a whole tree | a subvolume, a copy-on-write snapshot of the image's |
| ``loop`` | as ``overlay`` has it | a directory in a file system of a fixed size, in a sparse file |
"""

from typing import Protocol

from kist.spec.mount import Mount
from kist.store.btrfs import Btrfs
from kist.store.copies import Copies
from kist.store.loop import Loop
from kist.store.overlay import Overlay


class Storage(Protocol):
    """How the files of snapshots lie. A stack is the directories of a snapshot and of all below it, topmost first.

    Attributes:
        name: what ``kist info`` calls it.
        quick: whether a snapshot is made at once, so that others may wait for it.
        layered: whether a directory has a snapshot's own files and nothing of what is below.
        whole: whether a snapshot's directory also has what is below it.
    """

    name: str
    quick: bool
    layered: bool
    whole: bool

    def make(self, directory: str, below: str | None) -> int:
        """The directory of a new snapshot, on top of another one's (None for an empty one).

        Returns:
            The bytes of what is below that it takes once more.
        """

    def mounts(self, directory: str, lowers: tuple[str, ...]) -> tuple[Mount, ...]:
        """The mounts to fill an active snapshot on top of this stack."""

    def view(self, stack: tuple[str, ...]) -> tuple[Mount, ...]:
        """The mounts that show a committed snapshot read-only."""

    def size(self, directory: str, below: str | None) -> int:
        """Bytes of the snapshot's own files, without what is below."""


_KINDS = (Overlay, Copies, Btrfs, Loop)

NAMES = tuple(kind.name for kind in _KINDS)
"""Of all storages, each at the number that a snapshot's row remembers."""


def numbered() -> tuple[Storage, ...]:
    """All storages, by their numbers."""
    return tuple(kind() for kind in _KINDS)


def number_of_layers(name: str) -> int:
    """The number of the storage that the layers of images have in a data root of this one."""
    return NAMES.index(Overlay.name if name == Loop.name else name)
