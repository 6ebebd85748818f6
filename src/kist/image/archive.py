"""Archives of images: what ``docker save`` writes, old and new, and OCI layouts (image-spec 1.1, image-layout.md).

Reading gives each image's manifest, config and names, whatever the form; writing gives an archive that is both forms
at once, as Docker 25 and later write it, so that every tool reads it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple

import msgspec

from kist.errors import Corrupt, InvalidInput, NotFound, Unsupported
from kist.image.compression import detect
from kist.image.layout import Layout, choose, is_list
from kist.image.members import Member, Members, Sink
from kist.spec import json
from kist.spec.artifact import EMPTY, Artifact
from kist.spec.digest import Digest
from kist.spec.image import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Manifest,
)
from kist.spec.platform import Platform
from kist.spec.reference import Reference

_LAYER_TYPES = {"": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
_OF_A_TREE = "of a tar of a file tree, as `export` writes it, `kist import FILE NAME` makes an image"


class DockerEntry(msgspec.Struct, frozen=True, rename="pascal"):
    """One image of ``manifest.json``."""

    config: str
    repo_tags: tuple[str, ...] | None = None
    layers: tuple[str, ...] | None = None


class ArchivedReferrer(msgspec.Struct, frozen=True):
    """What is attached to an image: its manifest with the bytes of that, and what it holds."""

    artifact: Artifact
    data: bytes
    content: Member


class ArchivedImage(msgspec.Struct, frozen=True):
    """One image of an archive.

    Attributes:
        manifest: the manifest; its bytes are ``manifest_data``.
        config: the config; its bytes are ``config_data``.
        references: full names.
        layers: the archive's member for each layer of the manifest, from the lowest up.
        also: names of another image, which has this one for a further platform.
        referrers: what is attached to it: of documents, that is of those that hold one thing.
    """

    manifest: Manifest
    manifest_data: bytes
    config: ImageConfig
    config_data: bytes
    references: tuple[str, ...]
    layers: tuple[Member, ...]
    also: tuple[str, ...] = ()
    referrers: tuple[ArchivedReferrer, ...] = ()

    @property
    def manifest_digest(self) -> Digest:
        """The digest of the manifest's bytes."""
        return Digest.of(self.manifest_data)


def read_archive(
    stream: BinaryIO,
    open_sink: Callable[[], Sink],
    host: Platform,
    wanted: Sequence[Platform] = (),
    *,
    every: bool = False,
) -> tuple[ArchivedImage, ...]:
    """Read a plain tar of images.

    Args:
        stream: the tar, not compressed.
        open_sink: makes the place for a large member.
        host: the platform to pick where an image is there for several.
        wanted: platforms to take of each image in place of the host's, and no others. Of an image that is taken for
            several, the one that runs on the host has the names, else the one that is wanted first; the others have
            them for their platforms.
        every: where none are wanted, take those for all platforms of what has a name; the host's or the first has it.

    Raises:
        InvalidInput: it is no archive of images, or has paths that lead out of it.
        Corrupt: it is damaged, a blob does not match its digest, or something is missing.
        NotFound: an image is there for several platforms, but not for this one; nothing is there for a wanted one.
    """
    members = Members.read(stream, open_sink)
    docker = members.get("manifest.json")
    index = members.get("index.json")
    entries: tuple[DockerEntry, ...] = ()
    if docker is not None:
        entries = _entries(docker.read("manifest.json"))
    elif index is None:
        raise InvalidInput("this is no archive of images: it has neither manifest.json nor index.json", hint=_OF_A_TREE)
    layout = Layout(members, index)
    if wanted:
        offers = _offers(members, layout, entries) if index is None else _offers_of_layout(members, layout, entries)
        return _with_referrers(members, layout, _of_platforms(offers, wanted, host))
    several = _several(members, layout, entries, host) if every else ()
    if docker is not None:
        images = _from_list(several, [_from_docker(members, layout, entry) for entry in entries])
        return _with_referrers(members, layout, images)
    done = {name for image in several for name in image.references}
    return _with_referrers(members, layout, (*several, *_from_layout(layout, host, without=done)))


