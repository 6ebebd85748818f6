"""Package files and lists, kept by their SHA-256 under the data root and shared by all bootstraps.

A file becomes visible under its hash only when all of it has been written and has that hash. Nothing trusts what lies
there without hashing it once more, so a torn or changed file costs a download and nothing else. Several bootstraps,
in several processes, may use a cache at once without a lock: equal names mean equal bytes, and a rename is atomic.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_PART = ".part-"


class PackageCache:
    """The cache in the directory ``root``, made when it is first needed.

    Args:
        limit: bytes that ``trim`` leaves; None for all.
    """

    def __init__(self, root: str, *, limit: int | None = None) -> None:
        self._root = root
        self._limit = limit
        os.makedirs(self._content, exist_ok=True)
        os.makedirs(self._releases, exist_ok=True)

    @property
    def _content(self) -> str:
        return os.path.join(self._root, "sha256")

    @property
    def _releases(self) -> str:
        return os.path.join(self._root, "release")

    def path(self, sha256: str) -> str:
        """Where the file of this hash is, or would be."""
        return os.path.join(self._content, sha256)

    def holds(self, sha256: str) -> bool:
        """Whether the file is here and has its hash; a damaged one is removed. Marks the file as used."""
        path = self.path(sha256)
        try:
            with open(path, "rb") as file:
                sound = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            return False
        with suppress(FileNotFoundError):
            if not sound:
                os.unlink(path)
            else:
                os.utime(path)
        return sound

    def read(self, sha256: str) -> bytes:
        """The bytes of a file that ``holds`` has found."""
        with open(self.path(sha256), "rb") as file:
            return file.read()

    @contextmanager
    def writing(self, sha256: str) -> Iterator[BinaryIO]:
        """A file to fill; it takes its place when the block ends without an error. The caller verifies the bytes."""
        with _aside(self._content, self.path(sha256)) as file:
            yield file

    def release(self, url: str) -> tuple[bytes, str]:
        """The Release file last seen at ``url`` and its Last-Modified text, both empty when there is none."""
        try:
            with open(self._release_path(url), "rb") as file:
                modified, _, data = file.read().partition(b"\n")
        except FileNotFoundError:
            return b"", ""
        return data, modified.decode()

    def keep_release(self, url: str, data: bytes, modified: str) -> None:
        """Remember a Release file, which is verified again whenever it is read."""
        with _aside(self._releases, self._release_path(url)) as file:
            file.write(modified.encode() + b"\n" + data)

    def _release_path(self, url: str) -> str:
        return os.path.join(self._releases, hashlib.sha256(url.encode()).hexdigest())

    def trim(self) -> None:
        """Remove what was used longest ago, until the rest fits the limit."""
        if self._limit is None:
            return
        entries = [(entry.stat(), entry.path) for entry in os.scandir(self._content)]
        total = sum(stat.st_size for stat, _ in entries)
        for stat, path in sorted(entries, key=lambda entry: entry[0].st_mtime_ns):
            if total <= self._limit:
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
            total -= stat.st_size


@contextmanager
def _aside(directory: str, target: str) -> Iterator[BinaryIO]:
    descriptor, part = tempfile.mkstemp(prefix=_PART, dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        os.replace(part, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise
