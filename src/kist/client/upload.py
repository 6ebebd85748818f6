"""Request bodies from files and pipes."""

import os
import stat

from kist.client.transport import FileBody

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_READ = 256 * 1024


def body_of(fd: int) -> "FileBody | Iterator[bytes]":
    """What is left to read of a descriptor: copied by the kernel from a regular file, in chunks from anything else."""
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        return FileBody(fd, offset, max(0, status.st_size - offset))
    return _chunks(fd)


def _chunks(fd: int) -> "Iterator[bytes]":
    while data := os.read(fd, _READ):
        yield data
