"""Which files of a tree tell of packages, how much of each is read, and by which reader."""

import io
import itertools
import posixpath
import re
from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

from kist.inventory import apk, conda, dpkg, jar, npm, python, rpm
from kist.inventory.failure import Unreadable
from kist.spec.package import Package, Skipped

_MOST_PACKAGES = 100_000  # of one file
NOTHING = -1


class Reader(NamedTuple):
    """How files of one kind are read.

    Attributes:
        what: the kind in words.
        matches: whether a path (without a slash at its start) is of that kind.
        limit: bytes of the largest that is read; ``NOTHING`` where no content is looked at.
        read: path and content to packages; raises ``Unreadable``.
    """

    what: str
    matches: Callable[[str], object]
    limit: int
    read: Callable[[str, BinaryIO], Iterable[Package]]


def _whole(read: Callable[[str, bytes], Iterable[Package]]) -> Callable[[str, BinaryIO], Iterable[Package]]:
    return lambda path, file: read(path, file.read())


def _old_rpm(path: str, _file: BinaryIO) -> Iterable[Package]:
    form = rpm.OLD_FORMS[posixpath.basename(path)]
    raise Unreadable(f"its packages are not read: the database is {form}")


_PYTHON = re.compile(r"(?:.*/)?[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)\Z").match
_NPM = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/@.][^/]*/package\.json\Z").match
_CONDA = re.compile(r"(?:.*/)?conda-meta/[^/]+\.json\Z").match
_JAR = re.compile(rf"(?:.*/)?[^/]+(?:{'|'.join(map(re.escape, jar.SUFFIXES))})\Z").match
_DPKG = re.compile(r"var/lib/dpkg/(?:status|status\.d/(?!.*\.md5sums)[^/]+)\Z").match
_RPM = re.compile(r"(?:var|usr)/lib/(?:sysimage/)?rpm/rpmdb\.sqlite\Z").match
_OLD_RPM = re.compile(r"(?:var|usr)/lib/(?:sysimage/)?rpm/Packages(?:\.db)?\Z").match
_MIB = 1 << 20

READERS = (
    Reader("the database of dpkg", _DPKG, 64 * _MIB, _whole(dpkg.read)),
    Reader("the database of apk", re.compile(r"(?:usr/)?lib/apk/db/installed\Z").match, 64 * _MIB, _whole(apk.read)),
    Reader("the database of rpm", _RPM, 512 * _MIB, _whole(rpm.read)),
    Reader("the database of rpm", _OLD_RPM, NOTHING, _old_rpm),
    Reader("a Python distribution", _PYTHON, 4 * _MIB, _whole(python.read)),
    Reader("an npm package", _NPM, 4 * _MIB, _whole(npm.read)),
    Reader("a conda package", _CONDA, 64 * _MIB, _whole(conda.read)),
    Reader("a Java archive", _JAR, 256 * _MIB, jar.read),
)
_ENDS = ("status", "installed", ".sqlite", "Packages", "Packages.db", "METADATA", "PKG-INFO", ".egg-info", ".json")


def reader_of(path: str) -> Reader | None:
    """Who reads the file at a path (without a slash at its start); None for files that tell of no packages."""
    if not path.endswith((*_ENDS, *jar.SUFFIXES)) and "/status.d/" not in path:
        return None
    return next((reader for reader in READERS if reader.matches(path)), None)


class Read(NamedTuple):
    """What came of a file: its packages, or why there are none."""

    packages: tuple[Package, ...] = ()
    skipped: Skipped | None = None


def read(reader: Reader, path: str, file: BinaryIO, size: int) -> Read:
    """The packages of a file; one that cannot be read is told.

    Args:
        reader: of its kind.
        path: without a slash at its start.
        file: its content.
        size: bytes of it.
    """
    if size > reader.limit != NOTHING:
        return Read(skipped=Skipped(path, f"{reader.what} of {size} bytes is too large to be read"))
    found: list[Package] = []
    try:
        found.extend(itertools.islice(reader.read(path, file), _MOST_PACKAGES))
    except Unreadable as error:
        return Read(tuple(found), Skipped(path, f"{reader.what} cannot be read: {error}"))
    if len(found) == _MOST_PACKAGES:
        return Read(tuple(found), Skipped(path, f"{reader.what} tells of more than {_MOST_PACKAGES} packages"))
    return Read(tuple(found))


def read_bytes(path: str, data: bytes) -> Read:
    """As ``read``, of what is at hand; nothing for a file that tells of no packages."""
    reader = reader_of(path)
    return Read() if reader is None else read(reader, path, io.BytesIO(data), len(data))
