"""Single files: made as a tar entry says, or as a file of a lower layer is."""

import os
import stat
from collections.abc import Iterable, Iterator

from kist.image import tar
from kist.image.lowers import Found
from kist.image.pretence import ATTRIBUTE, keep, keep_at, told
from kist.image.tar import Entry
from kist.kernel import files, userns

CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}
_CHUNK = 1 << 20

# What files are in a tar, by the format bits of their mode. A socket is nothing: it has no meaning without its process.
KINDS = {
    stat.S_IFREG: tar.REGULAR,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMBOLIC_LINK,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}

# overlayfs's own marks would let a layer show files of others; SELinux labels belong to the machine that made them.
_NOT_KEPT = ("trusted.overlay.", "user.overlay.", "security.selinux")


def kept(xattrs: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """The extended attributes that belong to the file itself."""
    left_out = _NOT_KEPT if userns.limited_ids() is not None else (*_NOT_KEPT, ATTRIBUTE)
    return ((name, value) for name, value in xattrs.items() if not name.startswith(left_out))


def write(file: int, data: memoryview) -> None:
    """Write all of ``data``."""
    done = os.write(file, data)
    while done < len(data):
        done += os.write(file, data[done:])


def write_segments(file: int, entry: Entry, chunks: Iterable[memoryview]) -> None:
    """Write a sparse file: its content where its segments are, and holes between them.

    Raises:
        OSError: EFBIG for one that is larger than the file system's files may be.
    """
    os.ftruncate(file, entry.size)  # first: to seek to where no file may reach is but an EINVAL
    rest = memoryview(b"")
    source = iter(chunks)
    for begin, length in entry.segments or ():
        os.lseek(file, begin, os.SEEK_SET)
        left = length
        while left:
            rest = rest or next(source)
            part = rest[:left]
            write(file, part)
            rest = rest[len(part) :]
            left -= len(part)


def make_node(parent: int, name: bytes, entry: Entry) -> None:
    """A symbolic link, a device or a FIFO, with its mode as far as the umask allows."""
    if entry.kind is tar.SYMBOLIC_LINK:
        os.symlink(entry.link, name, dir_fd=parent)
    else:
        os.mknod(name, _NODES[entry.kind] | entry.mode, os.makedev(*entry.device), dir_fd=parent)


def set_directory(directory: int, entry: Entry) -> None:
    """Owner, mode, attributes and time of an open directory."""
    os.fchown(directory, entry.uid, entry.gid)
    os.fchmod(directory, entry.mode)
    for attribute, value in kept(entry.xattrs):
        keep(directory, attribute, value)
    os.utime(directory, ns=(entry.mtime, entry.mtime))


def directory_like(found: Found, parts: tuple[bytes, ...]) -> Entry:
    """The entry that describes a directory of a lower layer."""
    status = found.status
    xattrs = files.xattrs_at(found.parent, found.name)
    mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns
    return Entry(b"/".join(parts), tar.DIRECTORY, mode, status.st_uid, status.st_gid, 0, mtime, b"", (0, 0), xattrs)


def copy_up(found: Found, parent: int) -> None:
    """Copy a file of a lower layer, which is no directory, into the directory ``parent`` under its own name."""
    name, status = found.name, found.status
    if stat.S_ISREG(status.st_mode):
        _copy_content(found, parent)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=found.parent), name, dir_fd=parent)
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=parent)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=parent)
    for attribute, value in kept(files.xattrs_at(found.parent, name)):
        keep_at(parent, name, attribute, value)
    os.utime(name, ns=(status.st_mtime_ns, status.st_mtime_ns), dir_fd=parent, follow_symlinks=False)


def _copy_content(found: Found, parent: int) -> None:
    source = os.open(found.name, _READ, dir_fd=found.parent)
    try:
        target = os.open(found.name, CREATE, 0o600, dir_fd=parent)
        try:
            while chunk := os.read(source, _CHUNK):
                write(target, memoryview(chunk))
        finally:
            os.close(target)
    finally:
        os.close(source)


def entry_of(
    path: bytes,
    kind: bytes,
    status: os.stat_result,
    *,
    owner: tuple[int, int] | None = None,
    mtime: int | None = None,
    link: bytes = b"",
    xattrs: dict[str, bytes] | None = None,
) -> Entry:
    """The member of an archive that a file is; ``owner`` and ``mtime`` (nanoseconds) where they are not its own."""
    is_device = kind in {tar.CHARACTER, tar.BLOCK_DEVICE}
    uid, gid = owner or (status.st_uid, status.st_gid)
    entry = Entry(
        name=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=uid,
        gid=gid,
        size=status.st_size if kind is tar.REGULAR else 0,
        mtime=status.st_mtime_ns if mtime is None else mtime,
        link=link,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0),
        xattrs=xattrs or {},
    )
    return told(entry) if xattrs else entry
