"""A build context as a tar archive, made while it is sent (Engine API, ImageBuild, "input stream")."""

import os
import stat
import tarfile
from collections.abc import Iterator

from kist.errors import InvalidInput, NotFound
from kist.spec.dockerfile.ignore import NAME as IGNORE_NAME
from kist.spec.dockerfile.ignore import Ignore

_READ = 1 << 20
_BLOCK = tarfile.BLOCKSIZE


def pack(directory: str, dockerfile: str = "Dockerfile") -> Iterator[bytes]:
    """The archive of ``directory`` without what its ``.dockerignore`` leaves out, in pieces.

    Names are in byte order, owners are left out and what is neither file, directory nor link too, so that the same
    tree gives the same bytes. The Dockerfile and ``.dockerignore`` are always in it: the builder needs them.

    Raises:
        NotFound: there is no such directory.
        InvalidInput: a file cannot be read, or changed while it was.
        ParseError: the ``.dockerignore``.
    """
    if not os.path.isdir(directory):
        raise NotFound(f"unable to prepare context: path {directory!r} not found", hint="name the directory to build")
    ignore = _read_ignore(directory)
    needed = {IGNORE_NAME, os.path.normpath(dockerfile)}
    try:
        for path, entry in _walk(directory, "", ignore, needed):
            yield from _member(path, entry)
    except OSError as error:
        raise InvalidInput(
            f"unable to read the build context: {error.strerror}: {error.filename}",
            hint=f"make it readable, or leave it out by a line in {IGNORE_NAME}",
        ) from error
    yield bytes(2 * _BLOCK)


def _read_ignore(directory: str) -> Ignore:
    try:
        with open(os.path.join(directory, IGNORE_NAME), "rb") as file:
            return Ignore.parse(file.read())
    except FileNotFoundError:
        return Ignore()


def _walk(root: str, below: str, ignore: Ignore, needed: set[str]) -> "Iterator[tuple[str, os.DirEntry[str]]]":
    with os.scandir(os.path.join(root, below)) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        excluded = bool(ignore.rules) and ignore.excludes(path) and path not in needed
        if entry.is_dir(follow_symlinks=False):
            inside = any(name.startswith(path + "/") for name in needed)
            if not excluded:
                yield path, entry
            if not excluded or inside or ignore.may_include_below(path):
                yield from _walk(root, path, ignore, needed)
        elif not excluded:
            yield path, entry


def _member(path: str, entry: "os.DirEntry[str]") -> Iterator[bytes]:
    status = entry.stat(follow_symlinks=False)
    info = tarfile.TarInfo(path)
    info.mode = stat.S_IMODE(status.st_mode)
    info.mtime = int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(entry.path)
    elif not stat.S_ISREG(status.st_mode):
        return  # a socket, a pipe or a device: no image can be built of it
    else:
        info.size = status.st_size
    yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    if info.size:
        yield from _content(entry.path, info.size)


def _content(path: str, size: int) -> Iterator[bytes]:
    left = size
    with open(path, "rb", buffering=0) as file:
        while left and (data := file.read(min(left, _READ))):
            left -= len(data)
            yield data
    if left:
        raise InvalidInput(
            f"{path!r} became shorter while it was read", hint="build when nothing writes to the context"
        )
    if size % _BLOCK:
        yield bytes(_BLOCK - size % _BLOCK)
