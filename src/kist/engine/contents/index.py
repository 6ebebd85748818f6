"""What is kept of a layer that was gone through: its files by path, and what they tell of packages."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
import zstandard

from kist.inventory.layers import LayerPackages

FORMAT = 1
"""Of the kept bytes; what has another one is made again."""

_LARGEST = 1 << 30
REGULAR, DIRECTORY, SYMBOLIC_LINK, HARD_LINK, OTHER = "f", "d", "l", "h", "o"


class File(msgspec.Struct, frozen=True, array_like=True):
    """One entry of a layer.

    Attributes:
        path: without a slash at its start; any bytes.
        kind: ``f`` regular, ``d`` directory, ``l`` symbolic link, ``h`` a further name of another one, ``o`` device or
            pipe.
        mode: permission bits with set-id and sticky bits.
        size: bytes; of a further name those of the file; 0 for what has none.
        content: of a regular file, the first 16 bytes of the SHA-256 of its bytes; of a symbolic link, what it names.
        same_as: of a further name, the path of the file.
    """

    path: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    size: int = 0
    content: bytes = b""
    same_as: bytes = b""


class LayerFiles(msgspec.Struct, frozen=True, array_like=True):
    """The entries of a layer in its order, what it deletes, and the directories that it empties."""

    files: tuple[File, ...] = ()
    removed: tuple[bytes, ...] = ()
    emptied: tuple[bytes, ...] = ()


class LayerIndex(NamedTuple):
    """What is known of a layer."""

    packages: LayerPackages
    files: LayerFiles


def pack(value: LayerPackages | LayerFiles) -> bytes:
    """The bytes that are kept."""
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(value))


def unpack_packages(data: bytes) -> LayerPackages:
    """What ``pack`` made of packages."""
    return msgspec.msgpack.decode(_plain(data), type=LayerPackages)


def unpack_files(data: bytes) -> LayerFiles:
    """What ``pack`` made of files."""
    return msgspec.msgpack.decode(_plain(data), type=LayerFiles)


def _plain(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST)


class Placed(NamedTuple):
    """A file of an image, and the number (from 1) of the layer that it is in."""

    file: File
    layer: int


class Lost(NamedTuple):
    """A file that a later layer hides: its bytes are carried and never seen. ``by`` is the number of that layer."""

    file: File
    layer: int
    by: int


class Files:
    """The files of a stack of layers, from the lowest up.

    Attributes:
        seen: by path, those of the image.
        lost: regular files that a later layer deletes or replaces.
    """

    def __init__(self, layers: Iterable[LayerFiles]) -> None:
        self.seen: dict[bytes, Placed] = {}
        self.lost: list[Lost] = []
        self._names: dict[tuple[int, bytes], list[bytes]] = {}  # further names of a layer's files
        for number, layer in enumerate(layers, 1):
            self._put_on(layer, number)

    def _put_on(self, layer: LayerFiles, number: int) -> None:
        gone = set(layer.removed)
        emptied = set(layer.emptied)
        # What is no directory (any more) hides all that lay below it.
        blocking = {file.path for file in layer.files if file.kind != DIRECTORY and self._was_directory(file.path)}
        if gone or emptied or blocking:
            hidden = [path for path in self.seen if path in gone or _is_below(path, gone, emptied, blocking)]
            for path in hidden:
                self._lose(path, number)
        for file in layer.files:
            if file.path in self.seen:
                self._lose(file.path, number)
            self.seen[file.path] = Placed(file, number)
            if file.kind == HARD_LINK:
                self._names.setdefault((number, file.same_as), []).append(file.path)

    def _was_directory(self, path: bytes) -> bool:
        was = self.seen.get(path)
        return was is not None and was.file.kind == DIRECTORY

    def _lose(self, path: bytes, number: int) -> None:
        was = self.seen.pop(path)
        if was.file.kind != REGULAR:
            return
        names = self._names.pop((was.layer, path), [])
        left = [name for name in names if name in self.seen and self.seen[name].layer == was.layer]
        if not left:
            self.lost.append(Lost(was.file, was.layer, number))
            return
        first, *others = left  # which is the file itself from here on: its bytes are still seen
        self.seen[first] = Placed(msgspec.structs.replace(self.seen[first].file, kind=REGULAR, same_as=b""), was.layer)
        for name in others:
            self.seen[name] = Placed(msgspec.structs.replace(self.seen[name].file, same_as=first), was.layer)
        self._names[was.layer, first] = others

    def regular(self) -> Iterator[Placed]:
        """Those with content of their own."""
        return (each for each in self.seen.values() if each.file.kind == REGULAR)


def _is_below(path: bytes, gone: set[bytes], emptied: set[bytes], blocking: set[bytes]) -> bool:
    if b"" in emptied:
        return True
    end = path.rfind(b"/")
    while end > 0:
        above = path[:end]
        if above in gone or above in emptied or above in blocking:
            return True
        end = path.rfind(b"/", 0, end)
    return False
