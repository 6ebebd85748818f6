"""All containers and their states, with as few looks at the disk as can be: the way that ``ps`` takes.

One query, one look at the run root, and then only what those leave open: a container that was never started has no
state to read, and the end of one that has ended is read again only when its file is another one.
"""

import os
from collections.abc import Callable, Iterator

from kist.engine import state
from kist.spec.container import Container, ContainerState
from kist.store import Records

_NEVER_STARTED = ContainerState()
_Signature = tuple[int, int, int]  # inode, time of change, size


class Listing:
    """Looks at the containers under two roots. Safe from many threads: what one finds out, others may find out again.

    Args:
        records: of the store.
        data_root: what holds the containers' own directories.
        run_root: what holds those of containers that run or have just ended.
    """

    def __init__(self, records: Records, data_root: str, run_root: str) -> None:
        self._records = records
        self._data_root = data_root
        self._run_root = run_root
        self._ends: dict[str, tuple[_Signature, ContainerState]] = {}

    def containers(self, *, everything: bool) -> Iterator[tuple[Container, ContainerState]]:
        """All containers, or those that run, the newest first."""
        kept = self._records.containers_and_starts()
        at_work = names_in(self._run_root)
        ends: dict[str, tuple[_Signature, ContainerState]] = {}
        for container, started_at in kept:
            identity = container.id
            if not started_at:  # a start is noted before anything of it happens
                if everything:
                    yield container, _NEVER_STARTED
                continue
            if identity not in at_work:
                if not everything:
                    continue
                found = self._end(identity, started_at)
                if found is not None:
                    ends[identity] = found
                    yield container, found[1]
                    continue
            now = self._read(identity, _constant(started_at))
            if everything or now.running:
                yield container, now
        if everything:
            self._ends = ends

    def _end(self, identity: str, started_at: int) -> tuple[_Signature, ContainerState] | None:
        """How a container has ended; None when no file tells it."""
        try:
            status = os.stat(f"{self._data_root}/{identity}/{state.FILE}")
        except FileNotFoundError:
            return None
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        known = self._ends.get(identity)
        if known is not None and known[0] == signature:
            return known
        return signature, self._read(identity, _constant(started_at))

    def _read(self, identity: str, started_at: Callable[[], int]) -> ContainerState:
        return state.read(f"{self._data_root}/{identity}", f"{self._run_root}/{identity}", started_at)


def _constant(value: int) -> Callable[[], int]:
    return lambda: value


def names_in(directory: str) -> frozenset[str]:
    """What is in a directory; nothing where there is none."""
    try:
        return frozenset(os.listdir(directory))
    except FileNotFoundError:
        return frozenset()
