"""The step cache as an OCI image layout (image-spec 1.1, image-layout.md): brought to a directory, and taken from one.

One manifest, which names the list of steps and the layers that they have made (``cache_steps``).
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import msgspec

from kist.build.build import carry_out
from kist.build.cache import StepCache
from kist.build.cache_steps import LARGEST, STEPS, Step, Steps, layers_of, steps_of
from kist.errors import InvalidInput, NotFound
from kist.image import tar
from kist.image.tar import Entry
from kist.image.tarwriter import TarWriter
from kist.kernel import faults
from kist.spec import build_cache, json
from kist.spec.build import BuildOptions
from kist.spec.credentials import Logins
from kist.spec.digest import Digest
from kist.spec.image import OCI_INDEX, OCI_MANIFEST, Descriptor, Index, Manifest, parse_index, parse_manifest
from kist.spec.interface import Progress
from kist.spec.progress import CacheKept, Event
from kist.spec.provision import Provision
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20


class _File(NamedTuple):
    """A file of the layout: its path, and its bytes or the blob that has them."""

    path: str
    size: int
    data: bytes = b""
    blob: Digest | None = None


def build_with(
    engine: "Engine",
    context: str,
    options: BuildOptions,
    progress: Progress | None,
    given: Provision,
    logins: Logins,
) -> Image:
    """``build``, with the directories of its caches: those to take from before it, those to write to after it."""
    caches = build_cache.read(options.cache_from, options.cache_to)
    keys: dict[str, tuple[str, ...]] = {}

    def listen(event: Event) -> None:
        if isinstance(event, CacheKept):
            keys[event.mode] = event.keys
        if progress:
            progress(event)

    for directory in caches.directories:
        load(engine, directory)
    options = msgspec.structs.replace(options, cache_from=caches.images, cache_to=caches.engine)
    image = carry_out(engine, context, options, listen, given, logins).image
    for directory, mode in caches.targets:
        write_directory(engine, keys[mode], directory)
    return image


def write_archive(engine: "Engine", keys: Sequence[str], target: BinaryIO) -> None:
    """Write the steps of these keys as a tar; those that the cache has lost meanwhile are left out."""
    writer = TarWriter(target.write)
    for name in (b"blobs/", b"blobs/sha256/"):
        writer.add(Entry(name, tar.DIRECTORY, 0o755, 0, 0, 0, 0, b"", (0, 0), {}))
    for file in _files(engine, keys):
        writer.add(Entry(file.path.encode(), tar.REGULAR, 0o644, 0, 0, file.size, 0, b"", (0, 0), {}))
        for data in _bytes(engine, file):
            writer.data(data)
            faults.point("build part: writes a file of a cache")
        writer.pad(file.size)
    writer.close()


def write_directory(engine: "Engine", keys: Sequence[str], directory: str) -> None:
    """Write the steps of these keys into a directory; blobs that are there stay, the list of steps is the new one.

    Raises:
        OSError: it cannot be written.
    """
    os.makedirs(os.path.join(directory, "blobs/sha256"), exist_ok=True)
    for file in _files(engine, keys):
        path = os.path.join(directory, file.path)
        if file.blob is not None and os.path.exists(path) and os.path.getsize(path) == file.size:
            continue
        with open(f"{path}.part", "wb") as target:
            target.writelines(_bytes(engine, file))
        os.replace(f"{path}.part", path)


def load(engine: "Engine", directory: str) -> int:
    """Take the steps that a directory has into the step cache, with their layers; how many there are.

    Raises:
        NotFound: there is no such directory, or a blob of it is missing.
        InvalidInput: it is no layout with a cache.
        Corrupt: a blob has not the content that its digest says.
    """
    steps, manifest = _read(directory)
    cache = StepCache(engine)
    with engine.store.writing():
        for descriptor in manifest.layers:
            if descriptor.digest not in engine.store.blobs:
                _keep(engine, os.path.join(directory, _path(descriptor.digest)), descriptor.digest)
        for step in steps:
            faults.point("build cache: took a layer")
            if step.made.layer is not None and step.made.layer.diff_id != step.made.layer.descriptor.digest:
                raise InvalidInput(f"the build cache in {directory} names a layer by another digest than its own")
            cache.put(step.key, step.made)
    return len(steps)


def lacking(engine: "Engine", digests: Sequence[str]) -> list[str]:
    """Of these blobs, those that are not here."""
    return [digest for digest in digests if Digest(digest) not in engine.store.blobs]


def _files(engine: "Engine", keys: Sequence[str]) -> Iterator[_File]:
    steps = steps_of(engine, keys)
    layers = layers_of(steps)
    for descriptor in layers:
        yield _File(_path(descriptor.digest), descriptor.size, blob=descriptor.digest)
    config = json.encode(steps)
    described = Descriptor(STEPS, Digest.of(config), len(config))
    manifest = json.encode(Manifest(2, OCI_MANIFEST, described, layers))
    index = json.encode(Index(2, OCI_INDEX, (Descriptor(OCI_MANIFEST, Digest.of(manifest), len(manifest)),)))
    yield _File(_path(described.digest), len(config), config)
    yield _File(_path(Digest.of(manifest)), len(manifest), manifest)
    yield _File("oci-layout", len(_LAYOUT), _LAYOUT)
    yield _File("index.json", len(index), index)


def _bytes(engine: "Engine", file: _File) -> Iterator[bytes]:
    if file.blob is None:
        yield file.data
        return
    with engine.store.blobs.open(file.blob) as blob:
        while data := blob.read(_CHUNK):
            yield data


def _read(directory: str) -> tuple[tuple[Step, ...], Manifest]:
    def content(name: str) -> bytes:
        try:
            with open(os.path.join(directory, name), "rb") as file:
                return file.read(LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"there is no build cache in {directory}: {name} is missing",
                hint="write one with --cache-to type=local,dest=DIRECTORY",
            ) from None

    def blob(descriptor: Descriptor) -> bytes:
        data = content(_path(descriptor.digest))
        if Digest.of(data) != descriptor.digest:
            raise InvalidInput(f"the build cache in {directory} is damaged: {descriptor.digest} has another content")
        return data

    index = parse_index(content("index.json"), what="index of the build cache")
    for descriptor in index.manifests:
        if descriptor.media_type == OCI_MANIFEST:
            manifest = parse_manifest(blob(descriptor), what="manifest of the build cache")
            if manifest.config.media_type == STEPS:
                return json.decode(blob(manifest.config), Steps, what="steps of the build cache").steps, manifest
    raise InvalidInput(
        f"{directory} is an image layout, and no build cache is in it",
        hint="a cache that another builder has written cannot be taken: its steps have other keys",
    )


def _keep(engine: "Engine", path: str, digest: Digest) -> None:
    if not os.path.exists(path):
        raise NotFound(f"the build cache lacks the layer {digest}", hint="write it again with --cache-to")
    with open(path, "rb") as source, engine.store.blobs.writer(digest) as writer:
        while data := source.read(_CHUNK):
            writer.write(data)
        writer.commit()


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