def _entries(text: bytes) -> tuple[DockerEntry, ...]:
    try:
        return json.decode(text, tuple[DockerEntry, ...], what="manifest.json")
    except InvalidInput as error:  # a tree may well have a file of that name, of a web page for one
        raise InvalidInput(f"this is no archive of images: {error}", hint=_OF_A_TREE) from None


def _with_referrers(members: Members, layout: Layout, images: Sequence[ArchivedImage]) -> tuple[ArchivedImage, ...]:
    """The images with what is attached to them, whether the index lists it itself, or under a tag for each image."""
    listed: dict[Digest, None] = {}
    lists: set[Digest] = set()
    for descriptor in layout.top:
        if is_list(descriptor) and descriptor.digest not in lists:
            lists.add(descriptor.digest)
            nested = layout.index(descriptor, "a list of referrers").manifests
            listed.update((each.digest, None) for each in nested if each.artifact_type)
        elif descriptor.artifact_type:
            listed[descriptor.digest] = None
    found: dict[Digest, list[ArchivedReferrer]] = {}
    for digest in listed:
        if (referrer := _referrer(members, layout, digest)) is not None:
            found.setdefault(referrer.artifact.subject.digest, []).append(referrer)
    return tuple(
        msgspec.structs.replace(image, referrers=tuple(found.get(image.manifest_digest, ()))) for image in images
    )


def _referrer(members: Members, layout: Layout, digest: Digest) -> ArchivedReferrer | None:
    """A document about an image; None for what is no such thing, or is not in the archive."""
    member = members.blob(digest)
    if member is None:
        return None
    data = member.read("an artifact")
    try:
        artifact = json.decode(data, Artifact, what="an artifact")
    except InvalidInput:
        return None
    if len(artifact.layers) != 1 or artifact.config.digest != Digest.of(EMPTY):
        return None
    return ArchivedReferrer(artifact, data, layout.blob(artifact.layers[0]))


class _Offer(NamedTuple):
    """An image for one platform: which one it is (a name, or a number after ``#``), its names, and how to have it."""

    image: str
    names: tuple[str, ...]
    platform: Platform
    read: Callable[[], ArchivedImage]


def _offers(members: Members, layout: Layout, entries: Sequence[DockerEntry]) -> Iterator[_Offer]:
    for number, entry in enumerate(entries):
        image = _from_docker(members, layout, entry)
        yield _Offer(f"#{number}", image.references, image.config.platform, partial(_itself, image))


def _itself(image: ArchivedImage) -> ArchivedImage:
    return image


def _offers_of_layout(members: Members, layout: Layout, entries: Sequence[DockerEntry]) -> Iterator[_Offer]:
    """Those of the index; where it gives no name, ``manifest.json`` may."""
    tagged = {members.need(entry.config).digest: entry.repo_tags or () for entry in entries}
    for group, descriptors in layout.groups().items():
        for descriptor in descriptors:
            names: tuple[str, ...] = (group,)
            if group.startswith("#"):
                config = layout.manifest(descriptor)[1].config.digest
                names = tuple(str(Reference.parse(name)) for name in tagged.get(config, ()))
            read = partial(_from_manifest, layout, descriptor, names)
            yield _Offer(group, names, descriptor.platform or read().config.platform, read)


def _several(
    members: Members, layout: Layout, entries: Sequence[DockerEntry], host: Platform
) -> tuple[ArchivedImage, ...]:
    """The images of those names that have some for several platforms."""
    offers: dict[str, dict[str, _Offer]] = {}
    for offer in _offers_of_layout(members, layout, entries):
        if not offer.image.startswith("#"):
            offers.setdefault(offer.image, {}).setdefault(str(offer.platform.usual), offer)
    return _of_platforms((o for group in offers.values() if len(group) > 1 for o in group.values()), (), host)


def _from_list(several: Sequence[ArchivedImage], listed: Sequence[ArchivedImage]) -> list[ArchivedImage]:
    """Those for several platforms, and those of Docker's list, which has one image for each name."""
    done = {name for image in several for name in image.references}
    known = {image.manifest_digest for image in several}
    images = [*several]
    for image in listed:
        names = tuple(name for name in image.references if name not in done)
        if names or image.manifest_digest not in known:
            images.append(msgspec.structs.replace(image, references=names))
    return images


