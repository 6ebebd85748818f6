"""A directory that an archive is unpacked into, entered only through descriptors, so that nothing leads out of it.

Every component of a member's path is opened without following symbolic links; where one is a link (planted by an
earlier member, or there before), the kernel resolves the path inside the directory (openat2(2), RESOLVE_IN_ROOT), as
Docker does. The descriptors on the way to the last member are kept, for archives are mostly in the tree's order.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kist.errors import InvalidInput
from kist.image.tar import shown
from kist.kernel import paths

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEEPEST = 256  # directories, each a descriptor while one is inside; real trees have less than half

MakeDirectory = Callable[[int, tuple[bytes, ...]], None]


class Tree:
    """The directory ``root``; a context manager that closes its descriptors.

    Args:
        root: path or descriptor; the descriptor stays the caller's.
        implicit: makes a directory that members lie in and that no member made: gets the parent's descriptor and the
            directory's path as components.
        within: a descriptor and a path: what the links that members lie behind are resolved against, and where this
            directory is there; by default the directory itself.
        gives_way: whether what is no directory, at these components, goes where members lie in it.
    """

    def __init__(
        self,
        root: str | int,
        implicit: MakeDirectory,
        within: tuple[int, str] | None = None,
        gives_way: Callable[[tuple[bytes, ...]], bool] | None = None,
    ) -> None:
        self.root = os.open(root, _DIRECTORY) if isinstance(root, str) else os.dup(root)
        self._base, self._prefix = (self.root, "") if within is None else (within[0], within[1].rstrip("/") + "/")
        self._implicit = implicit
        self._gives_way = gives_way
        self._names: list[bytes] = []
        self._fds: list[int] = [self.root]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0)
        os.close(self.root)

    def enter(self, parts: tuple[bytes, ...]) -> int:
        """The descriptor of the directory at these components, made where it is missing; the tree's own, do not close.

        Raises:
            InvalidInput: something on the way is not a directory, or it is nested too deep.
        """
        if len(parts) > DEEPEST:
            raise InvalidInput(f"{shown(b'/'.join(parts[:3]))}… is nested deeper than {DEEPEST} directories")
        common = 0
        for mine, wanted in zip(self._names, parts, strict=False):
            if mine != wanted:
                break
            common += 1
        self._leave(common)
        for depth in range(common, len(parts)):
            self._fds.append(self._step(parts[: depth + 1]))
            self._names.append(parts[depth])
        return self._fds[-1]

    @property
    def way(self) -> tuple[int, ...]:
        """The descriptors of the directories down to the one that was entered last; the tree's own."""
        return tuple(self._fds)

    def find(self, parts: tuple[bytes, ...]) -> int | None:
        """A new descriptor (O_PATH) of the directory at these components; None when there is none."""
        try:
            return paths.open_in_root(self._base, self._prefix + _text(parts), os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                return None
            raise

    def open(self, parts: tuple[bytes, ...]) -> int | None:
        """As ``find``, with a descriptor to read and change the directory through."""
        try:
            return paths.open_in_root(self._base, self._prefix + _text(parts), os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                return None
            raise

    def _step(self, parts: tuple[bytes, ...]) -> int:
        parent, name = self._fds[-1], parts[-1]
        try:
            return os.open(name, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            self._implicit(parent, parts)
            return os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            if self._gives_way is None or not self._gives_way(parts):
                return self._through_link(parts)
            os.unlink(name, dir_fd=parent)
            self._implicit(parent, parts)
            return os.open(name, _DIRECTORY, dir_fd=parent)

    def _through_link(self, parts: tuple[bytes, ...]) -> int:
        found = self.open(parts)
        if found is None:
            raise InvalidInput(
                f"{shown(b'/'.join(parts))} is no directory, yet members of the archive lie in it",
                hint="the archive contradicts itself or leads out of its root; make it again",
            )
        return found

    def _leave(self, depth: int) -> None:
        while len(self._names) > depth:
            os.close(self._fds.pop())
            self._names.pop()


def components(name: bytes) -> tuple[bytes, ...]:
    """The components of a member's name below the root; leading slashes and ``.`` fall away, as for Docker and tar.

    Raises:
        InvalidInput: one of them is ``..``.
    """
    parts = tuple(part for part in name.split(b"/") if part not in {b"", b"."})
    if b".." in parts:
        raise InvalidInput(
            f"{shown(name)} has '..' in it, which would lead out of the archive's root",
            hint="make the archive with plain paths below its root",
        )
    return parts


def status_at(parent: int, name: bytes) -> os.stat_result | None:
    """What is at ``name``, a symbolic link itself; None where nothing is."""
    try:
        return os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return None


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs's sign for a name that is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def remove_at(parent: int, name: bytes, status: os.stat_result) -> None:
    """Remove what is at ``name``, a whole tree if need be; links in it are not followed."""
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(name, dir_fd=parent)
    else:
        os.unlink(name, dir_fd=parent)


def remove_unmounted(parent: int, name: bytes, depth: int = 0) -> None:
    """As ``remove_at``, in a tree with mounts of other namespaces: nothing that is mounted is removed or gone into.

    The kernel only protects the mounts of the caller's own namespace; those of others it would take away.

    Raises:
        OSError: ``EBUSY`` when something is mounted there or below; what came before it is gone.
        InvalidInput: it is nested too deep.
    """
    if depth > DEEPEST:
        raise InvalidInput(f"{shown(name)} is nested deeper than {DEEPEST} directories")
    try:
        held = paths.open_in_root(parent, os.fsdecode(name), os.O_PATH | os.O_NOFOLLOW, same_mount=True)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name) from error
        raise
    try:
        if not stat.S_ISDIR(os.fstat(held).st_mode):
            os.unlink(name, dir_fd=parent)
            return
        directory = os.open(".", _DIRECTORY, dir_fd=held)
        try:
            for below in map(os.fsencode, os.listdir(directory)):
                remove_unmounted(directory, below, depth + 1)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=parent)
    finally:
        os.close(held)


def _text(parts: tuple[bytes, ...]) -> str:
    return os.fsdecode(b"/".join(parts)) or "."
