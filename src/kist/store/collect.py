"""Mark and sweep: what no image, no container and no entry of the build cache needs goes.

What goes is chosen and forgotten while the store's lock is held alone, so nobody is between writing a blob or snapshot
and recording it. The files of snapshots are removed after that, for it may take minutes, and who wants to write would
wait; a kill in between leaves what the next collection takes.
"""

import re
from typing import NamedTuple

import msgspec

from kist.kernel import faults
from kist.spec.digest import Digest, chain_ids
from kist.spec.image import parse_manifest
from kist.spec.summary import Image
from kist.store import directories
from kist.store.blobs import Blobs
from kist.store.cache_mounts import CacheMounts, kept_by
from kist.store.inventories import Inventories
from kist.store.records import Records
from kist.store.referrers import Referrers
from kist.store.snapshots import Forgotten, Snapshots

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


class Collected(msgspec.Struct, frozen=True):
    """What a collection removed; ``size`` is what it had on the disk, in bytes."""

    blobs: tuple[Digest, ...] = ()
    snapshots: tuple[str, ...] = ()
    size: int = 0


class Without(msgspec.Struct, frozen=True):
    """Records that are thought away: images and containers by id, entries of the build cache by key."""

    images: frozenset[str] = frozenset()
    containers: frozenset[str] = frozenset()
    cache: frozenset[str] = frozenset()


def survey(
    blobs: Blobs,
    snapshots: Snapshots,
    cache_mounts: CacheMounts,
    records: Records,
    referrers: Referrers,
    without: Without,
) -> Collected:
    """What a collection would remove if these records were gone; nothing is removed."""
    live = _live(blobs, records, referrers, without)
    on_disk = blobs.sizes_on_disk()
    dead = [digest for digest in on_disk if digest not in live]
    gone = _dead_snapshots(snapshots, live)
    size = sum(on_disk[digest] for digest in dead) + sum(map(snapshots.on_disk, gone))
    size += sum(disk for name, disk in cache_mounts.sizes().items() if name not in live)
    return Collected(tuple(dead), tuple(gone), size)


def digests_in(value: bytes) -> tuple[str, ...]:
    """The digests that are spelled in an entry of the build cache: of blobs and snapshots that it keeps."""
    return tuple(found.decode() for found in _DIGEST.findall(value))


class Condemned(NamedTuple):
    """What a collection has forgotten, and of what files are left: those of snapshots, and such as were nobody's."""

    blobs: tuple[Digest, ...]
    size_of_blobs: int
    snapshots: tuple[Forgotten, ...]
    strays: tuple[str, ...]
    cache_mounts: tuple[str, ...]
    size_of_cache_mounts: int


def condemn(
    blobs: Blobs,
    snapshots: Snapshots,
    cache_mounts: CacheMounts,
    records: Records,
    referrers: Referrers,
    inventories: Inventories,
) -> Condemned:
    """Forget what is not needed, for ``clear``; the caller holds the store's lock alone."""
    live = _live(blobs, records, referrers, Without())
    on_disk = blobs.sizes_on_disk()
    dead = [digest for digest in on_disk if digest not in live]
    freed = 0
    for digest in dead:  # first, for on a full disk this makes room for the database's own writing
        freed += on_disk[digest]
        blobs.remove(digest)
        faults.point("collect: removed a blob")
    gone = []
    for key in _dead_snapshots(snapshots, live):
        gone.append(snapshots.forget(key))
        faults.point("collect: forgot a snapshot")
    layers = {diff_id for image in records.images() for diff_id in image.config.rootfs.diff_ids}
    inventories.keep_only(live | layers)
    known = {each.number for each in gone}
    unused = sum(disk for name, disk in cache_mounts.sizes().items() if name not in live)
    aside = cache_mounts.set_unused_aside(live)
    return Condemned(tuple(dead), freed, tuple(gone), snapshots.set_strays_aside(known), aside, unused)


def clear(snapshots: Snapshots, condemned: Condemned) -> Collected:
    """Remove the files of what was condemned; no lock is needed."""
    freed = condemned.size_of_blobs + condemned.size_of_cache_mounts
    for each in condemned.snapshots:
        freed += snapshots.left_by(each)
        snapshots.clear(each)
        faults.point("collect: removed a snapshot's files")
    snapshots.clear_strays(condemned.strays)
    for path in condemned.cache_mounts:
        directories.remove_tree(path)
    return Collected(condemned.blobs, tuple(each.key for each in condemned.snapshots), freed)


def _live(blobs: Blobs, records: Records, referrers: Referrers, without: Without) -> set[str]:
    """What is needed: ids of containers, digests of blobs, chain ids of snapshots."""
    live: set[str] = set(records.container_ids()) - without.containers
    live |= referrers.blobs(without.images)
    live |= records.mounted_snapshots(without.containers)
    for key, value, _ in records.cache_entries():
        if key not in without.cache:
            live.update(digests_in(value))
            live.update(kept_by(value))
    for image in records.images():
        if image.id not in without.images:
            live.update(needed_by(blobs, image))
    return live


def needed_by(blobs: Blobs, image: Image) -> set[str]:
    """The blobs and snapshots that an image is made of."""
    needed: set[str] = {image.id, image.manifest, *chain_ids(image.config.rootfs.diff_ids)}
    if image.manifest in blobs:
        manifest = parse_manifest(blobs.read(image.manifest))
        needed.update(layer.digest for layer in manifest.layers)
    return needed


def _dead_snapshots(snapshots: Snapshots, live: set[str]) -> list[str]:
    """The newest first, so that whatever stood on a snapshot has gone, or keeps it."""
    gone: list[str] = []
    parents = snapshots.parents()
    kept: set[str | None] = set()
    for key in reversed(tuple(parents)):
        if key in live or key in kept:
            kept.add(parents[key])
        else:
            gone.append(key)
    return gone
