"""Whether a data root is as its records say: the database, blobs, snapshots. Finding changes nothing."""

import os
from collections.abc import Iterator

from kist.errors import KistError
from kist.spec.digest import Digest
from kist.spec.image import parse_manifest
from kist.store.store import Store


def database(store: Store) -> Iterator[str]:
    """What SQLite finds wrong with the database (PRAGMA integrity_check and foreign_key_check)."""
    for (line,) in store.database.rows("PRAGMA integrity_check"):
        if line != "ok":
            yield str(line)
    for table, row, parent, _ in store.database.rows("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that is not there"


def missing_blobs(store: Store) -> Iterator[tuple[Digest, str]]:
    """Blobs that images need and that are not there, and for which image."""
    for image in store.records.images():
        name = image.references[0] if image.references else str(image.id)
        needed = [image.id, image.manifest]
        if image.manifest in store.blobs:
            needed += [layer.digest for layer in parse_manifest(store.blobs.read(image.manifest)).layers]
        for digest in needed:
            if digest not in store.blobs:
                yield digest, name


def wrong_blobs(store: Store) -> Iterator[tuple[Digest, str]]:
    """Blobs whose bytes are not those of their digest; every byte is read."""
    for digest in store.blobs.list():
        try:
            store.blobs.verify(digest)
        except KistError as error:
            yield digest, str(error)


def lost_snapshots(store: Store) -> Iterator[tuple[str, bool]]:
    """Snapshots whose directory is not there, and whether it is a layer's, which can be unpacked again."""
    for key, number, committed in store.snapshots.rows():
        if not os.path.isdir(store.snapshots.directory(number)):
            yield key, committed
