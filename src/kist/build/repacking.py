"""The layers of an image as an output wants them: compressed, in another way, or not at all."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

import msgspec

from kist.image.compression import Compressor, plain
from kist.spec.digest import Digest
from kist.spec.image import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, Descriptor
from kist.spec.outputs import PLAIN, Compression
from kist.store import Store

_TYPES = {PLAIN: OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
_CHUNK = 1 << 20


class Repacked(msgspec.Struct, frozen=True):
    """Layers for an archive, and the files of those that the store has not got in this form."""

    layers: tuple[Descriptor, ...]
    files: Mapping[Digest, str] = {}


@contextmanager
def repacked(
    store: Store,
    layers: Sequence[Descriptor],
    wanted: Compression | None,
    inherited: int,
    advanced: Callable[[int, int], None],
) -> Iterator[Repacked]:
    """The layers as they are wanted, for the time of the block.

    As with BuildKit, those of the base stay as they are, unless all are forced; what is of the wanted kind stays, too.

    Args:
        store: has them.
        layers: from the lowest up.
        wanted: None to leave them.
        inherited: how many the base has.
        advanced: hears how many bytes of how many are done; what it raises ends it.

    Raises:
        Corrupt: a layer is damaged.
        OSError: the disk is full.
    """
    chosen = {
        number
        for number, layer in enumerate(layers)
        if wanted is not None and (wanted.force or number >= inherited) and kind_of(layer) != wanted.kind
    }
    if wanted is None or not chosen:
        yield Repacked(tuple(layers))
        return
    total = sum(layers[number].size for number in chosen)
    done = 0
    made: list[Descriptor] = []
    files: dict[Digest, str] = {}
    with store.temporary() as directory:
        for number, layer in enumerate(layers):
            if number not in chosen:
                made.append(layer)
                continue
            path = os.path.join(directory, str(number))
            with store.blobs.open(layer.digest) as source, open(path, "wb") as target:
                digest, size = _repack(source, target, wanted, partial(_further, advanced, done, total))
            done += layer.size
            files[digest] = path
            made.append(Descriptor(_TYPES[wanted.kind], digest, size))
        yield Repacked(tuple(made), files)


def _further(advanced: Callable[[int, int], None], before: int, total: int, read: int) -> None:
    advanced(before + read, total)


def _repack(source: BinaryIO, target: BinaryIO, wanted: Compression, read: Callable[[int], None]) -> tuple[Digest, int]:
    """Write a layer in another form; its digest and size."""
    compressor = None if wanted.kind == PLAIN else Compressor(wanted.kind, wanted.level)
    hashed = hashlib.sha256()
    size = 0

    def write(data: bytes) -> None:
        nonlocal size
        hashed.update(data)
        target.write(data)
        size += len(data)

    stream = plain(source)
    while data := stream.read(_CHUNK):
        write(compressor.add(data) if compressor else data)
        read(source.tell())
    if compressor:
        write(compressor.end())
    return Digest(f"sha256:{hashed.hexdigest()}"), size


def kind_of(layer: Descriptor) -> str:
    """How a layer is compressed, by its media type (OCI's or Docker's)."""
    for ending, kind in ((("+gzip", ".gzip"), "gzip"), (("+zstd", ".zstd"), "zstd")):
        if layer.media_type.endswith(ending):
            return kind
    return PLAIN
