"""File tree to tar as it stands: what ``cp`` and ``export`` send, from a tree that its owner may change meanwhile.

Each entry is held by a descriptor (O_PATH, links not followed) before it is looked at, and what is read is that very
entry: a link or a device that is put in its place in between is never followed or opened. What vanishes is left out.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress

from kist.errors import Unavailable, Unsupported, from_os_error
from kist.image import tar
from kist.image.nodes import KINDS, entry_of, kept
from kist.image.tar import Entry, shown
from kist.image.tarwriter import TarWriter
from kist.image.tree import DEEPEST
from kist.kernel import copying, paths

_CHUNK = 1 << 20
_BLOCK = 512  # of ``st_blocks``
_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Owners = Callable[[int, int], tuple[int, int]]


def same_owners(uid: int, gid: int) -> tuple[int, int]:
    """Ids as they are."""
    return uid, gid


class Packer:
    """Writes trees into one archive.

    Args:
        write: takes the tar's bytes, in order.
        owners: what the tar says for a uid and gid on the disk.
        closed: device numbers of file systems whose mount points are written as empty directories.
        sparse: holes of files are left out (GNU's format 1.0, which not everybody reads).
        mtime: the time of all files, in nanoseconds since the epoch; by default each has its own.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        owners: Owners = same_owners,
        closed: frozenset[int] = frozenset(),
        sparse: bool = False,
        mtime: int | None = None,
    ) -> None:
        self._sparse = sparse
        self._mtime = mtime
        self._writer = TarWriter(write)
        self._owners = owners
        self._closed = closed
        self._links: dict[tuple[int, int], bytes] = {}

    def held(self, held: int, path: bytes) -> None:
        """Write what a descriptor (O_PATH, links not followed) holds, and what is below it, as ``path``.

        Raises:
            Unsupported: directories are nested too deep.
            Unavailable: a file became shorter while it was read.
        """
        self._entry(held, path, os.fstat(held).st_dev)

    def contents(self, directory: int, path: bytes) -> None:
        """Write everything that is in an open directory, with names that begin with ``path``."""
        device = os.fstat(directory).st_dev
        for name in sorted(map(os.fsencode, os.listdir(directory))):
            with suppress(FileNotFoundError):
                held = os.open(name, _HOLD, dir_fd=directory)
                try:
                    self._entry(held, path + name, device)
                finally:
                    os.close(held)

    def directory(self, directory: int, path: bytes) -> None:
        """Write an open directory as ``path`` (with its slash), and everything in it."""
        status = os.fstat(directory)
        entry = self._described(path, tar.DIRECTORY, status, xattrs=_xattrs(directory))
        self._writer.add(entry)
        self.contents(directory, path)

    def close(self) -> None:
        """End the archive."""
        self._writer.close()

    def _entry(self, held: int, path: bytes, device: int) -> None:
        status = os.fstat(held)
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:  # a socket means nothing without its process
            return
        if kind is tar.DIRECTORY:
            self._directory(held, path + b"/", status, entered=status.st_dev != device)
            return
        if status.st_nlink > 1:
            first = self._links.setdefault((status.st_dev, status.st_ino), path)
            if first is not path:
                self._writer.add(self._described(path, tar.HARD_LINK, status, link=first))
                return
        if kind is tar.REGULAR:
            self._file(held, path, status)
            return
        link = os.readlink(b"", dir_fd=held) if kind is tar.SYMBOLIC_LINK else b""
        self._writer.add(self._described(path, kind, status, link=link))

    def _directory(self, held: int, path: bytes, status: os.stat_result, *, entered: bool) -> None:
        if entered and status.st_dev in self._closed:
            self._writer.add(self._described(path, tar.DIRECTORY, status))
            return
        if path.count(b"/") > DEEPEST:
            raise Unsupported(f"{shown(path[:60])}… is nested deeper than {DEEPEST} directories")
        directory = os.open(".", _DIRECTORY, dir_fd=held)
        try:
            self.directory(directory, path)
        finally:
            os.close(directory)

    def _file(self, held: int, path: bytes, status: os.stat_result) -> None:
        file = paths.reopen(held, os.O_RDONLY)
        try:
            entry = self._described(path, tar.REGULAR, status, xattrs=_xattrs(file))
            segments = [(0, status.st_size)]
            if self._sparse and status.st_blocks * _BLOCK < status.st_size:
                segments = copying.segments(file, status.st_size)
            if segments == [(0, status.st_size)]:
                self._writer.add(entry)
                stored = status.st_size
            else:
                stored = self._writer.add_sparse(entry, segments)
            for begin, length in segments:
                self._content(file, path, begin, length)
            self._writer.pad(stored)
        finally:
            os.close(file)

    def _content(self, file: int, path: bytes, begin: int, left: int) -> None:
        os.lseek(file, begin, os.SEEK_SET)
        while left:
            data = os.read(file, min(left, _CHUNK))
            if not data:
                raise Unavailable(
                    f"{shown(path)} became shorter while it was read", hint="pause or stop the container meanwhile"
                )
            self._writer.data(data)
            left -= len(data)

    def _described(
        self,
        path: bytes,
        kind: bytes,
        status: os.stat_result,
        *,
        link: bytes = b"",
        xattrs: dict[str, bytes] | None = None,
    ) -> Entry:
        owner = self._owner(status)
        return entry_of(path, kind, status, owner=owner, mtime=self._mtime, link=link, xattrs=xattrs)

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        return self._owners(status.st_uid, status.st_gid)


def _xattrs(file: int) -> dict[str, bytes]:
    """What the file has of its own; nothing where the file system has none, or where it was changed just now."""
    try:
        return dict(kept({name: os.getxattr(file, name) for name in os.listxattr(file)}))
    except OSError:
        return {}


def export_directory(directory: int, write: Callable[[bytes], object], doing: str) -> None:
    """Write the tar of an open directory: itself as ``./``, and what is in it, with holes left out.

    Args:
        directory: its descriptor, which the caller keeps.
        write: takes the tar's bytes, in order.
        doing: for errors: ``export the volume NAME``.

    Raises:
        BrokenPipeError: whoever reads it went away.
        KistError: it cannot be read.
    """
    try:
        packer = Packer(write, sparse=True)
        packer.directory(directory, b"./")
        packer.close()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise from_os_error(error, doing) from error
