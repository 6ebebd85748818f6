"""Room on the disk that is kept for the records: what removes something on a full disk has to write that down, too.

A file of no meaning beside the database holds the room. It is given up when a transaction begins on a disk that is all
but full, and taken again when there is plenty.
"""

import contextlib
import os

SIZE = 1 << 20
_LOW = SIZE // 4  # free bytes at which the room is given up
_PLENTY = 4 * SIZE  # free bytes at which it is taken again


class Reserve:
    """The file at ``path``; several processes may have the same one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._directory = os.path.dirname(path) or "."
        self._kept = os.path.exists(path)

    def adjust(self) -> None:
        """Give the room up or take it, as the disk is; where neither can be done, the next writing tells why."""
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._directory)
            free = disk.f_bavail * disk.f_frsize
            if self._kept and free < _LOW:
                self._kept = False
                os.unlink(self._path)
            elif not self._kept and free > _PLENTY:
                self._take()

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SIZE)
            self._kept = True
        finally:
            os.close(descriptor)
