"""Clean-up: what nobody needs is chosen, then removed, or only told (``dry_run``)."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from kist.engine import eviction
from kist.engine.containers import Containers
from kist.engine.events import Events
from kist.engine.eviction import Entry
from kist.engine.images import Images
from kist.engine.usage import Needs, Usage
from kist.engine.volume_removal import removing
from kist.engine.volume_rules import in_use
from kist.errors import Conflict, NotFound
from kist.spec.container import Container
from kist.spec.docker.filters import match_labels
from kist.spec.docker.usage import describe_cache
from kist.spec.event import Kind
from kist.spec.prune import CachePruning, Pruning
from kist.spec.reference import Reference
from kist.spec.summary import Image
from kist.spec.usage import CacheUsage, Pruned, SystemPruned, VolumeUsage
from kist.spec.volume import Volume
from kist.store import Store, Without, directories
from kist.store.collect import Collected


def _any(_: object) -> bool:
    return True


class Prune:
    """Cleans up one data root."""

    def __init__(self, containers: Containers, images: Images, usage: Usage, store: Store, events: Events) -> None:
        self._containers = containers
        self._images = images
        self._usage = usage
        self._store = store
        self._events = events

    def containers(
        self, pruning: Pruning, *, dry_run: bool = False, among: Callable[[Container], bool] = _any
    ) -> Pruned:
        """Remove the containers, among some, that do not run and fit."""
        deleted = []
        size = 0
        for container in self._containers.list(all=True):
            if container.state.running or not among(container):
                continue
            if not fits(pruning, container.created_at, container.config.labels or {}):
                continue
            used = self._usage.of_container(container)
            if dry_run or self._remove(container):
                deleted.append(container.id)
                size += used.disk
        if not dry_run:
            self._containers.settle()  # the space that is told is free
        return self._told("container", Pruned(tuple(deleted), (), size), dry_run=dry_run)

    def _remove(self, container: Container) -> bool:
        """Whether it was removed: it may have been started, or removed by somebody else."""
        try:
            self._containers.remove(container)
        except (Conflict, NotFound):
            return False
        return True

    def images(
        self, pruning: Pruning, *, every: bool = False, dry_run: bool = False, among: Callable[[Image], bool] = _any
    ) -> Pruned:
        """Remove the images, among some, without name and container, or with ``every`` all that no container needs."""
        chosen = [each for each in self._unused_images(pruning, frozenset(), every=every) if among(each)]
        if dry_run:
            found = self._store.survey(Without(images=frozenset(image.id for image in chosen)))
        else:
            chosen = [image for image in chosen if self._images.forget(image)]
            found = self._store.collect() or Collected()  # who writes just now makes up for it
        snapshots = found.snapshots if chosen else ()
        return self._told("image", _pruned_images(chosen, snapshots, found.size), dry_run=dry_run)

    def _unused_images(self, pruning: Pruning, gone: frozenset[str], *, every: bool) -> list[Image]:
        """Those that no container has been made of, but for the containers that are gone."""
        of_platforms = self._store.records.of_platforms()
        return [
            image
            for image in self._images.list()
            if (every or not (image.references or image.id in of_platforms))
            and gone.issuperset(self._store.records.containers_of_image(image.id))
            and fits(pruning, image.created_at, image.config.config.labels or {})
        ]

    def volumes(
        self, pruning: Pruning, *, every: bool = False, dry_run: bool = False, among: Callable[[Volume], bool] = _any
    ) -> Pruned:
        """Remove the volumes, among some, that no container has: those that nobody named, with ``every`` others too.

        As in Docker, one with a name and options stays: somebody has set it up, and its data may be elsewhere.
        """
        unused = self._unused_volumes(pruning, frozenset(), every=every)
        chosen = [each for each in unused if among(each.volume)]
        if not dry_run:
            chosen = [each for each in chosen if self._remove_volume(each.volume)]
        return self._told("volume", _pruned_volumes(chosen), dry_run=dry_run)

    def _unused_volumes(self, pruning: Pruning, gone: frozenset[str], *, every: bool) -> list[VolumeUsage]:
        """Those that no container has, but for the containers that are gone, measured."""
        used = in_use(self._store, gone)
        return [
            self._usage.of_volume(volume)
            for volume in self._store.volumes.list()
            if volume.name not in used
            and (volume.anonymous or (every and not volume.options))
            and fits(pruning, volume.created_at, volume.labels or {})
        ]

    def _remove_volume(self, volume: Volume) -> bool:
        """Whether it was removed: a container may have it by now, or somebody else has removed it.

        Each has a turn of its own, so that containers can be made in between.
        """
        with suppress(NotFound), removing(self._store, self._events) as take:
            if self._store.volumes.get(volume.name) == volume and volume.name not in in_use(self._store):
                take(volume)
                return True
        return False

    def build_cache(self, pruning: CachePruning, *, dry_run: bool = False) -> Pruned:
        """Forget entries of the build cache, the longest unused first, and give back what only they kept."""
        chosen = _choose(self._usage.needs(), pruning, shutil.disk_usage(self._store.root).free)
        keys = frozenset(chosen)
        if dry_run:
            size = self._store.survey(Without(cache=keys)).size
        else:
            self._store.records.cache_remove(keys)
            collected = self._store.collect()
            size = collected.size if collected else 0
        return self._told("builder", Pruned(tuple(chosen), (), size), dry_run=dry_run)

    def survey(self, pruning: Pruning, *, every: bool = False, volumes: bool = False) -> SystemPruned:
        """What all of it would remove, one after the other; nothing is removed."""
        containers = self.containers(pruning, dry_run=True)
        gone = frozenset(containers.deleted)
        images = self._unused_images(pruning, gone, every=every)
        keys: list[str] = []
        if not pruning.labels:  # entries of the cache have none
            left = [image for image in self._images.list() if image not in images]
            keys = self._usage.cache_keys(pruning.until, () if every else left)
        without = Without(images=frozenset(str(image.id) for image in images), containers=gone)
        layers = [key for key in self._store.survey(without).snapshots if key not in gone] if images else []
        found = self._store.survey(msgspec.structs.replace(without, cache=frozenset(keys)))
        pruned_volumes = _pruned_volumes(self._unused_volumes(pruning, gone, every=False) if volumes else ())
        files = sum(directories.measure(self._containers.places_of(each).data).disk for each in gone)
        return SystemPruned(
            containers=containers.deleted,
            images=_pruned_images(images, layers, 0),
            volumes=pruned_volumes.deleted,
            cache=tuple(keys),
            size=found.size + files + pruned_volumes.size,
        )

    def _told(self, kind: Kind, pruned: Pruned, *, dry_run: bool) -> Pruned:
        if not dry_run:
            self._events.note(kind, "prune", "", {"reclaimed": pruned.size})
        return pruned


def _pruned_images(chosen: Sequence[Image], snapshots: Sequence[str], size: int) -> Pruned:
    untagged = tuple(Reference.parse(name).familiar for image in chosen for name in image.references)
    return Pruned((*(str(image.id) for image in chosen), *snapshots), untagged, size)


def _pruned_volumes(chosen: Sequence[VolumeUsage]) -> Pruned:
    return Pruned(tuple(used.volume.name for used in chosen), (), sum(used.size for used in chosen))


def _choose(needs: Needs, pruning: CachePruning, free: int) -> list[str]:
    of_images = needs.of_images()
    before = pruning.until // 1_000_000_000
    fitting = {
        key
        for key, parts, used_at in needs.cache
        if (not before or used_at < before)
        and _fits_cache(key, pruning, needs.about.get(key, ""), shared=not parts.isdisjoint(of_images))
    }
    if not (pruning.keep or pruning.most or pruning.least_free):
        return [key for key, _, _ in needs.cache if key in fitting]
    entries = [Entry(key, needs.here.with_below(parts), key in fitting) for key, parts, _ in needs.cache]
    excess = needs.cache_size - pruning.leaves(needs.cache_size, free)
    return eviction.choose(entries, of_images, needs.here.sizes, excess)


def fits_cache(entry: CacheUsage, pruning: CachePruning) -> bool:
    """Whether a clean-up that is limited so is about an entry, be its layer in an image or not."""
    before = pruning.until // 1_000_000_000
    limits = msgspec.structs.replace(pruning, every=True)
    return (not before or entry.used_at < before) and _fits_cache(entry.key, limits, entry.about, shared=entry.shared)


def _fits_cache(key: str, pruning: CachePruning, about: str, *, shared: bool) -> bool:
    """Whether an entry may go, but for its age.

    It has no parents and no labels, and its kind and description are as ``df`` tells.
    """
    kind, description = describe_cache(key, about)
    return (
        (pruning.every or not shared)
        and pruning.shared in {None, shared}
        and not (pruning.parents or pruning.labels)
        and (not pruning.kinds or kind in pruning.kinds)
        and (not pruning.descriptions or description in pruning.descriptions)
        and (not pruning.ids or key.startswith(pruning.ids) or key.partition(":")[2].startswith(pruning.ids))
    )


def fits(pruning: Pruning, created_at: int, labels: Mapping[str, str]) -> bool:
    """Whether a clean-up that is limited so takes something that was made at this time and has these labels."""
    if pruning.until and created_at >= pruning.until:
        return False
    return match_labels(labels, pruning.labels) and not any(
        match_labels(labels, (each,)) for each in pruning.not_labels
    )
