"""Request bodies from files and pipes."""

import os
import stat

from kist.client.transport import FileBody

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_READ = 256 * 1024
_HEAD = 512  # of a tar archive


def begin_of(fd: int) -> bytes:
    """The first bytes that come of a descriptor, as many as the head of an archive; fewer where there are no more."""
    begin = b""
    while len(begin) < _HEAD and (more := os.read(fd, _HEAD - len(begin))):
        begin += more
    return begin


def body_of(fd: int, begin: bytes = b"") -> "FileBody | Iterator[bytes]":
    """What is left to read of a descriptor: copied by the kernel from a regular file, in chunks from anything else.

    Args:
        fd: the descriptor.
        begin: was read of it just now, and belongs to the body.
    """
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        offset = os.lseek(fd, -len(begin), os.SEEK_CUR)
        return FileBody(fd, offset, max(0, status.st_size - offset))
    return _chunks(fd, begin)


def _chunks(fd: int, begin: bytes) -> "Iterator[bytes]":
    if begin:
        yield begin
    while data := os.read(fd, _READ):
        yield data
