"""A copy of a file tree with all that belongs to it: owners, modes, times, extended attributes, links, devices."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 30
# What a file system may lack or keep for itself; a copy without it is still the file.
_NO_ATTRIBUTE = frozenset({errno.ENOTSUP, errno.EPERM, errno.EINVAL, errno.ENODATA})
# Between two file systems, and on those that cannot.
_NOT_BY_REFERENCE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def copy_tree(source: int, target: int) -> None:
    """Fill the empty directory ``target`` with what the directory ``source`` holds, and give it the same attributes.

    Both are descriptors that can be read. Links are copied as links and followed nowhere; hard links within the tree
    stay; sockets are left out. Nobody else may change ``target`` meanwhile.

    Raises:
        OSError: something could not be read or written; ``target`` holds a part then.
    """
    _Copy(target).directory(source, target)


class _Copy:
    def __init__(self, root: int) -> None:
        self._root = root
        # Device and inode of a file with several names -> its first copy's directory and name.
        self._seen: dict[tuple[int, int], str] = {}

    def directory(self, source: int, target: int, above: str = "") -> None:
        for name in sorted(os.listdir(source)):
            self._entry(source, target, name, f"{above}{name}")
        _copy_xattrs(source, target)
        status = os.fstat(source)
        os.fchown(target, status.st_uid, status.st_gid)
        os.fchmod(target, stat.S_IMODE(status.st_mode))
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

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
            _copy_file(source, target, name, status)
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


def _copy_file(source: int, target: int, name: str, status: os.stat_result) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    try:
        writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            _copy_content(reading, writing, status.st_size)
            # Owner before attributes: a change of owner takes a file's capabilities away.
            os.fchown(writing, status.st_uid, status.st_gid)
            _copy_xattrs(reading, writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_content(reading: int, writing: int, size: int) -> None:
    """By reference where the file system can (copy_file_range(2)), else through the page cache (sendfile(2))."""
    left = size
    try:
        while left > 0 and (done := os.copy_file_range(reading, writing, min(left, _CHUNK))):
            left -= done
    except OSError as error:
        if error.errno not in _NOT_BY_REFERENCE:
            raise
        while left > 0 and (done := os.sendfile(writing, reading, None, min(left, _CHUNK))):
            left -= done


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
