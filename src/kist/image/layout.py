"""The documents of an archive that is an OCI layout (image-spec 1.1, image-layout.md): each is read once.

A document may be named any number of times, by documents that are named any number of times, so that a small archive
could be made to take days; what is read once, and counted, takes as long as the archive is large.
"""

from collections.abc import Sequence

from kist.errors import Corrupt, InvalidInput, NotFound
from kist.image.members import Member, Members
from kist.spec.artifact import subject_of
from kist.spec.digest import Digest
from kist.spec.image import (
    DOCKER_INDEX,
    OCI_INDEX,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    parse_config,
    parse_index,
    parse_manifest,
)
from kist.spec.platform import Platform
from kist.spec.reference import Reference

CONTAINERD_NAME = "io.containerd.image.name"
OCI_NAME = "org.opencontainers.image.ref.name"
_DEEPEST_INDEX = 4
_MOST_IMAGES = 10_000


class Layout:
    """An archive's documents.

    Args:
        members: of the archive.
        index: its ``index.json``, where it has one.
    """

    def __init__(self, members: Members, index: Member | None) -> None:
        self._members = members
        self._indexes: dict[Digest, Index] = {}
        self._manifests: dict[Digest, tuple[bytes, Manifest]] = {}
        self._configs: dict[Digest, tuple[bytes, ImageConfig]] = {}
        self._groups: dict[str, list[Descriptor]] | None = None
        self._by_parts: dict[tuple[Digest, tuple[Digest, ...]], Descriptor] | None = None
        self._layers: dict[Digest, tuple[Member, ...]] = {}
        self._count = 0
        self.top: tuple[Descriptor, ...] = ()
        if index is not None:
            self.top = parse_index(index.read("index.json"), what="index.json").manifests

    def groups(self) -> dict[str, list[Descriptor]]:
        """The manifests of images that are in the archive, by names; those without one, by a number after ``#``.

        Raises:
            Corrupt: something that the archive's own index names is missing or is another one.
            InvalidInput: there are more than anybody keeps.
        """
        if self._groups is None:
            named: dict[str, list[Descriptor]] = {}
            for number, descriptor in enumerate(self.top):
                if not is_list(descriptor):
                    named.setdefault(name_of(descriptor) or f"#{number}", []).append(descriptor)
            self._groups = {name: self._images(descriptors, 0, set()) for name, descriptors in named.items()}
        return self._groups

    def made_of(self, config: Digest, layers: tuple[Digest, ...]) -> Descriptor | None:
        """The manifest of the image that has this config and these layers, whatever its platform."""
        if self._by_parts is None:
            self._by_parts = {}
            for each in {each.digest: each for group in self.groups().values() for each in group}.values():
                manifest = self.manifest(each)[1]
                parts = manifest.config.digest, tuple(layer.digest for layer in manifest.layers)
                self._by_parts.setdefault(parts, each)
        return self._by_parts.get((config, layers))

    def index(self, descriptor: Descriptor, what: str) -> Index:
        """An index."""
        found = self._indexes.get(descriptor.digest)
        if found is None:
            data = self.blob(descriptor).read(what)
            found = self._indexes[descriptor.digest] = parse_index(data, what=what)
        return found

    def manifest(self, descriptor: Descriptor) -> tuple[bytes, Manifest]:
        """A manifest, and its bytes."""
        found = self._manifests.get(descriptor.digest)
        if found is None:
            data = self.blob(descriptor).read("a manifest")
            found = data, parse_manifest(data, what=f"manifest {descriptor.digest}")
            self._manifests[descriptor.digest] = found
        return found

    def layers(self, descriptor: Descriptor) -> tuple[Member, ...]:
        """The layers of a manifest."""
        found = self._layers.get(descriptor.digest)
        if found is None:
            found = tuple(map(self.blob, self.manifest(descriptor)[1].layers))
            self._layers[descriptor.digest] = found
        return found

    def config(self, member: Member) -> tuple[bytes, ImageConfig]:
        """An image's config, and its bytes."""
        found = self._configs.get(member.digest)
        if found is None:
            data = member.read("a config")
            found = self._configs[member.digest] = data, parse_config(data, what=f"image config {member.digest}")
        return found

    def blob(self, descriptor: Descriptor) -> Member:
        """What a descriptor means.

        Raises:
            Corrupt: it is not there, or has another size or digest.
        """
        member = self._members.need_blob(descriptor.digest)
        if member.size != descriptor.size:
            raise Corrupt(
                f"blob {descriptor.digest} in the image archive does not have the size that is told of it: "
                f"{member.size} bytes, not {descriptor.size}",
                hint="save the image again",
            )
        return member

    def _images(self, descriptors: Sequence[Descriptor], depth: int, seen: set[tuple[Digest, str]]) -> list[Descriptor]:
        """The manifests that are in the archive, out of nested indexes too; without those that are no images."""
        if depth > _DEEPEST_INDEX:
            raise InvalidInput("the archive's indexes are nested too deep")
        found = []
        for descriptor in descriptors:
            self._count += 1
            if self._count > _MOST_IMAGES:
                raise InvalidInput(f"the archive speaks of more than {_MOST_IMAGES} images")
            known = descriptor.digest, str(descriptor.platform or "")
            if known in seen:
                continue
            seen.add(known)
            if self._members.blob(descriptor.digest) is None:
                if depth == 0:
                    self.blob(descriptor)
                continue  # an image saved for one platform only keeps the index of all
            if descriptor.media_type in {OCI_INDEX, DOCKER_INDEX}:
                found += self._images(self.index(descriptor, "an index").manifests, depth + 1, seen)
            elif descriptor.artifact_type:
                continue  # something about an image
            elif descriptor.platform is None or descriptor.platform.os != "unknown":  # attestations say unknown
                found.append(descriptor)
        return found


def is_list(descriptor: Descriptor) -> bool:
    """Whether it is the index of what is attached to an image, which is an image for nobody."""
    return subject_of(descriptor.annotations.get(OCI_NAME, "")) is not None


def choose(manifests: Sequence[Descriptor], host: Platform) -> Descriptor:
    """The one of an image's manifests that runs here.

    Raises:
        NotFound: none does.
    """
    if len(manifests) == 1:
        return manifests[0]
    fitting = [m for m in manifests if m.platform is None or m.platform.runs_on(host)]
    if not fitting:
        there = ", ".join(str(m.platform) for m in manifests)
        raise NotFound(
            f"the archive has no image for {host}: it has {there}", hint=f"save the image with --platform {host}"
        )
    return max(fitting, key=lambda m: m.platform is not None and m.platform.architecture == host.architecture)


def name_of(descriptor: Descriptor) -> str:
    """The full name that annotations give an image; empty where they give a tag alone, or nothing that is a name."""
    full = descriptor.annotations.get(CONTAINERD_NAME, "")
    short = descriptor.annotations.get(OCI_NAME, "")
    try:
        if full:
            return str(Reference.parse(full))
        return str(Reference.parse(short)) if ":" in short or "/" in short else ""
    except InvalidInput:
        return ""
