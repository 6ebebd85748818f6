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
    networks: tuple[str, ...] = ()


class ImageUsage(msgspec.Struct, frozen=True):
    """The space of one image.

    Attributes:
        containers: how many were made from it, running or not.
        shared: bytes of the files in layers that other images have too.
        unique: of the files in layers that no other image has.
        disk: what it has on the disk: its layers unpacked and as blobs, config and manifest.
        disk_shared: what of that other images have too.
    """

    image: Image
    containers: int
    shared: int
    unique: int
    disk: int
    disk_shared: int


class ContainerUsage(msgspec.Struct, frozen=True):
    """The space of one container.

    Attributes:
        written: bytes of the files that it has written over its image.
        root: of the files of its image, too.
        log: of its log, and the other files beside it.
        disk: what of the disk is given back when it is removed.
    """

    container: Container
    written: int
    root: int
    log: int
    disk: int


class CacheUsage(msgspec.Struct, frozen=True):
    """The space of one entry of the build cache.

    Attributes:
        size: on the disk, of the layer that it keeps, unpacked and as a blob; 0 where the step changed nothing.
        shared: whether an image has that layer too, so that the entry costs nothing.
        used_at: seconds since the epoch.
        about: the instruction that has made it; empty where that is not known.
    """

    key: str
    size: int
    shared: bool
    used_at: int
    about: str = ""


class VolumeUsage(msgspec.Struct, frozen=True):
    """The space of one volume on the disk, and how many containers have it."""

    volume: Volume
    containers: int
    size: int


class OtherUsage(msgspec.Struct, frozen=True):
    """What takes space besides.

    Attributes:
        kind: ``packages`` (what bootstraps have downloaded), ``database``, ``leftovers`` (what is being made just now,
            and what nobody needs any more), ``rest`` (locks, mount points, the directories themselves).
        size: on the disk.
        reclaimable: what of it the next clean-up of any kind takes away.
    """

    kind: str
    size: int
    reclaimable: int = 0


class Limits(msgspec.Struct, frozen=True):
    """Above how many bytes what can be made again is given up; None for no ceiling (``[gc]`` of ``engine.toml``).

    Attributes:
        images: all of them; only such go that can be had again and that nobody has named or uses.
        cache: what only the build cache keeps.
        packages: what bootstraps have downloaded.
    """

    images: int | None = None
    cache: int | None = None
    packages: int | None = None


class DiskUsage(msgspec.Struct, frozen=True):
    """What is under the data root, in bytes of blocks on the disk.

    Each file is in one place, so that ``total`` is what ``du -s`` finds there. (What a file system shares between
    files, reflinks, is in both, here as there.)

    Attributes:
        images_size: all that images need, each thing once.
        images_reclaimable: what of it no container needs.
        containers_size: what containers have written, their logs, and layers of images that were removed under them.
        cache_size: what only the build cache keeps.
        others: the rest.
        limits: the ceilings that hold.
    """

    images: tuple[ImageUsage, ...]
    images_size: int
    images_reclaimable: int
    containers: tuple[ContainerUsage, ...]
    containers_size: int
    cache: tuple[CacheUsage, ...]
    cache_size: int
    volumes: tuple[VolumeUsage, ...]
    others: tuple[OtherUsage, ...]
    limits: Limits = Limits()

    @property
    def containers_reclaimable(self) -> int:
        """Of those that do not run."""
        return sum(each.disk for each in self.containers if not each.container.state.running)

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
        kinds = self.images_size + self.containers_size + self.cache_size + self.volumes_size
        return kinds + sum(each.size for each in self.others)
