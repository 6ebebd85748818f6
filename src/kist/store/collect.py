"""Mark and sweep: what no image, no container, no lease and no entry of the build cache needs goes.

Runs while the store's lock is held alone, so nobody is between writing a blob or snapshot and recording it.
"""

import re

import msgspec

from kist.spec.digest import Digest, chain_ids
from kist.spec.image import parse_manifest
from kist.spec.summary import Image
from kist.store.blobs import Blobs
from kist.store.overlay import OverlaySnapshotter
from kist.store.records import Records

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


class Collected(msgspec.Struct, frozen=True):
    """What a collection removed; ``size`` is bytes of the blobs and of the files in the snapshots."""

    blobs: tuple[Digest, ...] = ()
    snapshots: tuple[str, ...] = ()
    size: int = 0


def collect(blobs: Blobs, snapshots: OverlaySnapshotter, records: Records) -> Collected:
    """Remove what is not needed; the caller holds the store's lock alone."""
    live = _live(blobs, records)
    dead = [digest for digest in blobs.list() if digest not in live]
    freed = 0
    for digest in dead:  # first, for on a full disk this makes room for the database's own writing
        freed += blobs.size(digest)
        blobs.remove(digest)
    gone, size = _sweep_snapshots(snapshots, live)
    snapshots.sweep()
    return Collected(tuple(dead), tuple(gone), freed + size)


def _live(blobs: Blobs, records: Records) -> set[str]:
    live: set[str] = {*records.leased(), *records.container_ids()}
    for value in records.cache_values():
        live.update(found.decode() for found in _DIGEST.findall(value))
    for image in records.images():
        live.update(_needed(blobs, image))
    return live


def _needed(blobs: Blobs, image: Image) -> set[str]:
    needed: set[str] = {image.id, image.manifest, *chain_ids(image.config.rootfs.diff_ids)}
    if image.manifest in blobs:
        manifest = parse_manifest(blobs.read(image.manifest))
        needed.update(layer.digest for layer in manifest.layers)
    return needed


def _sweep_snapshots(snapshots: OverlaySnapshotter, live: set[str]) -> tuple[list[str], int]:
    """The newest first, so that whatever stood on a snapshot has gone, or keeps it."""
    gone: list[str] = []
    size = 0
    parents = {key: snapshots.parent(key) for key in snapshots.list()}
    kept: set[str | None] = set()
    for key in reversed(tuple(parents)):
        if key in live or key in kept:
            kept.add(parents[key])
            continue
        size += snapshots.usage(key)
        snapshots.remove(key)
        gone.append(key)
    return gone, size
