"""Content by digest, as in an OCI image layout (image-spec 1.1, image-layout.md, "Blobs").

A blob is written aside, hashed while it is written, synced, and only then renamed to its digest: whatever bears a
digest's name is whole and on the disk. Who writes several blobs need not wait for each (``BlobWriter.commit_soon``),
but for all of them (``Blobs.sync``) before a record says that they are there. The rename needs no lock, since two
writers of one digest write the same bytes. The store's lock, held shared by each writer, keeps the collector away from
files that are being written; it does not keep a blob alive that no record refers to (see ``Store.writing``).
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import BinaryIO, Self

from kist.errors import Corrupt, InvalidInput, NotFound
from kist.spec.digest import Digest
from kist.store import directories
from kist.store.failures import reported
from kist.store.hashing import Hasher
from kist.store.locks import StoreLock
from kist.store.unsynced import Unsynced

READ_LIMIT = 4 << 20
_CHUNK = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}\Z")


class BlobWriter:
    """One blob being written; a context manager that discards what was not committed."""

    def __init__(self, blobs: "Blobs", expected: Digest | None) -> None:
        self._blobs = blobs
        self._expected = expected
        self._hasher = Hasher()
        self._holding = ExitStack()
        self._digest: Digest | None = None
        self.size = 0
        with reported("write blob"):
            self._holding.enter_context(blobs.lock.shared())
            self._fd, self.path = tempfile.mkstemp(prefix="blob-", dir=blobs.temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, data: bytes | memoryview) -> int:
        """Add ``data``, which nobody may change any more: it is hashed in another thread.

        Raises:
            Unavailable: the disk is full.
        """
        with reported("write blob"):
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        self._hasher.update(data)
        self.size += len(data)
        return len(data)

    def finish(self) -> Digest:
        """No more will be written: the digest of it all. ``reader`` gives it from now on.

        Raises:
            Corrupt: it is not the expected one.
        """
        if self._digest is None:
            self._digest = self._hasher.digest()
            if self._expected is not None and self._expected != self._digest:
                raise Corrupt(
                    f"blob {self._expected} does not match its digest: the content has {self._digest}",
                    hint="the data was damaged on its way; fetch it again",
                )
        return self._digest

    def reader(self) -> BinaryIO:
        """A file to read the content from, after ``finish``, while another thread may ``commit``."""
        try:
            return open(self.path, "rb", buffering=0)
        except FileNotFoundError:
            return self._blobs.open(self.finish())

    def commit(self) -> tuple[Digest, int]:
        """Make the blob durable and visible; its digest and size in bytes."""
        digest = self.finish()
        target = self._blobs.path(digest)
        with reported("write blob"):
            if not os.path.exists(target):
                os.fsync(self._fd)
                os.rename(self.path, target)
                directories.sync(os.path.dirname(target))
        self._blobs.unsynced.wait((digest,))
        self.close()
        return digest, self.size

    def commit_soon(self) -> tuple[Digest, int]:
        """The same without waiting for the disk: the blob is visible at once, and a crash leaves nothing of it.

        It is durable after ``Blobs.sync``.
        """
        digest = self.finish()
        if digest in self._blobs:
            self.close()
            return digest, self.size
        with reported("write blob"):
            self._blobs.unsynced.put(self.path, digest)
        file, self._fd = self._fd, -1
        held, blobs = self._holding.pop_all(), self._blobs

        def sync() -> None:
            with held, reported("write blob"):
                try:
                    blobs.bring_home(digest, file)
                finally:
                    os.close(file)

        blobs.unsynced.take(digest, sync)
        return digest, self.size

    def close(self) -> None:
        """Let go of the file, and remove it where it was not committed. Harmless when done twice."""
        if self._fd < 0:
            return
        self._hasher.abandon()
        os.close(self._fd)
        self._fd = -1
        if os.path.lexists(self.path):
            os.unlink(self.path)
        self._holding.close()


class Blobs:
    """The blobs of one data root.

    Args:
        directory: the layout's ``blobs``.
        temporary: a directory on the same file system, for what is being written.
        lock: the store's.
    """

    def __init__(self, directory: str, temporary: str, lock: StoreLock) -> None:
        self.directory = directory
        self.temporary = temporary
        self.lock = lock
        self.unsynced = Unsynced(f"{os.path.dirname(directory)}/unsynced")

    def writer(self, expected: Digest | None = None) -> BlobWriter:
        """A new blob; ``expected`` makes its commit fail with ``Corrupt`` when the content has another digest."""
        if expected is not None:
            _sha256(expected)
        return BlobWriter(self, expected)

    def put(self, data: bytes, *, soon: bool = False) -> Digest:
        """Keep ``data``; its digest. ``soon``: as ``BlobWriter.commit_soon`` does."""
        if (known := Digest.of(data)) in self:
            if not soon:
                self.sync((known,))
            return known
        with self.writer() as writer:
            writer.write(data)
            return (writer.commit_soon() if soon else writer.commit())[0]

    def sync(self, digests: Iterable[Digest]) -> None:
        """Wait until these blobs, as far as they are here, are in their places.

        Raises:
            Unavailable: the disk was full when one of them was synced.
        """
        wanted = tuple(digests)
        self.unsynced.wait(wanted)
        with reported("write blob"):
            for digest in wanted:  # of a process that was killed, or is at it still
                with suppress(FileNotFoundError), open(self.unsynced.path(digest), "rb") as file:
                    self.bring_home(digest, file.fileno())
        for digest in wanted:
            failure = self.unsynced.failure(digest)
            if failure is not None and not os.path.exists(self.path(digest)):
                raise failure

    def bring_home(self, digest: Digest, file: int) -> None:
        """Sync a blob that lies aside, and give it its name; it is nowhere afterwards where that fails."""
        aside = self.unsynced.path(digest)
        try:
            os.fsync(file)
            os.rename(aside, self.path(digest))
            directories.sync(f"{self.directory}/sha256")
        except FileNotFoundError:
            if not os.path.exists(self.path(digest)):  # else somebody else has done so
                raise
        except BaseException:
            # Not to be synced once more: the kernel tells of a failure once, and takes what was lost for written.
            with suppress(FileNotFoundError):
                os.unlink(aside)
            raise

    def close(self) -> None:
        """Wait for what is being synced."""
        self.unsynced.close()

    def path(self, digest: Digest) -> str:
        """Where the blob is once it is synced, or would be."""
        return f"{self.directory}/{digest.algorithm}/{digest.hex}"

    def open(self, digest: Digest) -> BinaryIO:
        """The blob's bytes, unbuffered and not verified: who reads all of them can hash them.

        Raises:
            NotFound: there is no such blob.
        """
        try:
            with reported("read blob"):
                for path in (self.path(digest), self.unsynced.path(digest)):
                    with suppress(FileNotFoundError):
                        return open(path, "rb", buffering=0)
                return open(self.path(digest), "rb", buffering=0)  # it may have come to its place just now
        except Exception as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise NotFound(f"blob {digest} is missing", hint="load or build the image again") from error
            raise

    def read(self, digest: Digest, limit: int = READ_LIMIT) -> bytes:
        """The whole blob, verified.

        Raises:
            NotFound: there is no such blob.
            Corrupt: its content has another digest.
            InvalidInput: it is larger than ``limit`` bytes.
        """
        with self.open(digest) as file:
            data = _read_all(file, limit + 1)
        if len(data) > limit:
            raise InvalidInput(f"blob {digest} is larger than {limit} bytes")
        _check(digest, hashlib.new(digest.algorithm, data).hexdigest())
        return data

    def size(self, digest: Digest) -> int:
        """Its size in bytes; ``NotFound`` as for ``open``."""
        with self.open(digest) as file:
            return os.fstat(file.fileno()).st_size

    def strays(self) -> tuple[str, ...]:
        """Paths beside the blobs that are none."""
        above = [f"{self.directory}/{name}" for name in os.listdir(self.directory) if name != "sha256"]
        names = os.listdir(f"{self.directory}/sha256")
        return (*above, *(f"{self.directory}/sha256/{name}" for name in names if not _HEX.match(name)))

    def sizes_on_disk(self) -> dict[Digest, int]:
        """What each blob has on the disk, in bytes."""
        found = [
            *directories.blocks(self.unsynced.directory),
            *directories.blocks(f"{self.directory}/sha256"),
        ]
        return {Digest(f"sha256:{name}"): disk for name, disk in found if _HEX.match(name)}

    def verify(self, digest: Digest) -> None:
        """Read it all; ``Corrupt`` when its content has another digest."""
        state = hashlib.new(digest.algorithm)
        with self.open(digest) as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
        _check(digest, state.hexdigest())

    def remove(self, digest: Digest) -> None:
        """Forget it; no complaint when it is not there."""
        with reported("remove blob"):
            for path in (self.unsynced.path(digest), self.path(digest)):
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def list(self) -> tuple[Digest, ...]:
        """All blobs, in no order."""
        unsynced = self.unsynced.list()
        names = os.listdir(f"{self.directory}/sha256")
        return tuple({*unsynced, *(Digest(f"sha256:{name}") for name in names if _HEX.match(name))})

    def __contains__(self, digest: Digest) -> bool:
        # It may come to its place between two looks.
        home = self.path(digest)
        return os.path.exists(home) or os.path.exists(self.unsynced.path(digest)) or os.path.exists(home)


def _sha256(digest: Digest) -> None:
    if digest.algorithm != "sha256":
        raise InvalidInput(f"digest {digest} is not SHA-256", hint="Kist keeps content by SHA-256")


def _check(digest: Digest, found: str) -> None:
    if found != digest.hex:
        raise Corrupt(
            f"blob {digest} is damaged: its content has the digest {digest.algorithm}:{found}",
            hint="remove the image and load, pull or build it again",
        )


def _read_all(file: BinaryIO, limit: int) -> bytes:
    parts = []
    while limit > 0 and (part := file.read(min(limit, _CHUNK))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)
