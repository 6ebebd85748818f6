"""Package contents into a file tree, as dpkg would put them there (dpkg --unpack), several packages at once."""

import errno
import hashlib
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import msgspec

from kist.bootstrap.deb import control_fields, read_deb
from kist.bootstrap.deb822 import Paragraph
from kist.bootstrap.tree import Tree, write_all
from kist.errors import Corrupt
from kist.image import pretence

# Top-level directories that are links into /usr on a merged system, besides lib64, which not every machine has.
_MERGED = ("bin", "sbin", "lib")
_WITH_LIB64 = frozenset({"amd64", "ppc64el", "mips64el", "loong64"})

# What a path of an archive can be to blame for; anything else is the machine's fault.
_FAULTS_OF_PATHS = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR})


class Directory(msgspec.Struct, frozen=True):
    """What a package says about a directory; ``mtime`` in nanoseconds since the epoch."""

    mode: int
    owner: tuple[int, int]
    mtime: int


class Unpacked(msgspec.Struct, frozen=True):
    """A package whose files are in the tree.

    Attributes:
        fields: of its control file.
        control: the files of its control archive: mode and bytes.
        paths: of its data archive, in that order, without a slash at the start (the root is an empty one).
        hashes: MD5 of its files, as hexadecimal digits: of its configuration files, or of all where it has no md5sums.
    """

    fields: Paragraph
    control: dict[str, tuple[int, bytes]]
    paths: tuple[str, ...]
    directories: dict[str, Directory]
    hashes: dict[str, str]

    @property
    def conffiles(self) -> tuple[str, ...]:
        """Its configuration files."""
        lines = self.control.get("conffiles", (0, b""))[1].decode().split("\n")
        return tuple(line.strip().lstrip("/") for line in lines if line.startswith("/"))


def merge_usr(tree: Tree, architecture: str) -> None:
    """Make /bin, /sbin and /lib links into /usr, before a package of Debian 12 makes them directories."""
    for name in _MERGED + (("lib64",) if architecture in _WITH_LIB64 else ()):
        tree.make_directory(f"usr/{name}")
        tree.symlink(f"usr/{name}", name)


def unpack_all(root: str, files: Sequence[str], done: Callable[[int], None]) -> tuple[Unpacked, ...]:
    """Unpack package files into the directory ``root``, in the order that settles who a shared directory belongs to.

    Args:
        root: the directory.
        files: the package files' paths.
        done: called with the number of bytes of each package file that has been unpacked, from several threads.

    Raises:
        Corrupt: a package is damaged, or one of its paths leads out of the tree, or two packages share a file.
        OSError: the disk is full, or the like.
    """

    def unpack(path: str) -> Unpacked:
        with Tree(root) as tree:
            unpacked = unpack_file(tree, path)
        done(os.path.getsize(path))
        return unpacked

    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        try:
            unpacked = tuple(pool.map(unpack, files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    with Tree(root) as tree:
        _set_directories(tree, unpacked)
    return unpacked


def unpack_file(tree: Tree, path: str) -> Unpacked:
    """Unpack one package file; its directories get their attributes when all packages are there."""
    source = os.path.basename(path)
    with open(path, "rb") as file:
        deb = read_deb(file.read(), source=path)
    control = deb.control_files()
    fields = control_fields(control, source=path)
    source = f"{fields.get('Package', source)} {fields.get('Version', '')}".strip()
    return _Extraction(tree, source, fields, control).run(deb.data_tar())


class _Extraction:
    """One package on its way into the tree."""

    def __init__(self, tree: Tree, source: str, fields: Paragraph, control: dict[str, tuple[int, bytes]]) -> None:
        self._tree = tree
        self._source = source
        self._result = Unpacked(fields, control, (), {}, {})
        self._hashed = None if "md5sums" not in control else frozenset(self._result.conffiles)

    def run(self, data: bytes) -> Unpacked:
        paths: list[str] = []
        try:
            with tarfile.open(fileobj=BytesIO(data), mode="r:") as tar:
                for member in tar:
                    path = self._clean(member.name)
                    paths.append(path)
                    self._place(member, path, data)
        except tarfile.TarError as error:
            raise self._corrupt(str(error)) from error
        return msgspec.structs.replace(self._result, paths=tuple(paths))

    def _place(self, member: tarfile.TarInfo, path: str, data: bytes) -> None:
        try:
            if member.isdir():
                self._directory(member, path)
            elif member.isreg():
                self._file(member, path, memoryview(data)[member.offset_data : member.offset_data + member.size])
            elif member.issym():
                self._tree.symlink(member.linkname, path)
                self._tree.set_time(path, _nanoseconds(member))
            elif member.islnk():
                self._tree.hard_link(self._clean(member.linkname), path)
            else:
                raise self._corrupt(f"/{path} is a device or the like")
        except FileExistsError as error:
            raise self._corrupt(f"/{path} is there already, from another package") from error
        except OSError as error:
            if error.errno not in _FAULTS_OF_PATHS:
                raise
            raise self._corrupt(f"/{path}: {error.strerror}") from error

    def _directory(self, member: tarfile.TarInfo, path: str) -> None:
        if path and path not in self._result.directories:
            self._tree.make_directory(path)
        self._result.directories[path] = Directory(member.mode & 0o7777, (member.uid, member.gid), _nanoseconds(member))

    def _file(self, member: tarfile.TarInfo, path: str, content: memoryview) -> None:
        if len(content) != member.size:
            raise self._corrupt(f"/{path} is cut short")
        descriptor = self._tree.create(path, 0o600)
        try:
            write_all(descriptor, content)
            if (member.uid, member.gid) != (0, 0):
                pretence.give(descriptor, member.uid, member.gid)
            os.fchmod(descriptor, member.mode & 0o7777)
            time = _nanoseconds(member)
            os.utime(descriptor, ns=(time, time))
        finally:
            os.close(descriptor)
        if self._hashed is None or path in self._hashed:
            self._result.hashes[path] = hashlib.md5(content, usedforsecurity=False).hexdigest()

    def _clean(self, name: str) -> str:
        """The path below the root that a name of the archive stands for, empty for the root itself."""
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if name.startswith("/") or ".." in parts:
            raise self._corrupt(f"the path {name!r} leads out of the root")
        return "/".join(parts)

    def _corrupt(self, what: str) -> Corrupt:
        return Corrupt(
            f"the package {self._source} cannot be unpacked: {what}",
            hint="a package of Debian does not do this: is the mirror one of Debian's?",
        )


def _set_directories(tree: Tree, packages: Iterable[Unpacked]) -> None:
    """The first package that has a directory settles its attributes, as with dpkg; inner ones are set first."""
    settled: dict[str, Directory] = {}
    for package in packages:
        for path, directory in package.directories.items():
            settled.setdefault(path, directory)
    for path in sorted(settled, reverse=True):
        directory = settled[path]
        tree.set_directory(path, directory.mode, directory.owner, directory.mtime)


def _nanoseconds(member: tarfile.TarInfo) -> int:
    return int(member.mtime) * 1_000_000_000
