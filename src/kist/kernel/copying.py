"""A copy of a file tree with all that belongs to it: owners, modes, times, extended attributes, links, devices."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30
_FICLONE = 0x40049409
_BLOCK = 512  # of ``st_blocks``
# What a file system may lack or keep for itself; a copy without it is still the file.
_NO_ATTRIBUTE = frozenset({errno.ENOTSUP, errno.EPERM, errno.EINVAL, errno.ENODATA})
# Between two file systems, and on those that cannot.
_NOT_BY_REFERENCE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY})


def copy_tree(source: int, target: int) -> int:
    """Fill the empty directory ``target`` with what the directory ``source`` holds, and give it the same attributes.

    Both are descriptors that can be read. Links are copied as links and followed nowhere; hard links within the tree
    stay; sockets are left out. Nobody else may change ``target`` meanwhile.

    Returns:
        The bytes of the files that take space twice now: the file system could not share them.

    Raises:
        OSError: something could not be read or written; ``target`` holds a part then.
    """
    copy = _Copy(target)
    copy.directory(source, target)
    return copy.content.copied


def make_like(target: int, source: int) -> None:
    """Give an open directory the attributes of another one."""
    _copy_xattrs(source, target)
    status = os.fstat(source)
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


class _Copy:
    def __init__(self, root: int) -> None:
        self._root = root
        # Device and inode of a file with several names -> its first copy's directory and name.
        self._seen: dict[tuple[int, int], str] = {}
        self.content = _Content()

    def directory(self, source: int, target: int, above: str = "") -> None:
        for name in sorted(os.listdir(source)):
            self._entry(source, target, name, f"{above}{name}")
        make_like(target, source)

    def _entry(self, source: int, target: int, name: str, path: str) -> None:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFSOCK:
            return
        if kind == stat.S_IFDIR:
            self._below(source, target, name, path)
            return
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and identity in self._seen:
            os.link(self._seen[identity], name, src_dir_fd=self._root, dst_dir_fd=target, follow_symlinks=False)
            return
        self._seen[identity] = path
        if kind == stat.S_IFREG:
            self._file(source, target, name, status)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        else:
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        _copy_status(target, name, status)

    def _below(self, source: int, target: int, name: str, path: str) -> None:
        with contextlib.ExitStack() as stack:
            inner = os.open(name, _DIRECTORY, dir_fd=source)
            stack.callback(os.close, inner)
            os.mkdir(name, 0o700, dir_fd=target)
            made = os.open(name, _DIRECTORY, dir_fd=target)
            stack.callback(os.close, made)
            self.directory(inner, made, f"{path}/")

    def _file(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
        try:
            writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
            try:
                self.content.copy(reading, writing, status)
                # Owner before attributes: a change of owner takes a file's capabilities away.
                os.fchown(writing, status.st_uid, status.st_gid)
                _copy_xattrs(reading, writing)
            finally:
                os.close(writing)
        finally:
            os.close(reading)


class _Content:
    """The bytes of files: shared where the file system can (ioctl_ficlone(2)), else copied, holes left as holes."""

    def __init__(self) -> None:
        self._shares = True
        self.copied = 0

    def copy(self, reading: int, writing: int, status: os.stat_result) -> None:
        size = status.st_size
        if not size or (self._shares and self._shared(reading, writing)):
            return
        self.copied += size
        if has_holes(status):
            copy_segments(reading, writing, size)
        else:
            _copy_range(reading, writing, 0, size)

    def _shared(self, reading: int, writing: int) -> bool:
        try:
            fcntl.ioctl(writing, _FICLONE, reading)
        except OSError as error:
            if error.errno not in _NOT_BY_REFERENCE:
                raise
            self._shares = error.errno == errno.EINVAL  # of this one file, maybe
            return False
        return True


def has_holes(status: os.stat_result) -> bool:
    """Whether a file takes less space than it has bytes."""
    return status.st_blocks * _BLOCK < status.st_size


def copy_segments(reading: int, writing: int, size: int) -> None:
    """Fill an empty file with the first ``size`` bytes of another one, holes left as holes.

    Raises:
        OSError: EFBIG for one that is larger than the file system's files may be, before anything is read.
    """
    os.ftruncate(writing, size)
    for begin, length in segments(reading, size):
        _copy_range(reading, writing, begin, begin + length)


def segments(file: int, size: int) -> list[tuple[int, int]]:
    """Begin and length of each part of a file that has content, in order: between them are holes."""
    found: list[tuple[int, int]] = []
    end = 0
    while end < size and (begin := _next(file, end, os.SEEK_DATA)) is not None:
        end = min(_next(file, begin, os.SEEK_HOLE) or size, size)
        found.append((begin, end - begin))
    return found


def _next(file: int, begin: int, what: int) -> int | None:
    """Where the next data or hole of a file begins; None behind the last data."""
    try:
        return os.lseek(file, begin, what)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _copy_range(reading: int, writing: int, begin: int, end: int) -> None:
    """In the kernel (copy_file_range(2)), else through the page cache (sendfile(2))."""
    place = begin
    try:
        while place < end and (done := os.copy_file_range(reading, writing, min(end - place, _CHUNK), place, place)):
            place += done
    except OSError as error:
        if error.errno not in _NOT_BY_REFERENCE:
            raise
        os.lseek(writing, place, os.SEEK_SET)
        while place < end and (done := os.sendfile(writing, reading, place, min(end - place, _CHUNK))):
            place += done


def _copy_status(target: int, name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_xattrs(source: int, target: int) -> None:
    for name in _xattrs(source):
        if name.startswith("trusted.overlay."):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTE:
                raise


def _xattrs(descriptor: int) -> list[str]:
    try:
        return os.listxattr(descriptor)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTE:
            return []
        raise
