"""A layer's tar gone through once: every entry noted, every file hashed, and what tells of packages read.

Nothing is unpacked: no link is followed, and no path leads anywhere.
"""

import hashlib
import tempfile
from typing import BinaryIO

from msgspec.structs import replace

from kist.engine.contents.index import (
    DIRECTORY,
    HARD_LINK,
    OTHER,
    REGULAR,
    SYMBOLIC_LINK,
    File,
    LayerFiles,
    LayerIndex,
)
from kist.errors import InvalidInput
from kist.image import tar
from kist.image.compression import plain
from kist.image.tar import Entry, TarReader
from kist.image.tree import components
from kist.image.whiteouts import AUFS, OPAQUE, PREFIX
from kist.inventory.layers import LayerPackages
from kist.inventory.readers import Reader, read, reader_of
from kist.spec.package import Package, Skipped

_KINDS = {tar.REGULAR: REGULAR, tar.DIRECTORY: DIRECTORY, tar.SYMBOLIC_LINK: SYMBOLIC_LINK, tar.HARD_LINK: HARD_LINK}
_RELEASES = ("usr/lib/os-release", "etc/os-release")  # the second wins, where it is no link to the first
_LARGEST_RELEASE = 64 << 10
_IN_MEMORY = 4 << 20
_DIGEST_SIZE = 16
MOST_ENTRIES = 4_000_000


def scan(blob: BinaryIO, what: str, temporary: str | None = None) -> LayerIndex:
    """Go through a layer.

    Args:
        blob: its tar, compressed or not.
        what: how errors call it.
        temporary: a directory for large files that are read; they have no name there.

    Raises:
        Corrupt, Unsupported: it is damaged, or has what no layer has; it could not be unpacked either.
        InvalidInput: it has more entries than any layer.
    """
    scanner = _Scanner(TarReader(plain(blob), what=what), temporary)
    return scanner.scan(what)


class _Scanner:
    def __init__(self, reader: TarReader, temporary: str | None) -> None:
        self._reader = reader
        self._temporary = temporary
        self._files: dict[bytes, File] = {}
        self._removed: list[bytes] = []
        self._emptied: list[bytes] = []
        self._packages: dict[str, tuple[Package, ...]] = {}
        self._skipped: list[Skipped] = []
        self._releases: dict[str, str] = {}

    def scan(self, what: str) -> LayerIndex:
        for number, entry in enumerate(self._reader):
            if number >= MOST_ENTRIES:
                raise InvalidInput(f"{what} has more than {MOST_ENTRIES} entries")
            self._entry(entry)
        release = next((self._releases[path] for path in reversed(_RELEASES) if path in self._releases), "")
        packages = LayerPackages(
            files=self._packages,
            skipped=tuple(self._skipped),
            removed=tuple(map(_text, self._removed)),
            emptied=tuple(map(_text, self._emptied)),
            release=release,
        )
        return LayerIndex(packages, LayerFiles(tuple(self._files.values()), tuple(self._removed), tuple(self._emptied)))

    def _entry(self, entry: Entry) -> None:
        parts = components(entry.name)
        if not parts:
            return  # the root itself
        name = parts[-1]
        if name.startswith(PREFIX):
            above = b"/".join(parts[:-1])
            if name == OPAQUE:
                self._emptied.append(above)
            elif not name.startswith(AUFS):
                self._removed.append((above + b"/" if above else b"") + name[len(PREFIX) :])
            return
        path = b"/".join(parts)
        kind = _KINDS.get(entry.kind, OTHER)
        file = File(path, kind, entry.mode, entry.uid, entry.gid, entry.size, entry.link)
        if kind == REGULAR:
            file = replace(file, content=self._content(path, entry))
        elif kind == HARD_LINK:
            file = self._further_name(file, b"/".join(components(entry.link)))
        self._files.pop(path, None)  # the last one of a name counts
        self._files[path] = file

    def _content(self, path: bytes, entry: Entry) -> bytes:
        """The digest of a file's bytes; what tells of packages is read on the way."""
        text = _text(path)
        reader = reader_of(text)
        if reader is not None:
            return self._packages_of(text, reader, entry)
        if text in _RELEASES and entry.size <= _LARGEST_RELEASE:
            data = b"".join(map(bytes, self._reader.chunks()))
            self._releases[text] = data.decode("utf-8", "replace")
            return _digest(data)
        whole = self._reader.content()
        if whole is not None:
            return _digest(whole)
        state = hashlib.sha256()
        for chunk in self._reader.chunks():
            state.update(chunk)
        return state.digest()[:_DIGEST_SIZE]

    def _packages_of(self, path: str, reader: Reader, entry: Entry) -> bytes:
        """The same of a file for a reader: of which no more is kept than it may have, and on the disk what is large."""
        state = hashlib.sha256()
        with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=self._temporary) as kept:
            for chunk in self._reader.chunks():
                state.update(chunk)
                if entry.size <= reader.limit:
                    kept.write(chunk)
            kept.seek(0)
            found = read(reader, path, kept, entry.size)  # type: ignore[arg-type] # it is one, but for its class
        self._packages[path] = found.packages
        self._skipped = [each for each in self._skipped if each.path != path]
        if found.skipped is not None:
            self._skipped.append(found.skipped)
        return state.digest()[:_DIGEST_SIZE]

    def _further_name(self, file: File, target: bytes) -> File:
        """A further name of a file, which is in the same layer: of one below, a layer could not speak."""
        found = self._packages.get(_text(target))
        if found is not None and reader_of(_text(file.path)) is not None:
            self._packages[_text(file.path)] = found
        same = self._files.get(target)
        if same is None:
            return replace(file, kind=OTHER, content=target)
        return replace(file, size=same.size, content=same.content, same_as=same.same_as or target)


def _text(path: bytes) -> str:
    """A path as text; bytes that are no UTF-8 stand as the sign for that, for a JSON has no place for them."""
    return path.decode("utf-8", "replace")


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()[:_DIGEST_SIZE]
