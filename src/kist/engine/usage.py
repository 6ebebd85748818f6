"""How much space things take. Sizes of layers are in the records; only what can change is measured."""

import os
import threading
from collections.abc import Sequence

from kist.engine.containers import Containers
from kist.engine.images import Images
from kist.errors import NotFound
from kist.spec.container import Container
from kist.spec.digest import Digest, chain_ids
from kist.spec.image import parse_manifest
from kist.spec.summary import Image
from kist.spec.usage import CacheUsage, ContainerUsage, DiskUsage, ImageUsage, VolumeUsage
from kist.spec.volume import Volume
from kist.store import Store, digests_in, directories

_SECOND = 1_000_000_000


class Usage:
    """Measures one data root. Safe from many threads."""

    def __init__(self, containers: Containers, images: Images, store: Store) -> None:
        self._containers = containers
        self._images = images
        self._store = store
        # Protects what is known of containers that do not run: their last end, and what they had written by then.
        self._lock = threading.Lock()
        self._written: dict[str, tuple[int, int]] = {}

    def written(self, container: Container) -> int:
        """Bytes of what a container has written over its image; measured once for each run of one that has ended.

        Raises:
            NotFound: it was removed meanwhile.
        """
        state = container.state
        if state.running:
            return self._store.snapshots.usage(container.id)
        with self._lock:
            known = self._written.get(container.id)
        if known is not None and known[0] == state.finished_at:
            return known[1]
        size = self._store.snapshots.usage(container.id)
        with self._lock:
            self._written[container.id] = (state.finished_at, size)
        return size

    def forget(self, container: Container) -> None:
        """Somebody else has written to its files, or it is gone."""
        with self._lock:
            self._written.pop(container.id, None)

    def of_container(self, container: Container) -> ContainerUsage:
        """The space of a container; nothing for what was removed meanwhile."""
        try:
            written = self.written(container)
            below = self._store.snapshots.usage_below(container.id)
            again = self._store.snapshots.again(container.id)
        except NotFound:
            written = below = again = 0
        log = _measure(self._containers.places(container).data)
        return ContainerUsage(container, written, written + below, log, again)

    def of_images(self) -> tuple[ImageUsage, ...]:
        """The space of all images, the newest first."""
        images = self._images.list()
        sizes = self._store.snapshots.sizes()
        layers = {image.id: chain_ids(image.config.rootfs.diff_ids) for image in images}
        users: dict[str, int] = {}
        for chains in layers.values():
            for chain in set(chains):
                users[chain] = users.get(chain, 0) + 1
        found = []
        for image in images:
            shared = sum(sizes.get(chain, 0) for chain in layers[image.id] if users[chain] > 1)
            alone = sum(sizes.get(chain, 0) for chain in layers[image.id] if users[chain] == 1)
            containers = len(self._store.records.containers_of_image(image.id))
            found.append(ImageUsage(image, containers, shared, alone))
        return tuple(found)

    def all(self) -> DiskUsage:
        """The space of everything under the data root."""
        images = self.of_images()
        sizes = self._store.snapshots.sizes_on_disk()
        needed: set[str] = set()
        active: set[str] = set()
        for each in images:
            own = self._parts(each.image, sizes)
            needed |= own
            if each.containers:
                active |= own
        cache, cache_size = self._cache(sizes, needed)
        return DiskUsage(
            images=images,
            images_size=sum(sizes.get(part, 0) for part in needed),
            images_reclaimable=sum(sizes.get(part, 0) for part in needed - active),
            containers=tuple(self.of_container(each) for each in self._containers.list(all=True)),
            cache=cache,
            cache_size=cache_size,
            volumes=self.of_volumes(),
            packages_size=_measure(os.path.join(self._store.root, "cache")),
        )

    def of_cache(self) -> tuple[tuple[CacheUsage, ...], int]:
        """The space of the build cache's entries, the longest unused first, and what they alone keep."""
        sizes = self._store.snapshots.sizes_on_disk()
        needed = set().union(*(self._parts(image, sizes) for image in self._images.list()))
        return self._cache(sizes, needed)

    def _cache(self, sizes: dict[str, int], needed: set[str]) -> tuple[tuple[CacheUsage, ...], int]:
        """The same, beside what the images need."""
        entries = self._store.records.cache_entries()
        parts = {key: self._kept_parts(value, sizes) for key, value, _ in entries}
        kept = set().union(*parts.values())
        cache = tuple(
            CacheUsage(key, sum(sizes[part] for part in parts[key]), not parts[key].isdisjoint(needed), used_at)
            for key, _, used_at in entries
        )
        return cache, sum(sizes.get(part, 0) for part in kept - needed)

    def cache_keys(self, until: int, images: Sequence[Image]) -> list[str]:
        """The entries of the build cache that were not used since a moment and keep nothing of these images."""
        sizes = self._store.snapshots.sizes_on_disk()
        needed = set().union(*(self._parts(image, sizes) for image in images)) if images else set()
        return [
            key
            for key, value, used_at in self._store.records.cache_entries()
            if (not until or used_at < until // _SECOND) and self._kept_parts(value, sizes).isdisjoint(needed)
        ]

    def of_volumes(self, gone: frozenset[str] = frozenset()) -> tuple[VolumeUsage, ...]:
        """The space of all volumes, by name; their files are gone through. Containers that are gone have none."""
        users: dict[str, int] = {}
        for container in self._store.records.containers():
            if container.id in gone:
                continue
            for name in {mount.source for mount in container.options.mounts if mount.type == "volume"}:
                users[name] = users.get(name, 0) + 1
        return tuple(
            VolumeUsage(volume, users.get(volume.name, 0), _measure(volume.mountpoint))
            for volume in self._store.volumes.list()
        )

    def of_volume(self, volume: Volume) -> VolumeUsage:
        """The space of one volume that no container has."""
        return VolumeUsage(volume, 0, _measure(volume.mountpoint))

    def _parts(self, image: Image, sizes: dict[str, int]) -> set[str]:
        """The snapshots and blobs of an image; the sizes of blobs are noted in ``sizes``, under names of their own."""
        data = self._store.blobs.read(image.manifest)
        manifest = parse_manifest(data)
        blobs = {f"blob {image.manifest}": len(data)}
        for part in (manifest.config, *manifest.layers):
            blobs[f"blob {part.digest}"] = part.size
        sizes.update(blobs)
        return {*blobs, *chain_ids(image.config.rootfs.diff_ids)}

    def _kept_parts(self, value: bytes, sizes: dict[str, int]) -> set[str]:
        """As ``_parts``, of an entry of the build cache. A digest may be that of a snapshot, of a blob, or of both."""
        found = set()
        for digest in map(Digest, digests_in(value)):
            if f"blob {digest}" not in sizes and digest in self._store.blobs:
                sizes[f"blob {digest}"] = self._store.blobs.size(digest)
            found.update({digest, f"blob {digest}"} & sizes.keys())
        return found


def _measure(path: str) -> int:
    return directories.size(path) if os.path.isdir(path) else 0
