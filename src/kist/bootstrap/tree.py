"""A file tree under construction: every path is resolved inside it, whatever its symbolic links say."""

import os
import stat
from types import TracebackType
from typing import Self

from kist.image import pretence
from kist.kernel.paths import open_in_root

_OPEN_PARENTS = 128


class Tree:
    """The directory ``root`` as ``/``. Paths are relative to it. A context manager, for one thread.

    The descriptors of the directories last used stay open, as neighbours in an archive share them.
    """

    def __init__(self, root: str) -> None:
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._parents: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None, /
    ) -> None:
        self._forget()
        os.close(self._root)

    def create(self, path: str, mode: int) -> int:
        """A descriptor of a new, empty file; ``FileExistsError`` where there is something already."""
        parent, name = self._parent(path)
        descriptor = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent
        )
        os.fchmod(descriptor, mode)
        return descriptor

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a file there, in place of what may be there; missing directories are made."""
        self.make_directory(os.path.dirname(path))
        self.remove(path)
        descriptor = self.create(path, mode)
        try:
            write_all(descriptor, data)
        finally:
            os.close(descriptor)

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, None where there is none."""
        try:
            descriptor = open_in_root(self._root, path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def symlink(self, target: str, path: str) -> None:
        """A symbolic link that says ``target``; one that says so already will do."""
        parent, name = self._parent(path)
        try:
            os.symlink(target, name, dir_fd=parent)
        except FileExistsError:
            if not self.is_link(path) or os.readlink(name, dir_fd=parent) != target:
                raise

    def hard_link(self, existing: str, path: str) -> None:
        """A second name for a file of the tree; a symbolic link is not followed."""
        existing_parent, existing_name = self._parent(existing)
        existing_parent = os.dup(existing_parent)  # the next look-up may close it
        try:
            parent, name = self._parent(path)
            os.link(existing_name, name, src_dir_fd=existing_parent, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(existing_parent)

    def make_directory(self, path: str) -> None:
        """``mkdir -p``, for everybody to read; a symbolic link to a directory will do."""
        if not path:
            return
        try:
            parent, name = self._parent(path)
        except FileNotFoundError:
            self.make_directory(os.path.dirname(path))
            parent, name = self._parent(path)
        try:
            os.mkdir(name, dir_fd=parent)
        except FileExistsError:
            os.close(open_in_root(self._root, path, os.O_PATH | os.O_DIRECTORY))
        else:
            os.chmod(name, 0o755, dir_fd=parent)  # noqa: S103 - as all directories of a system are, umask or not

    def is_link(self, path: str) -> bool:
        """Whether the path's last part is a symbolic link."""
        found = self.stat(path)
        return found is not None and stat.S_ISLNK(found.st_mode)

    def stat(self, path: str) -> os.stat_result | None:
        """What is there, a symbolic link itself included; None where nothing is."""
        try:
            parent, name = self._parent(path)
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def is_directory(self, path: str) -> bool:
        """Whether the path's last part is a directory itself."""
        found = self.stat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def truncate(self, path: str) -> None:
        """Make a file empty; what is no file is left alone."""
        found = self.stat(path)
        if found is not None and stat.S_ISREG(found.st_mode):
            os.close(open_in_root(self._root, path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW))

    def set_mode(self, path: str, mode: int) -> None:
        """Set the mode of a file or directory."""
        descriptor = open_in_root(self._root, path, os.O_RDONLY)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def remove(self, path: str) -> None:
        """Remove what is there, if anything is, with everything below it."""
        found = self.stat(path)
        if found is None:
            return
        if stat.S_ISDIR(found.st_mode):
            for name in self.names(path):
                self.remove(f"{path}/{name}")
            self._forget()
            parent, name = self._parent(path)
            os.rmdir(name, dir_fd=parent)
        else:
            parent, name = self._parent(path)
            os.unlink(name, dir_fd=parent)

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted; none where there is no directory."""
        try:
            descriptor = open_in_root(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def set_time(self, path: str, nanoseconds: int) -> None:
        """Set the times of what is there, a symbolic link itself included."""
        parent, name = self._parent(path)
        os.utime(name, ns=(nanoseconds, nanoseconds), dir_fd=parent, follow_symlinks=False)

    def set_directory(self, path: str, mode: int, owner: tuple[int, int], nanoseconds: int) -> None:
        """Set the attributes of a directory; a symbolic link to one is left alone."""
        if path and self.is_link(path):
            return
        descriptor = open_in_root(self._root, path or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            pretence.give(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.utime(descriptor, ns=(nanoseconds, nanoseconds))
        finally:
            os.close(descriptor)

    def _parent(self, path: str) -> tuple[int, str]:
        directory, name = os.path.split(path)
        found = self._parents.get(directory)
        if found is None:
            if len(self._parents) >= _OPEN_PARENTS:
                self._forget()
            found = open_in_root(self._root, directory or ".", os.O_PATH | os.O_DIRECTORY)
            self._parents[directory] = found
        return found, name

    def _forget(self) -> None:
        for descriptor in self._parents.values():
            os.close(descriptor)
        self._parents.clear()


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data``, however little the kernel takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
