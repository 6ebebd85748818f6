"""A build context as a tar archive, made while it is sent (Engine API, ImageBuild, "input stream")."""

import errno
import os
import stat

from kist.client.tarhead import DIRECTORY, END, FILE, HARD_LINK, LINK, PIPE, header, padding
from kist.errors import InvalidInput, NotFound
from kist.spec.attributes import goes_along
from kist.spec.lockname import lock_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from kist.spec.dockerfile.ignore import Ignore

    Entry = os.DirEntry[str]

PIPED = ".dockerfile.piped"
"""The name in an archive of a Dockerfile that is none of the directory's."""
_IGNORE_NAME = ".dockerignore"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""How gzip, bzip2, xz and zstd begin."""
_READ = 1 << 20
_DEEPEST = 256  # as in a layer


def pack(directory: str, dockerfile: str = "Dockerfile", piped: "bytes | None" = None) -> "Iterator[bytes]":
    """The archive of ``directory`` without what its ``.dockerignore`` leaves out, or the Dockerfile's own, in pieces.

    Names are in byte order and owners are left out, so that the same tree gives the same bytes; sockets, too, which
    mean nothing without their process. The Dockerfile and ``.dockerignore`` are always in it: the builder needs them.

    Args:
        directory: the context.
        dockerfile: the path of the Dockerfile in it.
        piped: a Dockerfile that comes from elsewhere, and is put into the archive as ``PIPED``. As in Docker, the
            archive's ``.dockerignore`` then names it too, so that no COPY finds it.

    Raises:
        NotFound: there is no such directory.
        InvalidInput: a file cannot be read, or changed while it was, or is a device.
        ParseError: the ``.dockerignore``.
    """
    if not os.path.isdir(directory):
        raise NotFound(f"unable to prepare context: path {directory!r} not found", hint="name the directory to build")
    dockerfile = os.path.normpath(dockerfile)
    own = f"{dockerfile}.dockerignore"
    needed = {_IGNORE_NAME, dockerfile, own, os.path.normpath(lock_path(dockerfile))}
    try:
        text = _read_ignore(directory, own) if piped is None else None
        if text is None:
            text = _read_ignore(directory, _IGNORE_NAME)
        if piped is not None:
            text = (f"{_IGNORE_NAME}\n".encode() if text is None else text) + f"\n{PIPED}\n".encode()
            yield from _written(_IGNORE_NAME, text)
            yield from _written(PIPED, piped)
        names: dict[tuple[int, int], str] = {}
        for path, entry in _walk(directory, "", _parsed(text), needed):
            if piped is None or path not in {_IGNORE_NAME, PIPED}:
                yield from _member(path, entry, names)
    except OSError as error:
        raise InvalidInput(
            f"unable to read the build context: {error.strerror}: {error.filename}",
            hint=f"make it readable, or leave it out by a line in {_IGNORE_NAME}",
        ) from error
    yield END


def alone(dockerfile: bytes) -> "Iterator[bytes]":
    """The archive of a context in which there is nothing but a Dockerfile."""
    yield from _written("Dockerfile", dockerfile)
    yield END


def is_archive(begin: bytes) -> bool:
    """Whether data is an archive by its first bytes, and not the text of a Dockerfile."""
    return b"\0" in begin or begin.startswith(_COMPRESSED)


def _read_ignore(directory: str, name: str) -> "bytes | None":
    try:
        with open(os.path.join(directory, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _parsed(text: "bytes | None") -> "Ignore | None":
    if text is None:
        return None
    from kist.spec.dockerfile.ignore import Ignore  # noqa: PLC0415 - re, for contexts with such a file

    return Ignore.parse(text)


def _walk(root: str, below: str, ignore: "Ignore | None", needed: "set[str]") -> "Iterator[tuple[str, Entry]]":
    if below.count("/") >= _DEEPEST:
        raise InvalidInput(
            f"{below[:60]!r}… in the build context is nested deeper than {_DEEPEST} directories",
            hint=f"leave it out by a line in {_IGNORE_NAME}, or pack it into an archive",
        )
    with os.scandir(os.path.join(root, below)) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        excluded = ignore is not None and path not in needed and ignore.excludes(path)
        if not excluded:
            yield path, entry
        if entry.is_dir(follow_symlinks=False):
            inside = any(name.startswith(path + "/") for name in needed)
            if not excluded or inside or (ignore is not None and ignore.may_include_below(path)):
                yield from _walk(root, path, ignore, needed)


def _member(path: str, entry: "Entry", names: "dict[tuple[int, int], str]") -> "Iterator[bytes]":
    """One file; ``names`` has the first name of each that has several, by device and inode."""
    status = entry.stat(follow_symlinks=False)
    mode, mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        yield header(DIRECTORY, path + "/", mode=mode, mtime=mtime, attributes=_attributes(entry.path))
    elif stat.S_ISLNK(status.st_mode):
        yield header(LINK, path, mode=mode, mtime=mtime, target=os.readlink(entry.path))
    elif stat.S_ISREG(status.st_mode):
        first = path if status.st_nlink == 1 else names.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            yield header(HARD_LINK, path, mode=mode, mtime=mtime, target=first)
        else:
            yield from _file(path, entry.path, mode, mtime, status.st_size)
    elif stat.S_ISFIFO(status.st_mode):
        yield header(PIPE, path, mode=mode, mtime=mtime)
    elif not stat.S_ISSOCK(status.st_mode):
        raise InvalidInput(
            f"{path!r} in the build context is a device", hint=f"leave it out by a line in {_IGNORE_NAME}"
        )


def _attributes(of: "str | int") -> "dict[str, bytes]":
    """Those of a directory by its path or of an open file that go with its copy."""
    try:
        return {name: os.getxattr(of, name) for name in os.listxattr(of) if goes_along(name)}
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise


def _written(path: str, content: bytes) -> "Iterator[bytes]":
    """A file that is made for the archive."""
    yield header(FILE, path, mode=0o600, size=len(content)) + content + padding(len(content))


def _file(path: str, place: str, mode: int, mtime: int, size: int) -> "Iterator[bytes]":
    left = size
    with open(place, "rb", buffering=0) as file:
        attributes = _attributes(file.fileno())
        yield header(FILE, path, mode=mode, mtime=mtime, size=size, attributes=attributes)
        while left and (data := file.read(min(left, _READ))):
            left -= len(data)
            yield data
    if left:
        raise InvalidInput(
            f"{place!r} became shorter while it was read", hint="build when nothing writes to the context"
        )
    if fill := padding(size):
        yield fill
