"""How much space things take. Sizes of layers are in the records; only what can change is measured."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from kist.engine.containers import Containers
from kist.engine.images import Images
from kist.errors import InvalidInput, NotFound
from kist.spec import json
from kist.spec.container import Container
from kist.spec.digest import Digest, chain_ids
from kist.spec.image import parse_manifest
from kist.spec.summary import Image
from kist.spec.usage import CacheUsage, ContainerUsage, DiskUsage, ImageUsage, Limits, OtherUsage, VolumeUsage
from kist.spec.volume import Volume
from kist.store import Store, digests_in, directories
from kist.store.accounting import Account, Parts, blob_name
from kist.store.cache_mounts import kept_by
from kist.store.directories import Extent

_SECOND = 1_000_000_000
_NOTHING = Extent(0, 0)


class _Told(msgspec.Struct, frozen=True):
    """What an entry of the build cache says of itself, among other things (``kist.build.cache.Made``)."""

    about: str = ""


class Needs(NamedTuple):
    """What is here of layers and blobs, and which of it each image and each entry of the build cache needs.

    Attributes:
        here: all of it.
        images: the newest first, each with its parts.
        cache: the longest unused first: key, parts without what they stand on, last use (seconds since the epoch).
        about: by their keys, which instructions entries of the build cache are of, where that is known.
    """

    here: Parts
    images: tuple[tuple[Image, set[str]], ...]
    cache: tuple[tuple[str, set[str], int], ...]
    about: Mapping[str, str] = {}

    def of_images(self) -> set[str]:
        """What any image needs."""
        return set().union(*(parts for _, parts in self.images))

    def of_cache(self) -> set[str]:
        """What any entry of the cache needs."""
        return self.here.with_below(part for _, parts, _ in self.cache for part in parts)

    @property
    def images_size(self) -> int:
        """Bytes that all images have on the disk."""
        return self.here.size(self.of_images())

    @property
    def cache_size(self) -> int:
        """Bytes that only the cache keeps."""
        return self.here.size(self.of_cache() - self.of_images())


class Usage:
    """Measures one data root. Safe from many threads."""

    def __init__(self, containers: Containers, images: Images, store: Store) -> None:
        self._containers = containers
        self._images = images
        self._store = store
        # Protects what is known of containers that do not run: their last end, and what they had written by then.
        self._lock = threading.Lock()
        self._written: dict[str, tuple[int, Extent]] = {}

    def of_container(self, container: Container) -> ContainerUsage:
        """The space of a container; nothing for what was removed meanwhile.

        What it has written is measured once for each run of one that has ended.
        """
        written = self._known(container)
        try:
            if written is None:
                written = self._store.snapshots.measure(container.id)
                self._keep(container, written)
            below = self._store.snapshots.usage_below(container.id)
        except NotFound:
            written, below = _NOTHING, 0
        return _of_container(container, written, below, directories.measure(self._containers.places(container).data))

    def forget(self, container: Container) -> None:
        """Somebody else has written to its files, or it is gone."""
        with self._lock:
            self._written.pop(container.id, None)

    def all(self, limits: Limits) -> DiskUsage:
        """The space of everything under the data root, beside the ceilings that hold."""
        containers = self._containers.list(all=True)
        account = self._store.account(
            {each.id: known for each in containers if (known := self._known(each)) is not None}
        )
        parts = account.parts
        needs = self._needs(parts)
        users = {image.id: len(self._store.records.containers_of_image(image.id)) for image, _ in needs.images}
        on = {key for key in account.active if key in account.containers} | self._store.records.mounted_snapshots()
        standing = parts.with_below(on)
        sizes = parts.assigned((needs.of_images(), needs.of_cache(), standing))
        images_size, cache_size, below_containers, dead = sizes
        active = set().union(*(own for image, own in needs.images if users[image.id]))
        written = [extent for key, extent in account.active.items() if key in account.containers]
        unfinished = sum(extent.disk for key, extent in account.active.items() if key not in account.containers)
        return DiskUsage(
            images=_of_images(needs, users, self._store.snapshots.sizes()),
            images_size=images_size,
            images_reclaimable=images_size - parts.size(active),
            containers=tuple(self._accounted(each, account) for each in containers),
            containers_size=sum(each.disk for each in (*written, *account.containers.values())) + below_containers,
            cache=_of_cache(needs),
            cache_size=cache_size,
            volumes=self.of_volumes(account.volumes),
            others=(
                OtherUsage("packages", account.packages),
                OtherUsage("database", account.database),
                OtherUsage("leftovers", account.strays + unfinished + dead, dead),
                OtherUsage("rest", account.rest),
            ),
            limits=limits,
        )

    def needs(self, images: Sequence[Image] | None = None) -> Needs:
        """What images and build cache are made of; of these images, or of all that are here."""
        return self._needs(self._store.parts(), images)

    def of_cache(self, images: Sequence[Image] | None = None) -> tuple[CacheUsage, ...]:
        """The space of the build cache's entries, the longest unused first, beside these images or all of them."""
        return _of_cache(self.needs(images))

    def cache_keys(self, until: int, images: Sequence[Image]) -> list[str]:
        """The entries of the build cache that were not used since a moment and keep nothing of these images."""
        entries = self.of_cache(images)
        return [each.key for each in entries if not each.shared and (not until or each.used_at < until // _SECOND)]

    def shared_of_images(self) -> dict[Digest, int]:
        """How many bytes of each image's files are another image's too."""
        measured = _of_images(self.needs(), Counter(), self._store.snapshots.sizes())
        return {each.image.id: each.shared for each in measured}

    def of_volumes(self, sizes: Mapping[str, int]) -> tuple[VolumeUsage, ...]:
        """The space of all volumes, by name, with the sizes that are known of them."""
        users: Counter[str] = Counter()
        for container in self._store.records.containers():
            users.update({mount.source for mount in container.options.mounts if mount.type == "volume"})
        volumes = self._store.volumes.list()
        return tuple(VolumeUsage(each, users[each.name], sizes.get(each.name, 0)) for each in volumes)

    def of_volume(self, volume: Volume) -> VolumeUsage:
        """The space of one volume that no container has."""
        return VolumeUsage(volume, 0, self._store.volumes.sizes([volume.name])[volume.name])

    def _known(self, container: Container) -> Extent | None:
        with self._lock:
            known = self._written.get(container.id)
        if known is None or container.state.running or known[0] != container.state.finished_at:
            return None
        return known[1]

    def _keep(self, container: Container, measured: Extent) -> None:
        if not container.state.running:
            with self._lock:
                self._written[container.id] = (container.state.finished_at, measured)

    def _accounted(self, container: Container, account: Account) -> ContainerUsage:
        written = account.active.get(container.id, _NOTHING)
        self._keep(container, written)
        sizes = self._store.snapshots.sizes()
        below = sum(sizes.get(key, 0) for key in account.parts.with_below([container.id]))
        return _of_container(container, written, below, account.containers.get(container.id, _NOTHING))

    def _needs(self, here: Parts, images: Sequence[Image] | None = None) -> Needs:
        entries = self._store.records.cache_entries()
        return Needs(
            here,
            tuple((image, self._parts(image)) for image in (self._images.list() if images is None else images)),
            tuple((key, _kept(value, here), used_at) for key, value, used_at in entries),
            {key: about for key, value, _ in entries if (about := _about(value))},
        )

    def _parts(self, image: Image) -> set[str]:
        """What an image is made of."""
        manifest = parse_manifest(self._store.blobs.read(image.manifest))
        blobs = (image.manifest, manifest.config.digest, *(layer.digest for layer in manifest.layers))
        attached = self._store.referrers.blobs_of(image.id)
        return {*map(blob_name, (*blobs, *attached)), *chain_ids(image.config.rootfs.diff_ids)}


def _kept(value: bytes, parts: Parts) -> set[str]:
    """What an entry of the build cache keeps. A digest may be that of a layer, of a blob, or of both."""
    named = {name for digest in digests_in(value) for name in (digest, blob_name(digest))}
    return (named | set(kept_by(value))) & parts.sizes.keys()


def _about(value: bytes) -> str:
    """Which instruction an entry is of, as the builder has noted it."""
    try:
        return json.decode(value, _Told, what="a record of the build cache").about
    except InvalidInput:  # of a cache mount
        return ""


def _of_container(container: Container, written: Extent, below: int, files: Extent) -> ContainerUsage:
    root = written.apparent + below
    return ContainerUsage(container, written.apparent, root, files.apparent, written.disk + files.disk)


def _of_images(needs: Needs, users: Mapping[Digest, int], sizes: dict[str, int]) -> tuple[ImageUsage, ...]:
    count = Counter(part for _, own in needs.images for part in own)
    on_disk = needs.here.size
    found = []
    for image, own in needs.images:
        common = {part for part in own if count[part] > 1}
        shared, unique = (sum(sizes.get(part, 0) for part in some) for some in (common, own - common))
        found.append(ImageUsage(image, users[image.id], shared, unique, on_disk(own), on_disk(common)))
    return tuple(found)


def _of_cache(needs: Needs) -> tuple[CacheUsage, ...]:
    of_images = needs.of_images()
    return tuple(
        CacheUsage(key, needs.here.size(own), not own.isdisjoint(of_images), used_at, needs.about.get(key, ""))
        for key, own, used_at in needs.cache
    )
