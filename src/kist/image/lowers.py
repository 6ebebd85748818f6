"""The layers below an overlay's upper directory, looked at without mounting them."""

import os
import stat
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from kist.image.tree import is_whiteout
from kist.kernel import files

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Found(NamedTuple):
    """An entry of the lower layers: its directory's descriptor (valid until the next look) and its status."""

    parent: int
    name: bytes
    status: os.stat_result


class Lowers:
    """A stack of directories, topmost first; a context manager that closes its descriptors.

    Args:
        directories: absolute paths.
        opaque: name of the attribute that hides what is below a directory.
    """

    def __init__(self, directories: Sequence[str], opaque: str) -> None:
        self._roots = [os.open(path, _DIRECTORY) for path in directories]
        self._opaque = opaque
        self._opened: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        for root in self._roots:
            os.close(root)

    def find(self, parts: tuple[bytes, ...]) -> Found | None:
        """What a mount of these layers shows at the path, whose directories are no symbolic links; None for nothing."""
        self._forget()
        level = self._roots
        for part in parts[:-1]:
            level = self._descend(level, part)
        return topmost(level, parts[-1])

    @property
    def roots(self) -> tuple[int, ...]:
        """Descriptors of the directories."""
        return tuple(self._roots)

    def _descend(self, level: list[int], part: bytes) -> list[int]:
        merged = list(merge(level, part, self._opaque))
        self._opened += merged
        return merged

    def _forget(self) -> None:
        while self._opened:
            os.close(self._opened.pop())


def is_opaque(directory: int, attribute: str) -> bool:
    """Whether a directory's attribute of that name hides what is below it (overlayfs, "opaque directories")."""
    return attribute in files.xattr_names(directory) and os.getxattr(directory, attribute) == b"y"


def merge(level: Sequence[int], part: bytes, opaque: str) -> Iterator[int]:
    """New descriptors of the directories named ``part`` that a mount merges, topmost first."""
    for directory in level:
        found = topmost([directory], part, whiteouts=True)
        if found is None:
            continue
        if not stat.S_ISDIR(found.status.st_mode):
            break
        descriptor = os.open(part, _DIRECTORY, dir_fd=directory)
        yield descriptor
        if is_opaque(descriptor, opaque):
            break


def topmost(level: Sequence[int], name: bytes, *, whiteouts: bool = False) -> Found | None:
    """What a mount shows under a name of merged directories; with ``whiteouts`` those, too, which hide all below."""
    for directory in level:
        try:
            status = os.lstat(name, dir_fd=directory)
        except FileNotFoundError:
            continue
        if is_whiteout(status) and not whiteouts:
            return None
        return Found(directory, name, status)
    return None
