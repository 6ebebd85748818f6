"""Where a file system puts what is made: a word to ext2, ext3 and ext4, others need none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator

# include/uapi/linux/fs.h, where the numbers have the size of a long, and the kernel reads and writes an int.
_FS_IOC_GETFLAGS = 0x80006601 | struct.calcsize("l") << 16
_FS_IOC_SETFLAGS = 0x40006602 | struct.calcsize("l") << 16
_FS_TOPDIR_FL = 0x00020000
# What the kernel reads and writes, and room for what the number says.
_FLAGS = struct.Struct("=I4x")


@contextlib.contextmanager
def spread_out(path: str) -> Iterator[None]:
    """Have directories that are made in this one meanwhile lie far from it and from one another (chattr(1): ``T``).

    ext2 to ext4 put a directory near the one that it is in, and files near their directory. There they search long for
    an inode where many were removed in the last minute, and once more for each file. What is to get many is better put
    elsewhere. On other file systems nothing happens.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _mark(directory, _FS_TOPDIR_FL)
        yield
    finally:
        _mark(directory, 0)
        os.close(directory)


def _mark(directory: int, mark: int) -> None:
    """Set or clear the flag, where the file system has it."""
    with contextlib.suppress(OSError):
        (flags,) = _FLAGS.unpack_from(fcntl.ioctl(directory, _FS_IOC_GETFLAGS, bytes(_FLAGS.size)))
        fcntl.ioctl(directory, _FS_IOC_SETFLAGS, _FLAGS.pack(flags & ~_FS_TOPDIR_FL | mark))
