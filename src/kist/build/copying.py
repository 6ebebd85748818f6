"""COPY and ADD: files of a tree into a snapshot (Dockerfile reference, "COPY" and "ADD")."""

import os
import posixpath
import stat
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from kist.build.attributes import attributes_at, give
from kist.build.owners import resolve
from kist.build.plan import CopyFiles
from kist.build.selection import Selected
from kist.build.target import DIRECTORY, Target
from kist.build.tree import Entry, Tree, open_entry, shown
from kist.errors import Corrupt, InvalidInput
from kist.image.compression import plain
from kist.image.layers import unpack
from kist.image.tar import BLOCK
from kist.kernel import userns
from kist.spec.dockerfile import Ignore


def copy_files(
    action: CopyFiles, selected: Sequence[Selected], root: int, epoch: int | None = None, upper: int = -1
) -> None:
    """Copy what was selected, then the step's documents, to below ``root``.

    Args:
        action: what is copied, where to, and as whose.
        selected: what of it there is.
        root: a descriptor.
        epoch: the time (seconds) of all that is copied; None for that of its source.
        upper: where the root is an overlay that nobody else has, a descriptor of its upper directory; else -1.

    Raises:
        NotFound: the owner does not exist.
        InvalidInput: a source leads out of its tree, or the destination cannot take it.
        OSError: the disk is full, or fails.
    """
    if len(selected) > 1 and not action.into_directory:
        raise InvalidInput(
            f"{len(selected)} files match, and the destination {action.destination} is not written as a directory",
            hint=f"end it with a slash: {action.destination}/",
        )
    owner = resolve(action.owner, root)
    if not selected and not action.documents:  # all was left out
        os.close(Target(root, owner).open_directory(action.destination))
    for number, (tree, path, filters, unpacked) in enumerate(selected, 1):
        is_last = number == len(selected) and not action.documents
        target = Target(root, owner, action.mode, epoch, upper if is_last else -1)
        status = tree.status(path)
        if stat.S_ISDIR(status.st_mode):
            _copy_directory(tree, path, filters, target, action)
        elif unpacked and stat.S_ISREG(status.st_mode) and is_archive(tree, path):
            _unpack(tree, path, target, action)
        else:
            _copy_one(tree, path, status, target, action)
    target = Target(root, owner, action.mode)
    for document in action.documents:
        parent, name = _place(target, action, document.name)
        try:
            target.write_text(parent, name, document.text.encode())
        finally:
            os.close(parent)


def is_archive(tree: Tree, path: str) -> bool:
    """Whether the file is a tar archive, compressed or not, by its first block."""
    with tree.open(path) as file:
        stream, block = plain(file), b""
        try:
            while len(block) < BLOCK and (more := stream.read(BLOCK - len(block))):
                block += more
            stated = int(block[148:156].strip(b" \0"), 8)
        except (Corrupt, ValueError):
            return False
    # The header's sum counts its own field as blanks (POSIX, ustar).
    return sum(block) - sum(block[148:156]) + 8 * 32 == stated


def _unpack(tree: Tree, path: str, target: Target, action: CopyFiles) -> None:
    """Members keep their modes, and their owners but for ``--chown``; links are followed inside the destination only.

    As with BuildKit, ``--chmod`` is about files that are copied, and does not reach into an archive.
    """
    owner = target.owner if action.owner else None
    directory = target.open_directory(action.destination)
    try:
        with tree.open(path) as file:
            ids = userns.limited_ids()
            unpack(plain(file), directory, devices=True, what=shown(path), ids=ids, sparse=True, owner=owner)
    finally:
        os.close(directory)


def _copy_one(tree: Tree, path: str, status: os.stat_result, target: Target, action: CopyFiles) -> None:
    parent, name = _place(target, action, posixpath.basename(path))
    try:
        with tree.open(path) as file:
            target.write_file(parent, name, file.fileno(), status, is_of_the_store=not tree.confined)
    finally:
        os.close(parent)


def _place(target: Target, action: CopyFiles, name: str) -> tuple[int, str]:
    """Where a file of this name goes: the directory's descriptor, and the name that it gets."""
    if action.into_directory or target.is_directory(action.destination):
        return target.open_directory(action.destination), name
    return target.place_of_file(action.destination)


