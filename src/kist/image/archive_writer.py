"""Writing an archive of images that is an OCI layout and what ``docker save`` writes at once."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

import msgspec

from kist.errors import Corrupt
from kist.image import tar
from kist.image.layout import CONTAINERD_NAME, OCI_NAME
from kist.image.tar import Entry
from kist.image.tarwriter import TarWriter
from kist.spec import json
from kist.spec.artifact import Artifact, fallback_tag
from kist.spec.digest import Digest
from kist.spec.image import OCI_INDEX, Descriptor, Index, Manifest
from kist.spec.platform import Platform
from kist.spec.reference import Reference

_CHUNK = 1 << 20
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class SavedReferrer(msgspec.Struct, frozen=True):
    """What is attached to an image: its manifest, and the digest and size of that."""

    artifact: Artifact
    digest: Digest
    size: int


class SavedImage(msgspec.Struct, frozen=True):
    """An image to write.

    Attributes:
        manifest: its manifest; ``digest`` and ``size`` are of that.
        platform: its platform.
        references: the names that it gets.
        referrers: what is attached to it. An archive has no list of these, so they are in an index of their own under
            the tag that stands for one (distribution specification 1.1, "Referrers Tag Schema").
        annotations: of its descriptor.
    """

    manifest: Manifest
    digest: Digest
    size: int
    platform: Platform
    references: tuple[str, ...]
    referrers: tuple[SavedReferrer, ...] = ()
    annotations: dict[str, str] = {}


class Grouping(msgspec.Struct, frozen=True):
    """One image for several platforms.

    Attributes:
        images: the digests of the manifests of its images.
        references: the names that it gets; they are none of its images' own.
        annotations: of the index of its images.
        descriptor_annotations: of the descriptor of that index.
        docker: the one of its images that Docker's list of images has under these names, as it has no place for
            several; None for none.
    """

    images: tuple[Digest, ...]
    references: tuple[str, ...] = ()
    annotations: dict[str, str] = {}
    descriptor_annotations: dict[str, str] = {}
    docker: Digest | None = None


def write_archive(
    images: Sequence[SavedImage],
    open_blob: Callable[[Digest], BinaryIO],
    write: Callable[[bytes], object],
    groupings: Sequence[Grouping] = (),
) -> Descriptor:
    """Write the tar of ``images``; the same images give the same bytes.

    Args:
        images: in the order of the archive's lists.
        open_blob: gives a blob's bytes.
        write: takes the tar's bytes.
        groupings: those of the images that are one for several platforms, in an index of their own. An archive in which
            Docker's list would have nothing is an OCI layout alone.

    Returns:
        What the archive's index has first.

    Raises:
        Corrupt: a blob has not the size or the digest that its descriptor says.
    """
    writer = TarWriter(write)
    for name in (b"blobs/", b"blobs/sha256/"):
        writer.add(Entry(name, tar.DIRECTORY, 0o755, 0, 0, 0, 0, b"", (0, 0), {}))
    blobs = {image.digest: image.size for image in images}
    for image in images:
        blobs |= {part.digest: part.size for part in (image.manifest.config, *image.manifest.layers)}
        for each in image.referrers:
            blobs[each.digest] = each.size
            blobs |= {part.digest: part.size for part in (each.artifact.config, *each.artifact.layers)}
    lists = {image.digest: json.encode(_list(image)) for image in images if image.referrers}
    made = {Digest.of(data): data for data in lists.values()}
    groups = [(_nested(images, grouping), grouping) for grouping in groupings]
    made |= {Digest.of(nested): nested for nested, _ in groups}
    together = {digest for grouping in groupings for digest in grouping.images}
    alone = [image for image in images if image.references or image.digest not in together]
    index = _index(alone, groups, lists)
    for digest in sorted({*blobs, *made}):
        if digest in made:
            writer.file(_path(digest).encode(), made[digest])
        else:
            _add_blob(writer, digest, blobs[digest], open_blob)
    writer.file(b"index.json", json.encode(index))
    listed = _listed(images, alone, groupings)
    if listed:
        writer.file(b"manifest.json", json.encode([_docker_entry(image) for image in listed]))
    writer.file(b"oci-layout", _LAYOUT)
    if repositories := _repositories(listed):
        writer.file(b"repositories", json.encode(repositories))
    writer.close()
    return index.manifests[0]


def _add_blob(writer: TarWriter, digest: Digest, size: int, open_blob: Callable[[Digest], BinaryIO]) -> None:
    writer.add(Entry(_path(digest).encode(), tar.REGULAR, 0o644, 0, 0, size, 0, b"", (0, 0), {}))
    left = size
    found = hashlib.new(digest.algorithm)
    with open_blob(digest) as file:
        while left and (data := file.read(min(left, _CHUNK))):
            writer.data(data)
            found.update(data)
            left -= len(data)
        if left or file.read(1):
            raise Corrupt(f"blob {digest} does not have the {size} bytes that the manifest says")
    if found.hexdigest() != digest.hex:
        raise Corrupt(f"blob {digest} is damaged: its content has another digest", hint="load or build the image again")
    writer.pad(size)


def _list(image: SavedImage) -> Index:
    """What is attached to an image, as the index that a tag names."""
    found = [
        Descriptor(
            each.artifact.media_type,
            each.digest,
            each.size,
            annotations=each.artifact.annotations,
            artifact_type=each.artifact.artifact_type,
        )
        for each in image.referrers
    ]
    return Index(schema_version=2, media_type=OCI_INDEX, manifests=tuple(found))


def _index(
    alone: Sequence[SavedImage], groups: Sequence[tuple[bytes, Grouping]], lists: Mapping[Digest, bytes]
) -> Index:
    """The archive's index: images by themselves, those for several platforms, and what is attached to images."""
    descriptors = []
    for image in alone:
        kind = image.manifest.media_type
        plain = Descriptor(kind, image.digest, image.size, dict(image.annotations), platform=image.platform)
        descriptors += _named(plain, image.references)
    for nested, grouping in groups:
        plain = Descriptor(OCI_INDEX, Digest.of(nested), len(nested), grouping.descriptor_annotations)
        descriptors += _named(plain, grouping.references)
    for subject, data in lists.items():
        notes = {OCI_NAME: fallback_tag(subject)}
        descriptors.append(Descriptor(OCI_INDEX, Digest.of(data), len(data), annotations=notes))
    return Index(schema_version=2, media_type=OCI_INDEX, manifests=tuple(descriptors))


