"""Members of a tar to files, with as few system calls for each as it takes.

A regular file is one open, one write (or a few), one utimensat, one close; owner and mode are changed only where they
are not born right. Attributes of directories are set at the end, when nothing is made in them any more.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import msgspec

from kist.errors import Conflict, Corrupt, Forbidden, InvalidInput, KistError
from kist.image import tar
from kist.image.deletions import Deletions
from kist.image.earlier import Content, Earlier, Same
from kist.image.nodes import CREATE, copy_up, directory_like, kept, make_node, set_directory, write, write_segments
from kist.image.pretence import keep, keep_at, pretended, without
from kist.image.tar import Entry, TarReader, shown
from kist.image.tree import Tree, components, is_whiteout, remove_at, remove_unmounted, status_at
from kist.image.whiteouts import PREFIX, Whiteouts
from kist.kernel import files
from kist.kernel.userns import Ids

_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_NO_NAMES = frozenset({b"", b".", b".."})
_OF_THE_ENTRY = frozenset({
    errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.ENOENT, errno.EEXIST,
    errno.ERANGE, errno.E2BIG, errno.EOPNOTSUPP, errno.EMLINK, errno.EFBIG,
})  # fmt: skip


class Manner(msgspec.Struct, frozen=True):
    """How an archive is put into a tree that somebody uses.

    Attributes:
        owners: the ids on the disk for the uid and gid of a member.
        keep_kinds: refuse to replace a directory by something else, or the other way round.
        within: see ``Tree``.
        acts_as: the ids on the disk for root's, where they are others.
        harmless: no more is made than the tree's own root could make: no devices, none of the kernel's attributes.
    """

    owners: Callable[[int, int], tuple[int, int]]
    keep_kinds: bool = False
    within: tuple[int, str] | None = None
    acts_as: tuple[int, int] = (0, 0)
    harmless: bool = False


class Unpacker:
    """Unpacks members below ``root``; a context manager.

    Args:
        root: path or descriptor of the directory.
        what: the archive in messages.
        whiteouts: for a layer, what deletions do; None takes them as plain files.
        fresh: the directory was empty and is ours, and the thread has no umask: files are born with their mode.
        devices: whether device nodes may be made.
        manner: how members of a tree that somebody uses are put into it; None for a tree of our own.
        ids: those that files can be of, where these are not all (``kist.image.pretence``).
        earlier: has files that may be the same, and is told what becomes of each.
    """

    def __init__(
        self,
        root: str | int,
        what: str,
        *,
        whiteouts: Whiteouts | Deletions | None,
        fresh: bool,
        devices: bool = True,
        manner: Manner | None = None,
        ids: Ids | None = None,
        earlier: Earlier | None = None,
    ) -> None:
        self._what = what
        self._earlier = earlier
        self._ids = ids
        self._whiteouts = whiteouts
        self._fresh = fresh
        self._devices = devices
        self._owner = (os.geteuid(), os.getegid())
        self._directories: dict[tuple[bytes, ...], Entry] = {}
        # Directories of the layers below, by device and inode: what they were like keeps their time, whatever is made
        # in them. Links may lead to one from several paths.
        self._times: dict[tuple[int, int], tuple[tuple[bytes, ...], os.stat_result]] = {}
        self._resources = ExitStack()
        self._manner = manner
        within = manner.within if manner is not None else None
        gives_way = whiteouts.is_below if isinstance(whiteouts, Deletions) else None
        self._tree = self._resources.enter_context(Tree(root, self._make_implicit, within, gives_way))
        self._head: bytes | None = None  # the last member's directory as it was written,
        self._parent = -1  # and its descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def add(self, entry: Entry, reader: TarReader) -> None:
        """Make the file that a member is; ``reader`` stands at its content.

        Raises:
            InvalidInput, Corrupt: the member is refused; the message names it.
            OSError: ENOSPC and other troubles of the machine.
        """
        try:
            entry = pretended(entry, self._ids) if self._ids is not None else without(entry)
            self._add(entry if self._manner is None else _owned(entry, self._manner), reader)
        except KistError as error:
            raise type(error)(f"{self._what}: {error.message} (member {shown(entry.name)})", hint=error.hint) from error
        except OSError as error:
            raise self._named(error, entry) from error

    def _named(self, error: OSError, entry: Entry) -> OSError | InvalidInput:
        """What went wrong with a member: the member itself is, or the machine."""
        if error.errno in _OF_THE_ENTRY:
            return InvalidInput(f"{self._what}: {shown(entry.name)}: {(error.strerror or '').lower()}")
        if not isinstance(error.filename, str):  # a descriptor's number
            error.filename = shown(entry.name)
        return error

    def finish(self) -> None:
        """Give the directories their attributes."""
        if self._whiteouts is not None:
            self._whiteouts.finish(self._tree.root)
        for identity, (parts, before) in self._times.items():
            directory = self._tree.open(parts)
            if directory is not None:
                try:
                    status = os.fstat(directory)
                    if (status.st_dev, status.st_ino) == identity:
                        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
                finally:
                    os.close(directory)
        self._times.clear()
        for parts, entry in self._directories.items():
            directory = self._tree.open(parts)
            if directory is None:  # a later member took its place
                continue
            try:
                set_directory(directory, entry)
            except OSError as error:
                raise self._named(error, entry) from error
            finally:
                os.close(directory)
        self._directories.clear()

    def _add(self, entry: Entry, reader: TarReader) -> None:
        kind = entry.kind
        head, _, name = entry.name.rpartition(b"/")
        if head == self._head and name not in _NO_NAMES:
            parent = self._parent
        else:
            parts = components(entry.name)
            if not parts:
                self._add_root(entry)
                return
            self._head = None
            self._parent = parent = self._tree.enter(parts[:-1])
            if self._whiteouts is not None and self._whiteouts.in_place:
                status = os.fstat(parent)
                self._times.setdefault((status.st_dev, status.st_ino), (parts[:-1], status))
            if name == parts[-1]:
                self._head = head
            name = parts[-1]
        if name.startswith(PREFIX) and self._whiteouts is not None:
            self._whiteouts.note(components(head))  # a deletion brings the directories on its way
            self._whiteouts.apply(parent, name, components(head))
            return
        if self._whiteouts is not None:
            self._whiteouts.note(components(entry.name))
        if kind is tar.REGULAR:
            self._add_file(parent, name, entry, reader)
        elif kind is tar.DIRECTORY:
            self._add_directory(parent, name, entry)
        elif kind is tar.HARD_LINK:
            self._add_hard_link(parent, name, entry)
        else:
            self._add_node(parent, name, entry)

    def _add_root(self, entry: Entry) -> None:
        if entry.kind is not tar.DIRECTORY:
            raise InvalidInput("the root of the archive is no directory")
        if self._manner is None:  # else the directory is there and stays as it is, as in Docker
            self._directories[()] = entry

    def _add_file(self, parent: int, name: bytes, entry: Entry, reader: TarReader) -> None:
        if self._earlier is None or entry.segments is not None or entry.xattrs:
            self._write_file(parent, name, entry, reader)
            return
        found = self._earlier.look(entry, reader)
        if isinstance(found, Same):
            self._move(found, parent, name, entry)
        else:
            self._write_file(parent, name, entry, reader, found)
            if found.digest is not None:
                self._earlier.note(os.lstat(name, dir_fd=parent), found.digest)

    def _move(self, found: Same, parent: int, name: bytes, entry: Entry) -> None:
        """Take a file that is there; as ever, it takes the place of an earlier member."""
        try:
            os.rename(found.name, name, src_dir_fd=found.directory, dst_dir_fd=parent)
        except IsADirectoryError:
            self._clear(parent, name)
            os.rename(found.name, name, src_dir_fd=found.directory, dst_dir_fd=parent)
        if found.mtime != entry.mtime:
            os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)
        if found.digest is not None and self._earlier is not None:
            self._earlier.note(os.lstat(name, dir_fd=parent), found.digest)

    def _write_file(
        self, parent: int, name: bytes, entry: Entry, reader: TarReader, content: Content | None = None
    ) -> None:
        mode = entry.mode
        try:
            file = os.open(name, CREATE, mode & 0o777, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name)
            file = os.open(name, CREATE, mode & 0o777, dir_fd=parent)
        try:
            if content is not None:
                for chunk in content.chunks:
                    write(file, chunk)
            elif entry.segments is not None:
                write_segments(file, entry, reader.chunks())
            elif (view := reader.content()) is None:
                for chunk in reader.chunks():
                    write(file, chunk)
            elif view:
                write(file, view)
            if not self._fresh or (entry.uid, entry.gid) != self._owner:
                os.fchown(file, entry.uid, entry.gid)
            if not self._fresh or mode & _SPECIAL:
                os.fchmod(file, mode)
            if entry.xattrs:
                for attribute, value in kept(entry.xattrs):
                    keep(file, attribute, value)
            os.utime(file, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(file)

    def _add_directory(self, parent: int, name: bytes, entry: Entry) -> None:
        parts = components(entry.name)
        try:
            os.mkdir(name, 0o700 | entry.mode & 0o777, dir_fd=parent)
        except FileExistsError:
            status = os.lstat(name, dir_fd=parent)
            if not stat.S_ISDIR(status.st_mode):
                self._clear(parent, name, by_directory=True)
                os.mkdir(name, 0o700 | entry.mode & 0o777, dir_fd=parent)
                if self._whiteouts is not None and is_whiteout(status):
                    self._whiteouts.hide_below(self._tree.enter(parts))
            elif self._whiteouts is not None and self._whiteouts.in_place:
                self._forget_attributes(parts)
        self._directories[parts] = entry

    def _forget_attributes(self, parts: tuple[bytes, ...]) -> None:
        """A directory that the layer brings has its attributes, and not those of the one below."""
        directory = self._tree.enter(parts)
        for attribute, _ in kept(files.xattrs_of(directory)):
            os.removexattr(directory, attribute)

    def _add_hard_link(self, parent: int, name: bytes, entry: Entry) -> None:
        target = components(entry.link)
        if target == components(entry.name):
            if self._whiteouts is None and status_at(parent, name) is None:
                raise InvalidInput("a hard link to itself, and nothing is there", hint="make the archive anew")
            return
        source = self._tree.find(target[:-1]) if target else None
        try:
            status = status_at(source, target[-1]) if source is not None else None
            if source is None or status is None or is_whiteout(status):
                self._copy_up(target, entry, hidden=status is not None)
                if source is not None:
                    os.close(source)
                source = self._tree.find(target[:-1])
                parent = self._tree.enter(components(entry.name)[:-1])  # the tree was elsewhere meanwhile
            elif stat.S_ISDIR(status.st_mode):
                raise InvalidInput(f"a hard link to the directory {shown(entry.link)}")
            assert source is not None
            self._link(source, target[-1], parent, name)
        finally:
            if source is not None:
                os.close(source)
        self._head = None

    def _link(self, source: int, target: bytes, parent: int, name: bytes) -> None:
        try:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileExistsError:
            self._clear(parent, name)
            os.link(target, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)

    def _add_node(self, parent: int, name: bytes, entry: Entry) -> None:
        """A symbolic link, a device or a FIFO."""
        if entry.kind in {tar.CHARACTER, tar.BLOCK_DEVICE} and not self._devices:
            raise InvalidInput("a device node is not allowed here", hint="make the archive without /dev")
        try:
            make_node(parent, name, entry)
        except FileExistsError:
            self._clear(parent, name)
            make_node(parent, name, entry)
        except PermissionError as error:
            if entry.kind in {tar.CHARACTER, tar.BLOCK_DEVICE}:
                raise Forbidden("making a device node needs root") from error
            raise
        if not self._fresh or (entry.uid, entry.gid) != self._owner:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind is not tar.SYMBOLIC_LINK and (not self._fresh or entry.mode & _SPECIAL):
            os.chmod(name, entry.mode, dir_fd=parent)
        for attribute, value in kept(entry.xattrs):
            keep_at(parent, name, attribute, value)
        os.utime(name, ns=(entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _clear(self, parent: int, name: bytes, *, by_directory: bool = False) -> None:
        """Make room: a later member of the same name wins."""
        status = status_at(parent, name)
        if status is None:
            return
        if self._manner is None:
            remove_at(parent, name, status)
            return
        if self._manner.keep_kinds and stat.S_ISDIR(status.st_mode) != by_directory:
            mine, theirs = ("directory", "non-directory") if by_directory else ("non-directory", "directory")
            raise InvalidInput(f"cannot overwrite {theirs} {shown(name)} with {mine}")
        try:
            remove_unmounted(parent, name)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            raise Conflict(
                f"cannot replace {shown(name)}: something is mounted there", hint="write to it in the container"
            ) from error

    def _make_implicit(self, parent: int, parts: tuple[bytes, ...]) -> None:
        """A directory without a member of its own looks like the one that it hides, or plain."""
        os.mkdir(parts[-1], 0o755, dir_fd=parent)
        found = self._whiteouts.below(parts, self._tree.way) if self._whiteouts is not None else None
        if found is None or not stat.S_ISDIR(found.status.st_mode):
            if not self._fresh:
                os.chmod(parts[-1], 0o755, dir_fd=parent)  # noqa: S103 - what tar and Docker give such directories
            if self._manner is not None:
                os.chown(parts[-1], *self._manner.owners(0, 0), dir_fd=parent, follow_symlinks=False)
            elif not self._fresh:  # a set-group-id bit of the directory above has said otherwise
                os.chown(parts[-1], *self._owner, dir_fd=parent, follow_symlinks=False)
            return
        self._directories[parts] = directory_like(found, parts)

    def _copy_up(self, target: tuple[bytes, ...], entry: Entry, *, hidden: bool) -> None:
        """Bring a file of the layers below into this one, for a hard link to it."""
        below = None if hidden or not target else self._whiteouts
        if below is None or (found := below.below(target)) is None or stat.S_ISDIR(found.status.st_mode):
            raise Corrupt(f"a hard link to {shown(entry.link)}, which is not there")
        parent = self._tree.enter(target[:-1])  # may look at the layers below too, so look again
        found = below.below(target, self._tree.way)
        if found is None:  # a directory of this layer hides it
            raise Corrupt(f"a hard link to {shown(entry.link)}, which is not there")
        copy_up(found, parent)


def _owned(entry: Entry, manner: Manner) -> Entry:
    uid, gid = manner.owners(entry.uid, entry.gid)
    return entry if (uid, gid) == (entry.uid, entry.gid) else msgspec.structs.replace(entry, uid=uid, gid=gid)