def _copy_directory(tree: Tree, path: str, filters: Sequence[Ignore], target: Target, action: CopyFiles) -> None:
    """The contents of a directory; the directory at the top is a plain one where it has to be made."""
    with _Descent(target, action.destination) as descent:
        for entry in tree.walk(path, filters):
            above = descent.above(entry)
            kind = stat.S_IFMT(entry.status.st_mode)
            if kind == stat.S_IFDIR:
                descent.enter(entry, above)
            elif kind == stat.S_IFREG and entry.status.st_nlink == 1:
                _copy_entry(tree, path, entry, target, above.nearest)
            elif kind == stat.S_IFREG:
                if not descent.named(entry, above.seen):
                    _copy_entry(tree, path, entry, target, above.seen)
                    descent.note(entry, above.seen)
            elif kind == stat.S_IFLNK:
                link = os.readlink(entry.name, dir_fd=entry.directory)
                target.write_link(above.nearest, entry.name, link, entry.status)
            elif kind == stat.S_IFIFO or not tree.confined:
                target.write_node(above.seen, entry.name, entry.status)
            else:
                device = shown(posixpath.join(path, entry.path))
                raise InvalidInput(f'"{device}" in {tree.name} is a device', hint="add it to .dockerignore")


def _copy_entry(tree: Tree, above: str, entry: Entry, target: Target, parent: int) -> None:
    source = open_entry(entry, above)
    try:
        target.write_file(parent, entry.name, source, entry.status, is_of_the_store=not tree.confined)
    finally:
        os.close(source)


class _Level:
    """A directory of the target that is open.

    Args:
        path: of the source's directory, below the source.
        seen: its descriptor as the target's root shows it; -1 for one that was made past the overlay and is looked for
            when it is needed.
        lies: the same as it lies in the upper directory; -1 where it is written to as it is seen.
        above: the level that it is in.
        times: that it gets when everything in it has been written.
    """

    def __init__(
        self, path: str, seen: int, lies: int, above: "_Level | None" = None, times: tuple[int, int] | None = None
    ) -> None:
        self.path = path
        self._seen = seen
        self._lies = lies
        self._above = above
        self._times = times

    @property
    def is_past_overlay(self) -> bool:
        """Whether it is written to where it lies."""
        return self._lies >= 0

    @property
    def nearest(self) -> int:
        """The descriptor by which things are made that are there once and are no nodes."""
        return self._lies if self.is_past_overlay else self._seen

    @property
    def seen(self) -> int:
        """The descriptor for all else: names are given, and marks of the overlay's own are refused, by the overlay."""
        if self._seen < 0:
            assert self._above is not None
            self._seen = os.open(posixpath.basename(self.path), DIRECTORY, dir_fd=self._above.seen)
        return self._seen

    def leave(self) -> None:
        """Set its times, and close it."""
        try:
            if self._times is not None:
                os.utime(self.nearest, ns=self._times)
        finally:
            for descriptor in (self._seen, self._lies):
                if descriptor >= 0:
                    os.close(descriptor)


class _Descent:
    """The open directories of the target on the way to the entry that is being copied."""

    def __init__(self, target: Target, top: str) -> None:
        self._target = target
        self._top = top
        # Of a source's file with several names, by device and inode: the path of its copy, and the copy's own ones.
        self._names: dict[tuple[int, int], tuple[str, tuple[int, int]]] = {}
        directory = target.open_directory(top)
        self._open = [_Level("", directory, target.lies(directory))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.pop().leave()

    def above(self, entry: Entry) -> _Level:
        """The directory that the entry goes to."""
        path = posixpath.dirname(entry.path)
        while self._open[-1].path != path:
            self._open.pop().leave()
        return self._open[-1]

    def note(self, entry: Entry, parent: int) -> None:
        """Know the copy of a file that has further names."""
        if entry.status.st_nlink == 1:
            return
        status = os.stat(entry.name, dir_fd=parent, follow_symlinks=False)
        made = (status.st_dev, status.st_ino)
        if made in self._target.gone:  # of a copy before, maybe, that another one took the place of
            self._names = {name: copy for name, copy in self._names.items() if copy[1] != made}
            self._target.gone.remove(made)
        self._names[entry.status.st_dev, entry.status.st_ino] = posixpath.join(self._top, entry.path), made

    def named(self, entry: Entry, parent: int) -> bool:
        """Make the entry a further name of a copy, where it is one of its source."""
        if entry.status.st_nlink == 1:
            return False
        found = self._names.get((entry.status.st_dev, entry.status.st_ino))
        if found is None or found[1] in self._target.gone:
            return False
        return self._target.write_name(parent, entry.name, *found)

    def enter(self, entry: Entry, above: _Level) -> None:
        """Make a directory, or take the one that is there, be it behind a symbolic link; it becomes as the source's."""
        mode, times = self._target.mode(entry.status), self._target.times(entry.status)
        try:
            made = self._target.make_directory(above.nearest, entry.name, mode)
        except FileExistsError:
            taken = self._target.take_directory(posixpath.join(self._top, entry.path), mode)
            level = _Level(entry.path, taken, -1, above, times)
        else:
            if above.is_past_overlay:
                level = _Level(entry.path, -1, made, above, times)
            else:
                level = _Level(entry.path, made, self._target.lies(made), above, times)
        self._open.append(level)
        give(level.nearest, attributes_at(entry.directory, entry.name))
