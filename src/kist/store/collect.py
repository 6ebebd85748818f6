"""Mark and sweep: what no image, no container, no lease and no entry of the build cache needs goes.

Runs while the store's lock is held alone, so nobody is between writing a blob or snapshot and recording it.
"""

import re

import msgspec

from kist.spec.digest import Digest, chain_ids
from kist.spec.image import parse_manifest
from kist.spec.summary import Image
from kist.store.blobs import Blobs
from kist.store.records import Records
from kist.store.snapshots import Snapshots

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


def survey(blobs: Blobs, snapshots: Snapshots, records: Records, without: Without) -> Collected:
    """What a collection would remove if these records were gone; nothing is removed."""
    live = _live(blobs, records, without)
    on_disk = blobs.sizes_on_disk()
    dead = [digest for digest in on_disk if digest not in live]
    gone = _dead_snapshots(snapshots, live)
    size = sum(on_disk[digest] for digest in dead) + sum(map(snapshots.on_disk, gone))
    return Collected(tuple(dead), tuple(gone), size)


def digests_in(value: bytes) -> tuple[str, ...]:
    """The digests that are spelled in an entry of the build cache: of blobs and snapshots that it keeps."""
    return tuple(found.decode() for found in _DIGEST.findall(value))


def collect(blobs: Blobs, snapshots: Snapshots, records: Records) -> Collected:
    """Remove what is not needed; the caller holds the store's lock alone."""
    live = _live(blobs, records, Without())
    on_disk = blobs.sizes_on_disk()
    dead = [digest for digest in on_disk if digest not in live]
    freed = 0
    for digest in dead:  # first, for on a full disk this makes room for the database's own writing
        freed += on_disk[digest]
        blobs.remove(digest)
    gone = _dead_snapshots(snapshots, live)
    for key in gone:
        freed += snapshots.on_disk(key)
        snapshots.remove(key)
    snapshots.sweep()
    return Collected(tuple(dead), tuple(gone), freed)


def _live(blobs: Blobs, records: Records, without: Without) -> set[str]:
    live: set[str] = {*records.leased(), *records.container_ids()} - without.containers
    for key, value, _ in records.cache_entries():
        if key not in without.cache:
            live.update(digests_in(value))
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
