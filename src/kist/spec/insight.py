"""What is told of images: who has a package, who stands on whom, what is different, what is large."""

import msgspec

from kist.spec.digest import Digest
from kist.spec.package import Package, Skipped, Step


class ImageName(msgspec.Struct, frozen=True):
    """An image as people are told of it: its id, and its names (``debian:12``)."""

    id: Digest
    names: tuple[str, ...] = ()


class Holder(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image that has a package by a layer of its own; ``heirs`` are those that stand on that layer of it."""

    image: ImageName
    step: Step
    heirs: tuple[ImageName, ...] = ()


class Match(msgspec.Struct, frozen=True):
    """A package that was asked for, and the images that have it."""

    package: Package
    purl: str
    holders: tuple[Holder, ...]


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of ``why``.

    Attributes:
        asked: as it was asked.
        matches: by type, name and version.
        images: how many were looked at.
        skipped: what in them could not be read; each once.
        others: where nothing was found, the packages that would be meant but for their version.
    """

    asked: str
    matches: tuple[Match, ...]
    images: int
    skipped: tuple[Skipped, ...] = ()
    others: tuple[Package, ...] = ()


class Kin(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image in the tree of all.

    Attributes:
        parent: the id of the image that it stands on; empty for none.
        size: bytes of all its unpacked layers.
        own: of those that it has above its parent's.
        layers: how many of these there are.
        created_at: nanoseconds since the epoch.
    """

    image: ImageName
    size: int
    own: int
    layers: int
    created_at: int
    parent: str = ""


class ImageTree(msgspec.Struct, frozen=True):
    """All images, each after its parent; ``size`` is the bytes of all layers, each counted once."""

    images: tuple[Kin, ...]
    size: int


class FileDifference(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that is not the same in two images.

    Attributes:
        path: from the root, with a slash at its start.
        kind: ``added``, ``removed`` or ``changed``.
        before: bytes of it in the first.
        after: bytes of it in the second.
        what: of a changed one, what is different: ``type``, ``content``, ``mode``, ``owner``, ``target``.
    """

    path: str
    kind: str
    before: int = 0
    after: int = 0
    what: tuple[str, ...] = ()


class VersionDifference(msgspec.Struct, frozen=True):
    """A package of another version, and which way: ``newer`` or ``older``."""

    before: Package
    after: Package
    direction: str


class ImageDifference(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is different between two images: packages, files, or both; what was not asked for is None."""

    first: ImageName
    second: ImageName
    added: tuple[Package, ...] | None = None
    removed: tuple[Package, ...] | None = None
    changed: tuple[VersionDifference, ...] | None = None
    files: tuple[FileDifference, ...] | None = None


class Weight(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that takes space: bytes, and how many files."""

    name: str
    size: int
    count: int = 0
    hint: str = ""


class LayerWeight(msgspec.Struct, frozen=True):
    """A layer: bytes of its files, how many, and of those the bytes that later layers hide."""

    step: Step
    size: int
    count: int
    hidden: int


class HiddenFile(msgspec.Struct, frozen=True):
    """A file that is carried and never seen: layer ``layer`` brings it, and ``by`` deletes or replaces it."""

    path: str
    size: int
    layer: int
    by: int


class Duplicate(msgspec.Struct, frozen=True):
    """Files with the same content; ``size`` is that of one."""

    size: int
    paths: tuple[str, ...]


class Slim(msgspec.Struct, frozen=True):
    """What takes the space in an image; the largest of each, as many as were asked for.

    Attributes:
        size: bytes of all layers' files.
        seen: of the files that the image shows.
        layers: from the lowest up.
        directories: with all below them.
        packages: by what their databases say, or by the files that are theirs.
        hidden: files that later layers hide; ``hidden_size`` is of all of them.
        duplicates: ``duplicate_size`` is what one copy each would spare.
        caches: what can be made again: lists of packages, downloads; each with the way to be without it.
    """

    image: ImageName
    size: int
    seen: int
    layers: tuple[LayerWeight, ...]
    directories: tuple[Weight, ...]
    packages: tuple[Weight, ...]
    hidden: tuple[HiddenFile, ...]
    hidden_size: int
    duplicates: tuple[Duplicate, ...]
    duplicate_size: int
    caches: tuple[Weight, ...]
