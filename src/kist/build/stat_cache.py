"""Digests of a directory's files, kept from build to build with what stat(2) told of the files: the stat cache.

A file whose size, times of change, device and inode are the same is not read again. Git's rule for its index holds: a
file that was changed just before it was read could be changed once more without its times telling it, so it is not
kept (it is read again by the next build). And only file systems of this machine are believed: another one's clock may
go wrong, and its attributes may be old.
"""

import contextlib
import hashlib
import os
import struct
import sys
import threading
import time
from array import array
from bisect import bisect_left
from typing import Self

from kist.errors import KistError
from kist.kernel import marks
from kist.store import Store

# A file system's times may be as coarse as that, in nanoseconds (ext3's inodes have whole seconds).
_GRANULE = 2_000_000_000
# By the numbers of statfs(2): bcachefs, btrfs, ext2 to ext4, f2fs, overlay, tmpfs, xfs, zfs.
_LOCAL = frozenset({0xCA451A4E, 0x9123683E, 0xEF53, 0xF2F52010, 0x794C7630, 0x01021994, 0x58465342, 0x2FC12FC1})
_FORMAT = b"kist stat cache 2, " + sys.byteorder.encode().ljust(13)
_MOST_FILES = 1_000_000
_MOST_KEPT = 256 << 20  # bytes, of all contexts; the longest unused go

# Size in bytes, mtime and ctime in nanoseconds; the digest follows. Times are kept modulo 2**64.
_LOOK = struct.Struct("=QQQ")
_INODE, _KNOWN = 8, _LOOK.size + 32
_MODULO = (1 << 64) - 1


class StatCache:
    """What is known of the files of one directory, by their inodes. Safe from many threads.

    It is one row of bytes for each file and no object: of a large context they would be half a million.

    Args:
        path: where it is kept; empty to know files only as long as this object lives.
        device: that the files are on; others below the directory are known as long, and not kept.
        settled: nobody else writes to the files, so they can be as young as they like.
    """

    def __init__(self, path: str = "", device: int = -1, *, settled: bool = False) -> None:
        self._path = path
        self._device = device
        self._settled = settled
        # Those of the build before, in order of their inodes, and which of them were met in this one.
        self._inodes, self._old = _read(path) if path else (array("Q"), b"")
        self._met = bytearray(len(self._inodes))
        # Those that were read in this one, with their places; protected by the lock while one is added.
        self._places: dict[int, int] = {}
        self._elsewhere: dict[tuple[int, int], int] = {}  # of other devices, whose inodes may have the same numbers
        self._new = bytearray()
        self._unsure: set[int] = set()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, store: Store, directory: str) -> Self:
        """That of a build's context; what came to the engine is in a new directory, of which nothing can be kept."""
        status = os.stat(directory)
        real = os.path.realpath(directory)
        if is_of(store, directory) or marks.magic(directory) not in _LOCAL:
            return cls(device=status.st_dev)
        name = hashlib.sha256(f"{real}\0{status.st_dev}\0{status.st_ino}".encode(errors="surrogateescape")).hexdigest()
        return cls(f"{store.root}/cache/contexts/{name}", status.st_dev)

    @property
    def has_any(self) -> bool:
        """Whether any file is known."""
        return bool(self._places or self._inodes or self._elsewhere)

    def get(self, status: os.stat_result) -> bytes | None:
        """The digest of the file with this status, if it is the one that is known."""
        inode = status.st_ino
        if status.st_dev != self._device:
            place = self._elsewhere.get((status.st_dev, inode))
            return None if place is None else _digest(self._new, place, status)
        place = self._places.get(inode)
        if place is not None:
            return _digest(self._new, place, status)
        place = bisect_left(self._inodes, inode)
        if place == len(self._inodes) or self._inodes[place] != inode:
            return None
        digest = _digest(self._old, place, status)
        if digest is not None:
            self._met[place] = 1
        return digest

    def put(self, status: os.stat_result, digest: bytes) -> None:
        """Know a file's digest: ``status`` is from before it was read."""
        inode = status.st_ino
        young = not self._settled and max(status.st_mtime_ns, status.st_ctime_ns) > time.time_ns() - _GRANULE
        with self._lock:
            place = len(self._new) // _KNOWN
            self._new += _look(status) + digest
            if status.st_dev != self._device:
                self._elsewhere[status.st_dev, inode] = place
                return
            self._places[inode] = place
            if young:
                self._unsure.add(inode)
            else:
                self._unsure.discard(inode)

    def save(self, store: Store) -> None:
        """Keep what is known for the next build; where that cannot be, it will read the files again."""
        if not self._path or not self._places:
            return
        inodes, known = self._merged()
        if len(inodes) > _MOST_FILES or (inodes == self._inodes and known == self._old):
            return
        with contextlib.suppress(KistError, OSError), store.temporary() as aside:
            written = os.path.join(aside, "stat-cache")
            _write(written, inodes, known)
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            os.replace(written, self._path)
            _trim(os.path.dirname(self._path))

    def write(self, path: str) -> None:
        """Write what is known to a file, which another one may be made with.

        Raises:
            OSError: the disk is full, or fails.
        """
        _write(path, *self._merged())

    def _merged(self) -> tuple["array[int]", bytearray]:
        """All that is known and sure, in order of the inodes.

        Files that this build has not looked at stay known, unless most of them seem to be gone.
        """
        inodes, known = array("Q"), bytearray()
        looked_at = self._met.count(1) + len(self._places)
        if len(self._inodes) > 2 * looked_at:
            kept = [place for place, met in enumerate(self._met) if met]
            old = array("Q", (self._inodes[place] for place in kept))
            rows = b"".join(_row(self._old, place) for place in kept)
        else:
            old, rows = self._inodes, self._old
        begin = 0
        for inode in sorted(self._places):
            end = bisect_left(old, inode, begin)
            inodes += old[begin:end]
            known += rows[begin * _KNOWN : end * _KNOWN]
            begin = end + (end < len(old) and old[end] == inode)
            if inode not in self._unsure:
                inodes.append(inode)
                known += _row(self._new, self._places[inode])
        return inodes + old[begin:], known + rows[begin * _KNOWN :]


