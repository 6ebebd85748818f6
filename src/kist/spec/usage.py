"""What takes space, and what a clean-up gives back; all sizes in bytes."""

import msgspec

from kist.spec.container import Container
from kist.spec.summary import Image
from kist.spec.volume import Volume


class Pruned(msgspec.Struct, frozen=True):
    """What a clean-up removed, or would remove.

    Attributes:
        deleted: ids of containers, digests of images and layers, or keys of the build cache.
        untagged: the names that images lost.
        size: what was given back.
    """

    deleted: tuple[str, ...] = ()
    untagged: tuple[str, ...] = ()
    size: int = 0


class SystemPruned(msgspec.Struct, frozen=True):
    """What a clean-up of everything would remove: ids, names and keys, and the bytes of all of it together."""

    containers: tuple[str, ...]
    images: Pruned
    volumes: tuple[str, ...]
    cache: tuple[str, ...]
    size: int


class ImageUsage(msgspec.Struct, frozen=True):
    """The space of one image's layers, unpacked.

    Attributes:
        containers: how many were made from it, running or not.
        shared: of layers that other images have too.
        unique: of layers that no other image has.
    """

    image: Image
    containers: int
    shared: int
    unique: int


class ContainerUsage(msgspec.Struct, frozen=True):
    """The space of one container.

    Attributes:
        written: what it has written over its image.
        root: what it and its image have.
        log: and its log.
        again: what of its image it takes once more, where its files are a copy.
    """

    container: Container
    written: int
    root: int
    log: int
    again: int = 0

    @property
    def size(self) -> int:
        """What is given back when it is removed."""
        return self.written + self.log + self.again


class CacheUsage(msgspec.Struct, frozen=True):
    """The space of one entry of the build cache.

    Attributes:
        size: of the layer that it keeps, unpacked and as a blob; 0 where the step changed nothing.
        shared: whether an image has that layer too, so that the entry costs nothing.
        used_at: seconds since the epoch.
    """

    key: str
    size: int
    shared: bool
    used_at: int


class VolumeUsage(msgspec.Struct, frozen=True):
    """The space of one volume, and how many containers have it."""

    volume: Volume
    containers: int
    size: int


class DiskUsage(msgspec.Struct, frozen=True):
    """What is under the data root. Nothing is counted twice, so the totals add up to what ``du`` finds.

    Attributes:
        images_size: all layers of images, each once, unpacked and as blobs, with configs and manifests.
        images_reclaimable: what of it no container needs.
        cache_size: what only the build cache keeps.
        packages_size: what bootstraps have downloaded.
    """

    images: tuple[ImageUsage, ...]
    images_size: int
    images_reclaimable: int
    containers: tuple[ContainerUsage, ...]
    cache: tuple[CacheUsage, ...]
    cache_size: int
    volumes: tuple[VolumeUsage, ...]
    packages_size: int

    @property
    def containers_size(self) -> int:
        """Of what containers have written, and their logs."""
        return sum(each.size for each in self.containers)

    @property
    def containers_reclaimable(self) -> int:
        """Of those that do not run."""
        return sum(each.size for each in self.containers if not each.container.state.running)

    @property
    def volumes_size(self) -> int:
        """Of the files of all volumes."""
        return sum(each.size for each in self.volumes)

    @property
    def volumes_reclaimable(self) -> int:
        """Of those that no container has."""
        return sum(each.size for each in self.volumes if not each.containers)

    @property
    def total(self) -> int:
        """All of it."""
        return self.images_size + self.containers_size + self.cache_size + self.volumes_size + self.packages_size
