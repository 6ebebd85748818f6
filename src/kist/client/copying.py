"""A local file or tree as a tar for ``cp``: owners, links, devices as they are."""

import os
import stat
import tarfile

from kist.errors import InvalidInput, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_READ = 1 << 18
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def pack_path(path: str, name: str) -> "Iterator[bytes]":
    """The archive of what is at ``path``, which is called ``name`` in it (``.``: what is in a directory only).

    Raises:
        NotFound: nothing is there.
        InvalidInput: it cannot be read, or changed meanwhile.
    """
    links: dict[tuple[int, int], str] = {}
    try:
        status = os.lstat(path)
        if name == ".":
            yield from _contents(path, "", links)
        else:
            yield from _entry(path, name, status, links)
    except FileNotFoundError as error:
        raise NotFound(f"{error.filename}: no such file or directory") from error
    except OSError as error:
        raise InvalidInput(f"cannot read {error.filename}: {(error.strerror or '').lower()}") from error
    yield bytes(2 * tarfile.BLOCKSIZE)


def _contents(path: str, name: str, links: "dict[tuple[int, int], str]") -> "Iterator[bytes]":
    for entry in sorted(os.listdir(path)):
        below = os.path.join(path, entry)
        yield from _entry(below, f"{name}/{entry}" if name else entry, os.lstat(below), links)


def _entry(path: str, name: str, status: os.stat_result, links: "dict[tuple[int, int], str]") -> "Iterator[bytes]":
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return  # a socket means nothing without its process
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid = status.st_uid, status.st_gid
    member.mtime = status.st_mtime
    if kind == tarfile.SYMTYPE:
        member.linkname = os.readlink(path)
    elif kind in {tarfile.CHRTYPE, tarfile.BLKTYPE}:
        member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    elif kind == tarfile.REGTYPE:
        first = links.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else name
        if first != name:
            member.type, member.linkname = tarfile.LNKTYPE, first
        else:
            yield from _file(path, member)
            return
    yield _header(member)
    if kind == tarfile.DIRTYPE:
        yield from _contents(path, name, links)


def _file(path: str, member: tarfile.TarInfo) -> "Iterator[bytes]":
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        left = member.size = os.fstat(file).st_size
        yield _header(member)
        while left:
            data = os.read(file, min(left, _READ))
            if not data:
                raise InvalidInput(
                    f"{path!r} became shorter while it was read", hint="copy it when nobody writes to it"
                )
            left -= len(data)
            yield data
        yield bytes(-member.size % tarfile.BLOCKSIZE)
    finally:
        os.close(file)


def _header(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
