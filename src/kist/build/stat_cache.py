"""Digests of a directory's files, kept from build to build with what stat(2) told of the files: the stat cache.

A file whose size, times of change, device and inode are the same is not read again. Git's rule for its index holds: a
file that was changed just before it was read could be changed once more without its times telling it, so it is not
kept (it is read again by the next build). And only file systems of this machine are believed: another one's clock may
go wrong, and its attributes may be old.
"""

import contextlib
import hashlib
import os
import time
from typing import Self

import msgspec

from kist.errors import KistError
from kist.kernel import marks
from kist.store import Store

# A file system's times may be as coarse as that, in nanoseconds (ext3's inodes have whole seconds).
_GRANULE = 2_000_000_000
# By the numbers of statfs(2): bcachefs, btrfs, ext2 to ext4, f2fs, overlay, tmpfs, xfs, zfs.
_LOCAL = frozenset({0xCA451A4E, 0x9123683E, 0xEF53, 0xF2F52010, 0x794C7630, 0x01021994, 0x58465342, 0x2FC12FC1})
_FORMAT = "kist stat cache 1"
_MOST_FILES = 1_000_000
_MOST_KEPT = 256 << 20  # bytes, of all contexts; the longest unused go

Known = tuple[int, int, int, int, bytes]
"""Size in bytes, mtime and ctime in nanoseconds, inode; the digest."""


class _Saved(msgspec.Struct, array_like=True):
    format: str
    files: dict[bytes, Known]


class StatCache:
    """What is known of the files of one directory. Safe from many threads.

    Args:
        path: where it is kept; empty to know files only as long as this object lives.
        device: that the files are on; others below the directory are not kept.
    """

    def __init__(self, path: str = "", device: int = -1) -> None:
        self._path = path
        self._device = device
        self._old: dict[bytes, Known] = _read(path) if path else {}
        self._seen: dict[bytes, Known] = {}
        self._unsure: set[bytes] = set()
        self._changed = False

    @classmethod
    def of(cls, store: Store, directory: str) -> Self:
        """That of a build's context; what came to the engine is in a new directory, of which nothing can be kept."""
        status = os.stat(directory)
        real = os.path.realpath(directory)
        if is_of(store, directory) or marks.magic(directory) not in _LOCAL:
            return cls()
        name = hashlib.sha256(f"{real}\0{status.st_dev}\0{status.st_ino}".encode(errors="surrogateescape")).hexdigest()
        return cls(f"{store.root}/cache/contexts/{name}", status.st_dev)

    @property
    def has_any(self) -> bool:
        """Whether any file is known."""
        return bool(self._seen or self._old)

    def get(self, path: bytes, status: os.stat_result) -> bytes | None:
        """The digest of the file at this path, if it is the one that is known."""
        known = self._seen.get(path) or self._old.get(path)
        if known is None or known[:4] != (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino):
            return None
        self._seen[path] = known
        return known[4]

    def put(self, path: bytes, status: os.stat_result, digest: bytes) -> None:
        """Know a file's digest: ``status`` is from before it was read."""
        self._seen[path] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, digest)
        self._changed = True
        young = max(status.st_mtime_ns, status.st_ctime_ns) > time.time_ns() - _GRANULE
        if young or status.st_dev != self._device:
            self._unsure.add(path)
        else:
            self._unsure.discard(path)

    def save(self, store: Store) -> None:
        """Keep what is known for the next build; where that cannot be, it will read the files again."""
        if not self._path or not self._changed:
            return
        seen = {path: known for path, known in self._seen.items() if path not in self._unsure}
        # Files that this build has not looked at stay known, unless most of them seem to be gone.
        files = {**self._old, **seen} if len(self._old) <= 2 * len(self._seen) else seen
        for path in self._unsure:
            files.pop(path, None)
        if len(files) > _MOST_FILES or files == self._old:
            return
        with contextlib.suppress(KistError, OSError), store.temporary() as aside:
            written = os.path.join(aside, "stat-cache")
            with open(written, "wb") as file:
                file.write(msgspec.msgpack.encode(_Saved(_FORMAT, files)))
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            os.replace(written, self._path)
            _trim(os.path.dirname(self._path))


def is_of(store: Store, directory: str) -> bool:
    """Whether a directory is one of the store's own: what came to the engine, and nobody writes to."""
    return os.path.realpath(directory).startswith(f"{os.path.realpath(store.root)}/")


def _read(path: str) -> dict[bytes, Known]:
    """What was kept; nothing where it is not there or not of this format."""
    try:
        with open(path, "rb") as file:
            saved = msgspec.msgpack.decode(file.read(), type=_Saved)
        os.utime(path)
    except (OSError, msgspec.DecodeError):
        return {}
    return saved.files if saved.format == _FORMAT else {}


def _trim(directory: str) -> None:
    """Forget the contexts that were not built for longest, where all take too much."""
    with os.scandir(directory) as entries:
        kept = sorted(((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in entries), reverse=True)
    size = 0
    for _, bytes_, path in kept:
        size += bytes_
        if size > _MOST_KEPT:
            os.unlink(path)