def _look(status: os.stat_result) -> bytes:
    return _LOOK.pack(status.st_size, status.st_mtime_ns & _MODULO, status.st_ctime_ns & _MODULO)


def _row(rows: bytes | bytearray, place: int) -> bytes | bytearray:
    return rows[place * _KNOWN : (place + 1) * _KNOWN]


def _digest(rows: bytes | bytearray, place: int, status: os.stat_result) -> bytes | None:
    """What is known there, if it is of a file that looks like this."""
    row = _row(rows, place)
    return bytes(row[_LOOK.size :]) if row[: _LOOK.size] == _look(status) else None


def is_of(store: Store, directory: str) -> bool:
    """Whether a directory is one of the store's own: what came to the engine, and nobody writes to."""
    return os.path.realpath(directory).startswith(f"{os.path.realpath(store.root)}/")


def _read(path: str) -> tuple["array[int]", bytes]:
    """What was kept, inodes and rows; nothing where it is not there or not of this format."""
    inodes = array("Q")
    try:
        with open(path, "rb") as file:
            head, size = file.read(len(_FORMAT)), os.fstat(file.fileno()).st_size - len(_FORMAT)
            if head != _FORMAT or size % (_INODE + _KNOWN):
                return inodes, b""
            inodes.fromfile(file, size // (_INODE + _KNOWN))
            rows = file.read()
        os.utime(path)
    except (OSError, EOFError):
        return array("Q"), b""
    return (inodes, rows) if len(rows) == len(inodes) * _KNOWN else (array("Q"), b"")


def _write(path: str, inodes: "array[int]", rows: bytes | bytearray) -> None:
    with open(path, "wb") as file:
        file.write(_FORMAT)
        file.write(inodes)
        file.write(rows)


def _trim(directory: str) -> None:
    """Forget the contexts that were not built for longest, where all take too much."""
    with os.scandir(directory) as entries:
        kept = sorted(((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in entries), reverse=True)
    size = 0
    for _, bytes_, path in kept:
        size += bytes_
        if size > _MOST_KEPT:
            os.unlink(path)
