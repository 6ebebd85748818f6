"""Project quotas: a limit on what all files below one directory take together (xfs, and ext4 with ``project``).

A directory has a project's number, which what is made in it inherits; the file system counts and limits by number
(quotactl(2), xfsctl(3)). It is asked through a descriptor (quotactl_fd, Linux 5.14), for no device need be known.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

from kist.kernel import libc

_GET_ATTRIBUTES = 0x801C581F  # FS_IOC_FSGETXATTR
_SET_ATTRIBUTES = 0x401C5820
_ATTRIBUTES = struct.Struct("=5I8x")  # struct fsxattr: flags, extent size, extents, project, …
_INHERIT = 0x200
_GET_QUOTA, _SET_QUOTA = 0x800007, 0x800008
_PROJECT = 2
_QUOTA = struct.Struct("=8QI4x")  # struct if_dqblk: hard and soft limit in KiB, bytes used, …, which are valid
_LIMITS_OF_BLOCKS = 1
_KIB = 1024
# Administrators number their projects from 1 on.
_FIRST, _COUNT = 1 << 30, 1 << 30
_TRIES = 1000

UNSUPPORTED = frozenset({
    errno.ESRCH, errno.ENOSYS, errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP, errno.ENODEV, errno.ENOTBLK,
})  # fmt: skip
"""The errors of a file system, or a kernel, that keeps no such quotas."""


def limit(directory: str, size: int) -> int:
    """Let what is made below a directory from now on take ``size`` bytes at most; the number of its project.

    A directory that has a project keeps it. A new one's number follows from the directory's own (inode) number, which
    no other of the file system has, and is one that nothing is counted under and no limit is set for.

    Raises:
        OSError: with one of ``UNSUPPORTED`` where the file system keeps no project quotas, EPERM or EACCES for who is
            not the machine's root.
    """
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags, extent, extents, project, *rest = _attributes(held)
        number = project or _free(held, directory)
        # First the limit, so that the number is not free any more.
        _set_limit(held, number, size, directory)
        argument = _ATTRIBUTES.pack(flags | _INHERIT, extent, extents, number, *rest)
        fcntl.ioctl(held, _SET_ATTRIBUTES, argument)
    except OSError as error:
        raise OSError(error.errno, error.strerror, directory) from error
    finally:
        os.close(held)
    return number


def unlimit(directory: str) -> None:
    """Take away the limit of a directory that is about to be removed; nothing where it has none."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        project = _attributes(held)[3]
        if project >= _FIRST:
            _set_limit(held, project, 0, directory)
    finally:
        os.close(held)


def usage(directory: str) -> tuple[int, int]:
    """Bytes that are taken below a limited directory, and that may be; zeros where it has no project."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        project = _attributes(held)[3]
        if not project:
            return 0, 0
        most, _, used, *_ = _quota(held, project, directory)
        return used, most * _KIB
    finally:
        os.close(held)


def _attributes(held: int) -> tuple[int, ...]:
    return _ATTRIBUTES.unpack(fcntl.ioctl(held, _GET_ATTRIBUTES, bytes(_ATTRIBUTES.size)))


def _free(held: int, path: str) -> int:
    inode = os.fstat(held).st_ino
    for step in range(_TRIES):
        number = _FIRST + (inode + step) % _COUNT
        if not any(_quota(held, number, path)[:6]):
            return number
    raise OSError(errno.ENOSPC, "no number of a project is free", path)


def _quota(held: int, project: int, path: str) -> tuple[int, ...]:
    buffer = ctypes.create_string_buffer(_QUOTA.size)
    try:
        _call(held, _GET_QUOTA, project, buffer, path)
    except FileNotFoundError:
        return (0,) * 9  # nobody has ever counted under this number
    return _QUOTA.unpack(buffer.raw)


def _set_limit(held: int, project: int, size: int, path: str) -> None:
    blocks = -(-size // _KIB)
    buffer = ctypes.create_string_buffer(_QUOTA.pack(blocks, blocks, 0, 0, 0, 0, 0, 0, _LIMITS_OF_BLOCKS))
    _call(held, _SET_QUOTA, project, buffer, path)


def _call(held: int, command: int, project: int, buffer: ctypes.Array[ctypes.c_char], path: str) -> None:
    libc.syscall(libc.SYS_QUOTACTL_FD, held, command << 8 | _PROJECT, project, buffer, path=path)
