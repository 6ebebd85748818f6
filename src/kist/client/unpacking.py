"""An archive that a container had its hands on, to a local directory that it must not get out of.

Nothing is reached through a symbolic link: each component of a member's path is opened by itself, and a link among them
(planted by an earlier member, or there before) is an error. Files are made anew, never written through.
"""

import os
import shutil
import stat
import tarfile

from kist.errors import Conflict, InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SET_IDS = stat.S_ISUID | stat.S_ISGID
_CHUNK = 1 << 18
_DEEPEST = 256


class Stream:
    """The pieces of an answer as a file that counts what went through it."""

    def __init__(self, pieces: "Iterable[bytes]") -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self.size = 0

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end."""
        found = [self._rest]
        have = len(self._rest)
        while have < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            found.append(piece)
            have += len(piece)
        data = b"".join(found)
        self._rest = data[size:]
        self.size += min(size, len(data))
        return data[:size]

    def drain(self) -> None:
        """Read what is left, so that its end is known to be whole."""
        for piece in self._pieces:
            self.size += len(piece)


def unpack(
    source: Stream, directory: str, name: str, *, archive: bool, warn: "Callable[[str], None]", replaces: bool = False
) -> None:
    """Unpack a tar below a local directory.

    Args:
        source: the tar; all its members lie below one root.
        directory: exists; links in its own path are followed.
        name: what the root is called here; ``.`` puts what is in it right into ``directory``; empty where the members
            have no root in common, and are put there as they are called.
        archive: keep owners, set-id bits and device nodes, for who trusts the container and has the right to.
        warn: told of what is left out.
        replaces: whether what is there may be replaced by something of another kind: a directory by a file, a file or a
            link by a directory.

    Raises:
        InvalidInput: the archive is damaged, or a member would lead out of the directory.
        Conflict: a file would replace a directory, or the other way round.
        OSError: a file cannot be made.
    """
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with tarfile.open(fileobj=source, mode="r|") as opened:  # type: ignore[call-overload]
            unpacker = _Unpacker(root, name, archive=archive, warn=warn, replaces=replaces)
            for member in opened:
                unpacker.add(member, opened)
            unpacker.finish()
        source.drain()
    except tarfile.TarError as error:
        raise InvalidInput(f"the archive is damaged: {error}") from error
    finally:
        os.close(root)


class _Unpacker:
    def __init__(self, root: int, name: str, *, archive: bool, warn: "Callable[[str], None]", replaces: bool) -> None:
        self._replaces = replaces
        self._root = root
        self._name = name
        self._archive = archive
        self._warn = warn
        self._told_of_owners = False
        self._made: dict[tuple[str, ...], tuple[int, int]] = {}
        self._directories: dict[tuple[str, ...], tarfile.TarInfo] = {}

    def add(self, member: tarfile.TarInfo, opened: tarfile.TarFile) -> None:
        parts = self._parts(member.name, member)
        if not parts:
            return  # the directory is there and stays as it is
        parent = self._enter(parts[:-1])
        try:
            if member.isdir():
                self._directory(parent, parts, member)
            elif self._wanted(member):
                self._clear(parent, parts[-1], member)
                self._other(parent, parts, member, opened)
        finally:
            os.close(parent)

    def finish(self) -> None:
        """Directories get their attributes when nothing is made in them any more, the deepest first."""
        for parts, member in reversed(self._directories.items()):
            directory = self._enter(parts)
            try:
                self._attributes(directory, member)
            finally:
                os.close(directory)

    def _parts(self, name: str, member: tarfile.TarInfo) -> "tuple[str, ...]":
        words = [word for word in name.split("/") if word]
        if ".." in words or "\0" in name:
            raise InvalidInput(
                f"{member.name!r} would lead out of the directory", hint="the archive is not one that Kist makes"
            )
        if len(words) > _DEEPEST:
            raise InvalidInput(f"{name[:60]!r}… is nested deeper than {_DEEPEST} directories")
        if self._name:
            words = words[1:]
        below = [word for word in words if word != "."]
        return tuple(below) if self._name in {"", "."} else (self._name, *below)

    def _enter(self, parts: "tuple[str, ...]") -> int:
        """A new descriptor of the directory at ``parts``, made where it is missing."""
        directory = os.dup(self._root)
        try:
            for part in parts:
                inner = self._step(directory, part, parts)
                os.close(directory)
                directory = inner
        except BaseException:
            os.close(directory)
            raise
        return directory

    def _step(self, directory: int, part: str, parts: "tuple[str, ...]") -> int:
        try:
            return os.open(part, _DIRECTORY, dir_fd=directory)
        except FileNotFoundError:
            os.mkdir(part, 0o755, dir_fd=directory)
            return os.open(part, _DIRECTORY, dir_fd=directory)
        except OSError as error:
            raise Conflict(
                f"{'/'.join(parts)!r} has {part!r} in it, which is no directory here",
                hint="a symbolic link is not followed; remove it, or copy to the directory that it leads to",
            ) from error

    def _directory(self, parent: int, parts: "tuple[str, ...]", member: tarfile.TarInfo) -> None:
        try:
            os.mkdir(parts[-1], 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(parts[-1], dir_fd=parent).st_mode):
                if not self._replaces:
                    raise Conflict(f"cannot overwrite non-directory {'/'.join(parts)!r} with directory") from None
                os.unlink(parts[-1], dir_fd=parent)
                os.mkdir(parts[-1], 0o700, dir_fd=parent)
        self._directories[parts] = member

    def _wanted(self, member: tarfile.TarInfo) -> bool:
        if member.isdev() and not member.isfifo() and not self._archive:
            self._warn(f"{member.name}: device nodes are left out (-a keeps them)")
            return False
        return True

    def _clear(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        try:
            status = os.lstat(name, dir_fd=parent)
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=parent)
        elif self._replaces:
            shutil.rmtree(name, dir_fd=parent)
        else:
            raise Conflict(f"cannot overwrite directory {name!r} with non-directory {member.name!r}")

    def _other(self, parent: int, parts: "tuple[str, ...]", member: tarfile.TarInfo, opened: tarfile.TarFile) -> None:
        name = parts[-1]
        if member.isreg():
            self._file(parent, parts, member, opened)
        elif member.islnk():
            self._hard_link(parent, name, member)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            if self._archive:
                self._give(member, lambda uid, gid: os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False))
            os.utime(name, ns=_times(member), dir_fd=parent, follow_symlinks=False)
        elif member.isdev():
            kind = stat.S_IFIFO if member.isfifo() else stat.S_IFCHR if member.ischr() else stat.S_IFBLK
            os.mknod(name, kind | self._mode(member), os.makedev(member.devmajor, member.devminor), dir_fd=parent)
        else:
            raise InvalidInput(f"{member.name!r} is of a kind that is not kept")

    def _file(self, parent: int, parts: "tuple[str, ...]", member: tarfile.TarInfo, opened: tarfile.TarFile) -> None:
        file = os.open(parts[-1], _CREATE, 0o600, dir_fd=parent)
        try:
            content: Any = opened.extractfile(member)
            while data := content.read(_CHUNK):
                view = memoryview(data)
                while view:
                    view = view[os.write(file, view) :]
            self._attributes(file, member)
            status = os.fstat(file)
            self._made[parts] = status.st_dev, status.st_ino
        finally:
            os.close(file)

    def _hard_link(self, parent: int, name: str, member: tarfile.TarInfo) -> None:
        target = self._parts(member.linkname, member)
        directory = self._enter(target[:-1])
        try:
            status = os.lstat(target[-1], dir_fd=directory) if target in self._made else None
            if status is None or (status.st_dev, status.st_ino) != self._made[target]:
                raise InvalidInput(f"{member.name!r} is a link to {member.linkname!r}, which is not in the archive")
            os.link(target[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(directory)

    def _attributes(self, file: int, member: tarfile.TarInfo) -> None:
        mode = self._mode(member)
        if self._archive and not self._give(member, lambda uid, gid: os.fchown(file, uid, gid)):
            mode &= ~_SET_IDS
        os.fchmod(file, mode)
        os.utime(file, ns=_times(member))

    def _give(self, member: tarfile.TarInfo, change: "Callable[[int, int], None]") -> bool:
        """Give what was made to its owner; False where it stays the caller's.

        Only root gives files to others: what an ordinary user copies is theirs, as with cp(1) and tar(1).
        """
        try:
            change(member.uid, member.gid)
        except PermissionError:
            if os.geteuid() == 0:
                raise
            if not self._told_of_owners:
                self._warn("the files are yours: only root can keep their owners")
            self._told_of_owners = True
            return False
        return True

    def _mode(self, member: tarfile.TarInfo) -> int:
        """A file of the caller's with set-id bits, made of what a container had, would be a way out."""
        mode = member.mode & 0o7777
        return mode if self._archive else mode & ~_SET_IDS


def _times(member: tarfile.TarInfo) -> "tuple[int, int]":
    moment = int(member.mtime * 1_000_000_000)
    return moment, moment
