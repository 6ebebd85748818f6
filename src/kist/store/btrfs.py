"""Snapshots as subvolumes of btrfs: each begins as a copy of the one below that shares everything with it.

It is the storage of copies but for how a copy is made, which takes no time and no space, and how it goes. The same
empty file beside a snapshot's directory says when it was made.
"""

import os

from kist.kernel import btrfs
from kist.spec.mount import Mount
from kist.store.copies import Copies, mark


class Btrfs:
    """Whole trees that the file system shares."""

    name = "btrfs"
    quick = False  # it commits what the file system has in memory, and nobody should wait for that
    layered = False
    whole = True

    def __init__(self) -> None:
        self._trees = Copies()

    def make(self, directory: str, below: str | None) -> int:
        """See ``Storage``."""
        if below is None:
            btrfs.create(directory)
            os.chmod(directory, 0o755)  # noqa: S103 - the root of a container is for all its users
        else:
            btrfs.snapshot(below, directory)
            mark(directory)
        return 0

    def mounts(self, directory: str, lowers: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``."""
        return self._trees.mounts(directory, lowers)

    def view(self, stack: tuple[str, ...]) -> tuple[Mount, ...]:
        """See ``Storage``."""
        return self._trees.view(stack)

    def twin(self, directory: str, of: str) -> None:
        """A snapshot of an active snapshot, as it is at this moment, that says it began when that one did."""
        btrfs.snapshot(of, directory)
        if os.path.exists(f"{of}-copied"):
            mark(directory)
            began = os.stat(f"{of}-copied")
            os.utime(f"{directory}-copied", ns=(began.st_atime_ns, began.st_mtime_ns))

    def size(self, directory: str, below: str | None) -> int:
        """See ``Storage``."""
        return self._trees.size(directory, below)


def works(place: str) -> OSError | None:
    """Why subvolumes can be made, copied and removed again in a directory, or None where they can."""
    one = f"{place}/subvolume-{os.getpid()}-{os.urandom(4).hex()}"
    made = []
    try:
        btrfs.create(one)
        made.append(one)
        btrfs.snapshot(one, f"{one}-snapshot")
        made.append(f"{one}-snapshot")
    except OSError as error:
        return error
    finally:
        for path in made:
            if not btrfs.remove(path):
                os.rmdir(path)
    return None


def removes_at_once(place: str) -> bool:
    """Whether a subvolume goes in one step for this process; file by file it does for everybody."""
    path = f"{place}/subvolume-{os.getpid()}-{os.urandom(4).hex()}"
    btrfs.create(path)
    if btrfs.remove(path):
        return True
    os.rmdir(path)
    return False
