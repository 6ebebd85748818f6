"""File tree to tar: what a snapshot changed, as a layer (image-spec 1.1, layer.md, "Determining Changes", "Whiteouts").

The same files give the same bytes on every machine: members sorted, numeric owners, whole seconds, no marks of
overlayfs. Hard links stay hard links; sockets are left out, for they mean nothing without their process.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from kist.errors import Unavailable, Unsupported, from_os_error
from kist.image import tar
from kist.image.comparison import Difference, between, differences
from kist.image.filling import Filling, filling_of
from kist.image.nodes import KINDS, entry_of, kept
from kist.image.tar import shown
from kist.image.tarwriter import TarWriter
from kist.image.tree import DEEPEST, is_whiteout
from kist.image.whiteouts import OPAQUE, PREFIX
from kist.kernel import files
from kist.spec.mount import Mount

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What is no FIFO when it is listed may be one when it is opened, and must not be waited for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# overlayfs keeps part of a file's truth below the upper directory when it has left these.
_INCOMPLETE = ("overlay.redirect", "overlay.metacopy")


def is_unchanged(mounts: Sequence[Mount], *, mtime: int | None = None, exact: bool = False) -> bool:
    """Whether an active snapshot is as it was prepared: its root looks the same, and ``diff`` would write nothing."""
    filling = filling_of(mounts)
    if filling.copy_of or (mtime is not None and filling.lowers):
        time = None if mtime is None else _clamped(mtime, exact=exact)
        return _root_is_plain(filling) and next(differences(filling, time), None) is None
    with os.scandir(filling.directory) as entries:
        return next(entries, None) is None and _root_is_plain(filling)


def diff(
    mounts: Sequence[Mount],
    write: Callable[[bytes], object],
    *,
    mtime: int | None = None,
    exact: bool = False,
    moving: bool = False,
) -> int | None:
    """Write the tar of an active snapshot's changes.

    Args:
        mounts: of the snapshot; nobody changes it meanwhile, but for ``moving``.
        write: takes the tar's bytes, in order.
        mtime: times later than this (seconds since the epoch) become this, in the tar and in the snapshot itself, so
            that both go on being the same.
        exact: so do earlier ones. With ``mtime`` the layer is the same on every storage: an overlay's files that were
            written again as they were are left out, too.
        moving: somebody goes on writing to it: what is gone when its turn comes is left out.

    Returns:
        The bytes of the snapshot's own regular files; None where not all of them are in the tar.

    Raises:
        Unsupported: overlayfs has left a file's content or place to a lower layer (redirect_dir, metacopy), or
            directories are nested too deep.
        Unavailable: a file became shorter while it was read.
    """
    filling = filling_of(mounts)
    try:
        root = os.open(filling.directory, _DIRECTORY)
        try:
            walk = _Walk(
                TarWriter(write), filling.opaque if filling.lowers else None, mtime, moving=moving, exact=exact
            )
            if not _root_is_plain(filling):
                walk.root(root)
            whole = not filling.copy_of and (mtime is None or not filling.lowers)
            if whole:
                walk.directory(root, b"")
            else:
                walk.differences(filling)
            walk.close()
        finally:
            os.close(root)
    except OSError as error:
        raise from_os_error(error, "read the snapshot's changes") from error
    return walk.size if whole else None


def diff_trees(now: int, before: int | None, write: Callable[[bytes], object], *, mtime: int | None = None) -> bool:
    """Write the tar of what makes one tree of another, as ``diff`` does; nobody changes them meanwhile.

    Args:
        now: a descriptor of the tree's root.
        before: of what it is to be laid over; None for an empty tree.
        write: takes the tar's bytes, in order.
        mtime: times later than this (seconds since the epoch) become this in the tar.

    Returns:
        Whether there is a difference at all.

    Raises:
        Unsupported: directories are nested too deep.
    """
    try:
        walk = _Walk(TarWriter(write), None, mtime, moving=False, writes_times=False)
        mine = os.fstat(now)
        plain = (os.geteuid(), os.getegid(), stat.S_IFDIR | 0o755)
        below = os.fstat(before) if before is not None else None
        looked = plain if below is None else (below.st_uid, below.st_gid, below.st_mode)
        differs = (mine.st_uid, mine.st_gid, mine.st_mode) != looked
        if differs:
            walk.root(now)
        differs |= walk.trees(now, before)
        walk.close()
    except OSError as error:
        raise from_os_error(error, "read the layers' files") from error
    return differs


class _Walk:
    """One pass over an upper directory.

    Args:
        writer: gets the archive.
        opaque: the mark that hides what is below a directory; None where there is nothing below.
        mtime, moving, exact: as for ``diff``.
        writes_times: give files the times that they have in the archive.

    Attributes:
        size: bytes of the regular files that were written, those with several names once.
    """

    def __init__(
        self,
        writer: TarWriter,
        opaque: str | None,
        mtime: int | None,
        *,
        moving: bool,
        exact: bool = False,
        writes_times: bool = True,
    ) -> None:
        self._writer = writer
        self._writes_times = writes_times
        self._opaque = opaque
        self._clamp = None if mtime is None else _clamped(mtime, exact=exact)
        self._moving = moving
        # Members are opened before anything of them is written: the archive is whole without one that is gone.
        self._left_out: AbstractContextManager[object] = (
            suppress(FileNotFoundError, NotADirectoryError) if moving else nullcontext()
        )
        self._links: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def root(self, directory: int) -> None:
        """The root's own attributes."""
        self._start_directory(directory, b"./")

    def directory(self, directory: int, prefix: bytes) -> None:
        """Everything in an open directory whose path is ``prefix``."""
        if prefix and self._opaque is not None and os.fsencode(self._opaque) in _xattr_names(directory):
            self._writer.file(prefix + OPAQUE, b"")
        members = []
        for text in os.listdir(directory):
            name = os.fsencode(text)
            with self._left_out:
                status = os.lstat(name, dir_fd=directory)
                members.append((PREFIX + name if is_whiteout(status) else name, name, status))
        for written, name, status in sorted(members, key=lambda member: member[0]):
            if written is not name:
                if self._opaque is not None:
                    self._writer.file(prefix + written, b"")
            elif name.startswith(PREFIX):
                raise _unsayable(prefix + name)
            else:
                with self._left_out:
                    self._member(directory, name, prefix + name, status)

    def differences(self, filling: Filling) -> None:
        """Everything that is not as in the tree that this one began as a copy of."""
        self._differences(differences(filling, self._clamp))

    def trees(self, now: int, before: int | None) -> bool:
        """Everything that is not as in another tree; whether there was something."""
        if before is None:
            self.directory(now, b"")
            return bool(os.listdir(now))
        return self._differences(between(now, before))

    def _differences(self, found_all: Iterable[Difference]) -> bool:
        found = None
        for found in found_all:
            prefix = found.path[: -len(found.name)]
            if found.kind == "gone":
                self._writer.file(prefix + PREFIX + found.name, b"")
                continue
            if found.name.startswith(PREFIX):
                raise _unsayable(found.path)
            with self._left_out:
                if stat.S_ISDIR(found.status.st_mode):
                    directory = os.open(found.name, _DIRECTORY, dir_fd=found.parent)
                    try:
                        self._start_directory(directory, found.path + b"/")
                    finally:
                        os.close(directory)
                else:
                    self._member(found.parent, found.name, found.path, found.status)
        return found is not None

    def close(self) -> None:
        """End the archive."""
        self._writer.close()

    def _member(self, parent: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        if kind is tar.DIRECTORY:
            if path.count(b"/") >= DEEPEST:
                raise Unsupported(f"{shown(path[:60])}… is nested deeper than {DEEPEST} directories")
            directory = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                self._start_directory(directory, path + b"/")
                self.directory(directory, path + b"/")
            finally:
                os.close(directory)
            return
        first = self._links.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if first is not None:
            self._writer.add(entry_of(path, tar.HARD_LINK, status, mtime=self._time(status), link=first))
        elif kind is tar.REGULAR:
            self._file(parent, name, path, status)
        else:
            self._node(parent, name, path, status, kind)

    def _node(self, parent: int, name: bytes, path: bytes, status: os.stat_result, kind: bytes) -> None:
        link = os.readlink(name, dir_fd=parent) if kind is tar.SYMBOLIC_LINK else b""
        xattrs = dict(kept(files.xattrs_at(parent, name)))
        self._writer.add(entry_of(path, kind, status, mtime=self._time(status), link=link, xattrs=xattrs))
        self._note_name(path, status)
        if self._is_late(status):
            self._set_time(status, lambda ns: os.utime(name, ns=ns, dir_fd=parent, follow_symlinks=False))

    def _file(self, parent: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        file = os.open(name, _FILE, dir_fd=parent)
        try:
            if self._moving:
                status = os.fstat(file)  # another file may have the name by now
                if not stat.S_ISREG(status.st_mode):
                    raise FileNotFoundError(errno.ENOENT, "is no regular file any more", name)
            entry = entry_of(path, tar.REGULAR, status, mtime=self._time(status), xattrs=_xattrs(file, path))
            self._writer.add(entry)
            self._note_name(path, status)
            left = entry.size
            self.size += left
            while left:
                data = os.read(file, min(left, _CHUNK))
                if not data:
                    raise Unavailable(f"{shown(path)} became shorter while it was read")
                self._writer.data(data)
                left -= len(data)
            self._writer.pad(entry.size)
            if self._is_late(status):
                self._set_time(status, lambda ns: os.utime(file, ns=ns))
        finally:
            os.close(file)

    def _note_name(self, path: bytes, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            self._links.setdefault((status.st_dev, status.st_ino), path)

    def _start_directory(self, directory: int, path: bytes) -> None:
        status = os.fstat(directory)
        xattrs = _xattrs(directory, path)
        self._writer.add(entry_of(path, tar.DIRECTORY, status, mtime=self._time(status), xattrs=xattrs))
        if self._is_late(status):
            self._set_time(status, lambda ns: os.utime(directory, ns=ns))

    def _time(self, status: os.stat_result) -> int:
        return status.st_mtime_ns if self._clamp is None else self._clamp(status)

    def _is_late(self, status: os.stat_result) -> bool:
        return self._writes_times and self._time(status) != status.st_mtime_ns

    def _set_time(self, status: os.stat_result, setter: Callable[[tuple[int, int]], None]) -> None:
        setter((status.st_atime_ns, self._time(status)))


def _clamped(mtime: int, *, exact: bool) -> Callable[[os.stat_result], int]:
    """What becomes of a file's time, in nanoseconds."""
    limit = mtime * 1_000_000_000
    return lambda status: limit if exact else min(status.st_mtime_ns, limit)


def _unsayable(path: bytes) -> Unsupported:
    return Unsupported(f"{shown(path)}: a layer cannot hold a file whose name begins with '.wh.'")


def _root_is_plain(filling: Filling) -> bool:
    """Whether the snapshot's root looks like the one below, or like a new directory of root's."""
    mine = os.stat(filling.directory)
    lowers = filling.lowers or ((filling.copy_of,) if filling.copy_of else ())
    if not lowers:
        return (mine.st_uid, mine.st_gid, stat.S_IMODE(mine.st_mode)) == (os.geteuid(), os.getegid(), 0o755)
    below = os.stat(lowers[0])
    return (mine.st_uid, mine.st_gid, mine.st_mode) == (below.st_uid, below.st_gid, below.st_mode)


def _xattr_names(file: int) -> list[bytes]:
    return [os.fsencode(name) for name in files.xattr_names(file)]


def _xattrs(file: int, path: bytes) -> dict[str, bytes]:
    if not (found := files.xattrs_of(file)):
        return found
    if any(name.endswith(_INCOMPLETE) for name in found):
        raise Unsupported(
            f"{shown(path)}: overlayfs keeps a part of it below (redirect_dir or metacopy is on)",
            hint="turn them off: echo N > /sys/module/overlay/parameters/redirect_dir (and metacopy)",
        )
    return dict(kept(found))
