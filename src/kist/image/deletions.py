"""Deletions in a layer that is unpacked over a copy of those below: what is deleted goes (layer.md, "Whiteouts").

As with ``Whiteouts``, a deletion speaks of the layers below only, so what the layer itself has brought is remembered,
by the paths that the layer says: of what it puts behind a symbolic link of its own, nothing is known at another path.
"""

import os
import stat
from collections.abc import Sequence

from kist.errors import InvalidInput
from kist.image.lowers import Found
from kist.image.tar import shown
from kist.image.tree import remove_at, status_at
from kist.image.whiteouts import AUFS, OPAQUE, PREFIX

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
Path = tuple[bytes, ...]


class Deletions:
    """Deletions in the tree itself."""

    in_place = True

    def __init__(self) -> None:
        self._brought: dict[Path, set[bytes]] = {}

    def note(self, path: Path) -> None:
        """Take notice of a member that the layer has brought, and so of the directories on its way."""
        for depth in range(len(path), 0, -1):
            names = self._brought.setdefault(path[: depth - 1], set())
            if path[depth - 1] in names:
                return
            names.add(path[depth - 1])

    def is_below(self, path: Path) -> bool:
        """Whether what is at the path is of the layers below."""
        return path[-1] not in self._brought.get(path[:-1], ())

    def below(self, parts: Path, way: Sequence[int] = ()) -> Found | None:
        """What is below is in the tree itself."""
        del parts, way
        return None

    def apply(self, parent: int, name: bytes, above: Path) -> None:
        """Do what the member ``name`` of the directory ``parent``, whose path is ``above``, says."""
        if name == OPAQUE:
            self._empty(parent, above)
        elif not name.startswith(AUFS):
            hidden = name[len(PREFIX) :]
            if hidden in {b"", b".", b".."}:
                raise InvalidInput(f"the whiteout {shown(name)} names nothing that could be deleted")
            self._remove(parent, hidden, above)

    def hide_below(self, directory: int) -> None:
        """Nothing is below."""

    def finish(self, root: int) -> None:
        """Everything has been done in its turn."""

    def _empty(self, directory: int, path: Path) -> None:
        for name in map(os.fsencode, os.listdir(directory)):
            self._remove(directory, name, path)

    def _remove(self, parent: int, name: bytes, above: Path) -> None:
        status = status_at(parent, name)
        if status is None:
            return
        if self.is_below((*above, name)):
            remove_at(parent, name, status)
        elif stat.S_ISDIR(status.st_mode):
            directory = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                self._empty(directory, (*above, name))
                os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(directory)
