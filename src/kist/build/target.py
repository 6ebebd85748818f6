"""The tree that files are copied into: a snapshot, seen merged with what is below it.

Paths are resolved inside the root, so a symbolic link of the image (``/bin`` to ``usr/bin``) is followed and cannot
lead out.
"""

import os
import posixpath
import stat

from kist.build.attributes import attributes_of, give
from kist.build.tree import shown
from kist.errors import InvalidInput
from kist.image import pretence
from kist.kernel import copying
from kist.kernel.paths import open_in_root, place_of
from kist.spec.dockerfile.mode import Mode

_MAX_LINKS = 40
_CHUNK = 1 << 30
_SMALL = 1 << 17
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened that was just made."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Target:
    """Writes below a root.

    Args:
        root: a descriptor that the caller keeps.
        owner: user and group of everything that is made.
        mode: what becomes of permission bits; None to keep those of the source.
        epoch: the time of everything, in seconds; None to keep those of the source.
        upper: where the root is an overlay, a descriptor of its upper directory, if that may be written to past the
            overlay; the caller keeps it, too.

    Attributes:
        owner: user and group of everything that is made.
        gone: device and inode of files that had to make room and had no further name. Other files may have them now.
    """

    def __init__(
        self,
        root: int,
        owner: tuple[int, int] = (0, 0),
        mode: Mode | None = None,
        epoch: int | None = None,
        upper: int = -1,
    ) -> None:
        self._root = root
        self._upper = upper
        self._owner = self.owner = owner
        self._mode = mode
        self._time = None if epoch is None else epoch * 1_000_000_000
        self.gone: set[tuple[int, int]] = set()

    def open_directory(self, path: str, *, links: int = 0) -> int:
        """A descriptor of the directory at ``path``, made with its missing parents where it does not exist.

        Raises:
            InvalidInput: something on the way is not a directory.
        """
        try:
            return open_in_root(self._root, path, _DIRECTORY)
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            raise InvalidInput(f'"{shown(path)}" in the image is not a directory') from None
        above, name = posixpath.split(path.rstrip("/"))
        parent = self.open_directory(above or "/", links=links)
        try:
            try:
                return self.make_directory(parent, name, 0o755)
            except FileExistsError:
                # A symbolic link to nowhere: what it names is made.
                target = posixpath.join(above, os.readlink(name, dir_fd=parent))
        finally:
            os.close(parent)
        if links == _MAX_LINKS:
            raise InvalidInput(f'too many symbolic links on the way to "{path}" in the image')
        return self.open_directory(target, links=links + 1)

    def make_directory(self, parent: int, name: str, mode: int) -> int:
        """Make one directory; gives its descriptor.

        Raises:
            FileExistsError: the name is taken.
        """
        os.mkdir(name, 0o700, dir_fd=parent)
        descriptor = os.open(name, DIRECTORY, dir_fd=parent)
        pretence.give(descriptor, *self._owner)
        os.fchmod(descriptor, mode)
        return descriptor

    def take_directory(self, path: str, mode: int) -> int:
        """Give a directory that exists this mode and the owner; its descriptor."""
        descriptor = self.open_directory(path)
        pretence.give(descriptor, *self._owner)
        os.fchmod(descriptor, mode)
        return descriptor

    def lies(self, directory: int) -> int:
        """An empty directory as it lies in the upper one, where what is made in it is seen as if it was made here.

        To go through the overlay takes half as long again for each file. Who has begun to write past it goes through
        it for nothing that is there already.

        Returns:
            A descriptor; -1 where it does not lie there.
        """
        if self._upper < 0:
            return -1
        try:
            found = open_in_root(self._upper, place_of(directory), DIRECTORY)
        except OSError:  # it is one of the image's: nothing was written to it yet
            return -1
        # The overlay tells the number that the file has where it lies.
        if os.fstat(found).st_ino == os.fstat(directory).st_ino and not os.listdir(directory) and not os.listdir(found):
            return found
        os.close(found)
        return -1

    def place_of_file(self, path: str) -> tuple[int, str]:
        """Where a file for ``path`` goes: the directory's descriptor, and the name; a link at the end is followed."""
        for _ in range(_MAX_LINKS):
            above, name = posixpath.split(path)
            parent = self.open_directory(above or "/")
            try:
                target = os.readlink(name, dir_fd=parent)
            except OSError:  # no link, or nothing at all
                return parent, name
            os.close(parent)
            path = posixpath.join(above, target)
        raise InvalidInput(f'too many symbolic links on the way to "{path}" in the image')

    def is_directory(self, path: str) -> bool:
        """Whether ``path`` leads to a directory."""
        try:
            os.close(open_in_root(self._root, path, os.O_PATH | os.O_DIRECTORY))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def write_file(
        self, parent: int, name: str, source: int, status: os.stat_result, *, is_of_the_store: bool = False
    ) -> None:
        """A regular file with the bytes, mode, attributes and times of ``source``, in place of what has this name.

        Where it is one of the store's, it may stand for a device, as the copy then does, too.
        """
        mode = self.mode(status)
        descriptor = self._create(parent, name, mode)
        try:
            _copy_bytes(source, descriptor, status)
            empty = is_of_the_store and not (status.st_size or stat.S_IMODE(status.st_mode))
            device = pretence.device_of(source) if empty else ""
            # Each change takes a transaction of the file system's.
            made = os.fstat(descriptor)
            if device or (made.st_uid, made.st_gid) != self._owner:
                pretence.give(descriptor, *self._owner, device)
                os.fchmod(descriptor, mode)
            elif stat.S_IMODE(made.st_mode) != mode:
                os.fchmod(descriptor, mode)
            if attributes := attributes_of(source):
                give(descriptor, attributes)
            os.utime(descriptor, ns=self.times(status))
        finally:
            os.close(descriptor)

    def write_name(self, parent: int, name: str, first: str, identity: tuple[int, int]) -> bool:
        """A further name of the file that was written to the path ``first``, in place of what has this name.

        Returns:
            False where another file is at that path by now: it is not the one of this device and inode.
        """
        try:
            above = self.open_directory(posixpath.dirname(first) or "/")
        except InvalidInput:
            return False
        try:
            old = posixpath.basename(first)
            try:
                status = os.stat(old, dir_fd=above, follow_symlinks=False)
            except FileNotFoundError:
                return False
            if (status.st_dev, status.st_ino) != identity:
                return False
            if not _has(parent, name, identity):
                self.clear(parent, name)
                os.link(old, name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
            return True
        finally:
            os.close(above)

    def write_text(self, parent: int, name: str, text: bytes) -> None:
        """A new regular file of these bytes, in place of what has this name: of now, and readable by all."""
        descriptor = self._create(parent, name)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(text)
            pretence.give(descriptor, *self._owner)
            os.fchmod(descriptor, self._mode.of(0o644) if self._mode else 0o644)
        finally:
            os.close(descriptor)

    def write_link(self, parent: int, name: str, target: str, status: os.stat_result) -> None:
        """A symbolic link, in place of what has this name."""
        self.clear(parent, name)
        os.symlink(target, name, dir_fd=parent)
        self._finish(parent, name, status)

    def write_node(self, parent: int, name: str, status: os.stat_result) -> None:
        """A named pipe or a device, in place of what has this name."""
        self.clear(parent, name)
        os.mknod(name, stat.S_IFMT(status.st_mode) | 0o600, status.st_rdev, dir_fd=parent)
        os.chmod(name, self.mode(status), dir_fd=parent)
        self._finish(parent, name, status)

    def mode(self, status: os.stat_result) -> int:
        """The permission bits that a copy gets."""
        bits = stat.S_IMODE(status.st_mode)
        return self._mode.of(bits, directory=stat.S_ISDIR(status.st_mode)) if self._mode else bits

    def times(self, status: os.stat_result) -> tuple[int, int]:
        """The times of access and change that a copy gets, in nanoseconds."""
        time = status.st_mtime_ns if self._time is None else self._time
        return time, time

    def clear(self, parent: int, name: str) -> None:
        """Take away a file of this name.

        Raises:
            InvalidInput: it is a directory.
        """
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return
        try:
            os.unlink(name, dir_fd=parent)
            if status.st_nlink == 1:
                self.gone.add((status.st_dev, status.st_ino))
        except IsADirectoryError:
            raise InvalidInput(f'cannot copy a file over "{shown(name)}": it is a directory in the image') from None

    def _create(self, parent: int, name: str, mode: int = 0o600) -> int:
        """A new file, which has no more than the permission bits of ``mode``, and none of the others yet."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, mode & 0o777, dir_fd=parent)
        except FileExistsError:
            self.clear(parent, name)
            return os.open(name, flags, mode & 0o777, dir_fd=parent)

    def _finish(self, parent: int, name: str, status: os.stat_result) -> None:
        pretence.give_link(parent, name, *self._owner)
        os.utime(name, ns=self.times(status), dir_fd=parent, follow_symlinks=False)


def _has(parent: int, name: str, identity: tuple[int, int]) -> bool:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (status.st_dev, status.st_ino) == identity


def _copy_bytes(source: int, target: int, status: os.stat_result) -> None:
    """All bytes of ``source``; in the kernel for large files (a reflink where the file system can), holes as holes."""
    if status.st_size > _SMALL:
        if copying.has_holes(status):
            copying.copy_segments(source, target, status.st_size)
            return
        if _copied_in_kernel(source, target):
            return
    while data := os.read(source, _SMALL):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(target, rest) :]


def _copied_in_kernel(source: int, target: int) -> bool:
    try:
        while os.copy_file_range(source, target, _CHUNK):
            pass
    except OSError:
        if os.lseek(target, 0, os.SEEK_CUR):
            raise
        return False  # not between these two file systems; nothing has been copied yet
    return True
