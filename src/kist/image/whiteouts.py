"""Deletions in a layer: image-spec 1.1, layer.md, "Whiteouts", to overlayfs's signs.

A whiteout speaks of the layers below only: what the same layer brings under that name, before or after, stays.
"""

import os
import stat
from collections.abc import Sequence

from kist.errors import InvalidInput
from kist.image.lowers import Found, Lowers, is_opaque
from kist.image.tar import shown
from kist.image.tree import status_at

PREFIX = b".wh."
OPAQUE = b".wh..wh..opq"
AUFS = b".wh..wh."  # its own book-keeping, of which only the opaque mark means something


class Whiteouts:
    """Deletions on top of ``below``; None for the lowest layer, where there is nothing to delete."""

    in_place = False

    def __init__(self, below: Lowers | None, opaque: str) -> None:
        self._below = below
        self._opaque = opaque
        self._hides_all = False

    def below(self, parts: tuple[bytes, ...], way: Sequence[int] = ()) -> Found | None:
        """What the layers below show at this path.

        Args:
            parts: the path.
            way: descriptors of the directories that this layer has on the way to it, of which one may hide what is
                below.
        """
        if self._below is None or self._hides_all or any(is_opaque(directory, self._opaque) for directory in way):
            return None
        return self._below.find(parts)

    def note(self, path: tuple[bytes, ...]) -> None:
        """A member that the layer has brought: it lies apart from those below, so nothing has to be remembered."""

    def apply(self, parent: int, name: bytes, above: tuple[bytes, ...]) -> None:
        """Do what the member ``name`` (which begins with ``PREFIX``) of the directory ``parent`` at ``above`` says."""
        if name == OPAQUE and above:
            self.hide_below(parent)
        elif name == OPAQUE:
            self._hides_all = True
        elif not name.startswith(AUFS):
            self._hide(parent, name[len(PREFIX) :])

    def hide_below(self, directory: int) -> None:
        """Make a directory show nothing of those below."""
        if self._below is not None:
            os.setxattr(directory, self._opaque, b"y")

    def finish(self, root: int) -> None:
        """All members are there: where the root is to show nothing of those below, hide each thing by its name.

        overlayfs minds no mark of a layer's own root.
        """
        if self._below is not None and self._hides_all:
            for name in {os.fsencode(each) for directory in self._below.roots for each in os.listdir(directory)}:
                if self._below.find((name,)) is not None:
                    self._hide(root, name)

    def _hide(self, parent: int, name: bytes) -> None:
        if name in {b"", b".", b".."}:
            raise InvalidInput(f"the whiteout {shown(PREFIX + name)} names nothing that could be deleted")
        if self._below is None:
            return
        status = status_at(parent, name)
        if status is None:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=parent)
        elif stat.S_ISDIR(status.st_mode):
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                self.hide_below(descriptor)
            finally:
                os.close(descriptor)