def _named(plain: Descriptor, references: Sequence[str]) -> list[Descriptor]:
    """The descriptor under each of the names; without a name where there is none."""
    notes = ({CONTAINERD_NAME: name, OCI_NAME: Reference.parse(name).tag} for name in references)
    named = [msgspec.structs.replace(plain, annotations={**plain.annotations, **each}) for each in notes]
    return named or [plain]


def _nested(images: Sequence[SavedImage], grouping: Grouping) -> bytes:
    """The index of one image for several platforms."""
    found = {
        image.digest: Descriptor(
            image.manifest.media_type, image.digest, image.size, image.annotations, platform=image.platform
        )
        for image in images
    }
    listed = tuple(found[digest] for digest in grouping.images)
    return json.encode(Index(2, OCI_INDEX, listed, dict(sorted(grouping.annotations.items()))))


def _listed(
    images: Sequence[SavedImage], alone: Sequence[SavedImage], groupings: Sequence[Grouping]
) -> list[SavedImage]:
    """The images of Docker's list, with the names that they have there."""
    names = {image.digest: image.references for image in alone}
    for grouping in groupings:
        if grouping.docker is not None:
            names[grouping.docker] = (*names.get(grouping.docker, ()), *grouping.references)
    return [msgspec.structs.replace(image, references=names[image.digest]) for image in images if image.digest in names]


def _docker_entry(image: SavedImage) -> dict[str, object]:
    return {
        "Config": _path(image.manifest.config.digest),
        "RepoTags": [Reference.parse(name).familiar for name in image.references] or None,
        "Layers": [_path(layer.digest) for layer in image.manifest.layers],
    }


def _repositories(images: Sequence[SavedImage]) -> dict[str, dict[str, str]]:
    """The oldest form's list: repository, tag, and the topmost layer."""
    found: dict[str, dict[str, str]] = {}
    for image in images:
        for name in image.references:
            if image.manifest.layers:
                reference = Reference.parse(name)
                found.setdefault(reference.familiar_name, {})[reference.tag] = image.manifest.layers[-1].digest.hex
    return found


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
