"""Packages that are in an image, and what is told of them."""

import msgspec

from kist.spec.digest import Digest

TYPES = ("deb", "apk", "rpm", "pypi", "npm", "conda", "maven")
"""The words of package URLs (purl-spec, types) for what is read; how versions are compared goes by them."""


class Package(msgspec.Struct, frozen=True, omit_defaults=True):
    """One package as the database of its kind has it.

    Attributes:
        type: one of ``TYPES``.
        name: as its ecosystem spells it; of Maven's ``group:artifact``.
        version: whole: with epoch and revision.
        path: the file of the image that says so, without a slash at its start.
        architecture: in the ecosystem's own word; empty for none.
        source: the source package that it was built from; empty where that is the package itself, or unknown.
        source_version: of that, where it is another one.
        licence: as the package says it, which need be no expression of SPDX; empty where it says nothing.
        size: bytes of its files, 0 where nobody says.
    """

    type: str
    name: str
    version: str
    path: str
    architecture: str = ""
    source: str = ""
    source_version: str = ""
    licence: str = ""
    size: int = 0

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What makes it the same package, wherever its database lies."""
        return self.type, self.name, self.version, self.architecture


class Skipped(msgspec.Struct, frozen=True):
    """A file that should have told of packages, and could not be read; ``why`` is a word for people."""

    path: str
    why: str


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A layer of an image, by what made it.

    Attributes:
        number: of the layer, from 1 for the lowest.
        diff_id: the layer.
        created_by: the line of the image's history.
        place: the line of the Dockerfile, where it was built here: ``Dockerfile:3``.
    """

    number: int
    diff_id: Digest
    created_by: str = ""
    place: str = ""


class FoundPackage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A package of an image.

    Attributes:
        package: which.
        layer: the number of the layer that it came with.
        purl: its package URL (purl-spec).
    """

    package: Package
    layer: int
    purl: str


class ImagePackages(msgspec.Struct, frozen=True, omit_defaults=True):
    """All packages of an image.

    Attributes:
        image: its id.
        name: its name, for people; empty for none.
        distribution: ``ID`` and ``VERSION_ID`` of its os-release, with a space between; empty where it has none.
        layers: from the lowest up.
        packages: by type, name, version and path.
        skipped: what could not be read.
    """

    image: Digest
    name: str
    distribution: str
    layers: tuple[Step, ...]
    packages: tuple[FoundPackage, ...]
    skipped: tuple[Skipped, ...] = ()