def _of_platforms(offers: Iterable[_Offer], wanted: Sequence[Platform], host: Platform) -> tuple[ArchivedImage, ...]:
    images: dict[str, list[_Offer]] = {}
    for offer in offers:
        images.setdefault(offer.image, []).append(offer)
    taken: dict[Digest, ArchivedImage] = {}
    missing = list(wanted)
    for group in images.values():
        fitting = [next((o for o in group if o.platform.is_one_of(each)), None) for each in wanted]
        missing = [each for each, found in zip(wanted, fitting, strict=True) if found is None and each in missing]
        chosen = list(dict.fromkeys(found for found in fitting if found is not None)) if wanted else group
        named = next((offer for offer in chosen if offer.platform.runs_on(host)), chosen[0] if chosen else None)
        for offer in chosen:
            image = offer.read()
            before = taken.get(image.manifest_digest, image)
            names, also = (before.references, before.also) if before is not image else ((), ())
            if offer is named:
                names = tuple(dict.fromkeys((*names, *offer.names)))
            else:
                also = tuple(dict.fromkeys((*also, *offer.names)))
            taken[image.manifest_digest] = msgspec.structs.replace(image, references=names, also=also)
    if missing:
        there = ", ".join(sorted({str(offer.platform) for group in images.values() for offer in group}))
        raise NotFound(
            f"the archive has no image for {missing[0]}: it has {there}",
            hint="name one of these platforms, or none",
        )
    return tuple(taken.values())


def _from_docker(members: Members, layout: Layout, entry: DockerEntry) -> ArchivedImage:
    config = members.need(entry.config)
    layers = tuple(members.need(path) for path in entry.layers or ())
    names = tuple(str(Reference.parse(name)) for name in entry.repo_tags or ())
    descriptor = layout.made_of(config.digest, tuple(layer.digest for layer in layers))
    if descriptor is not None:
        return _from_manifest(layout, descriptor, names)
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(OCI_CONFIG, config.digest, config.size),
        layers=tuple(Descriptor(_layer_type(layer), layer.digest, layer.size) for layer in layers),
    )
    return _image(layout, manifest, json.encode(manifest), config, layers, names)


def _from_layout(layout: Layout, host: Platform, without: Collection[str]) -> tuple[ArchivedImage, ...]:
    """The images of an OCI layout but for some names."""
    found: dict[Digest, tuple[Descriptor, list[str]]] = {}
    for name, descriptors in layout.groups().items():
        if name not in without and descriptors:
            chosen = choose(descriptors, host)
            names = found.setdefault(chosen.digest, (chosen, []))[1]
            names.extend(() if name.startswith("#") else (name,))
    return tuple(_from_manifest(layout, descriptor, tuple(names)) for descriptor, names in found.values())


def _from_manifest(layout: Layout, descriptor: Descriptor, names: tuple[str, ...]) -> ArchivedImage:
    data, manifest = layout.manifest(descriptor)
    return _image(layout, manifest, data, layout.blob(manifest.config), layout.layers(descriptor), names)


def _image(
    layout: Layout,
    manifest: Manifest,
    data: bytes,
    config: Member,
    layers: tuple[Member, ...],
    names: tuple[str, ...],
) -> ArchivedImage:
    config_data, parsed = layout.config(config)
    if len(parsed.rootfs.diff_ids) != len(layers):
        raise Corrupt(
            f"image {config.digest} has {len(layers)} layers in the archive, but its config speaks of "
            f"{len(parsed.rootfs.diff_ids)}",
            hint="save the image again",
        )
    return ArchivedImage(manifest, data, parsed, config_data, names, layers)


def _layer_type(layer: Member) -> str:
    with layer.open() as file:
        kind = detect(file.read(8))
    if kind not in _LAYER_TYPES:
        raise Unsupported(f"layer {layer.digest} is compressed with {kind}", hint="use gzip, zstd or none")
    return _LAYER_TYPES[kind]
