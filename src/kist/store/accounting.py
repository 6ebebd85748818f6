"""What lies under a data root, in bytes of blocks on the disk: every file in one place, so that it adds up to ``du``.

What nobody writes to any more (layers, blobs) is in the records or one look away; only what may change is gone through.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from kist.spec.digest import Digest
from kist.store import directories
from kist.store.blobs import Blobs
from kist.store.cache_mounts import CacheMounts
from kist.store.directories import Extent
from kist.store.snapshots import Snapshots

_DATABASE = "kist.db"
# What of the data root is accounted for by itself.
_ELSEWHERE = frozenset({"blobs", "cache", "cache-mounts", "containers", "snapshots", "tmp", "unsynced", "volumes"})


class Parts(msgspec.Struct, frozen=True):
    """What images and the build cache are made of, all of it that is here.

    Attributes:
        sizes: bytes on the disk of layers, by chain id (or what a lost one is called), of blobs (``blob_name``), and of
            cache mounts (``cache_mounts.kept_by``).
        below: the snapshot that each one stands on, also of active ones.
    """

    sizes: dict[str, int]
    below: dict[str, str | None]

    def with_below(self, keys: Iterable[str]) -> set[str]:
        """These, and the layers that they stand on; what is not here is left out."""
        found: set[str] = set()
        for key in keys:
            current: str | None = key
            while current is not None and current not in found:
                found.add(current)
                current = self.below.get(current)
        return found & self.sizes.keys()

    def size(self, names: Iterable[str]) -> int:
        """Of all of these, each once."""
        return sum(self.sizes.get(name, 0) for name in set(names))

    def assigned(self, claims: Sequence[Iterable[str]]) -> tuple[int, ...]:
        """How the bytes are divided among who needs them: each part goes to the first claim that has it.

        Returns:
            The bytes of each claim, and last those that nobody claims.
        """
        left = dict(self.sizes)
        sums = [sum(left.pop(part, 0) for part in set(claim)) for claim in claims]
        return (*sums, sum(left.values()))


class Account(msgspec.Struct, frozen=True):
    """What lies under a data root, in bytes on the disk.

    Attributes:
        parts: layers and blobs.
        active: what was written to active snapshots, by key: containers' own, and those of builds.
        containers: the directories of containers, by id.
        volumes: by name.
        packages: what bootstraps have downloaded.
        database: the records with their log.
        strays: what has no record, and what is being written just now.
        rest: locks, mount points, the directories themselves, and what is not Kist's.
    """

    parts: Parts
    active: dict[str, Extent]
    containers: dict[str, Extent]
    volumes: dict[str, int]
    packages: int
    database: int
    strays: int
    rest: int


def parts_of(blobs: Blobs, snapshots: Snapshots, cache_mounts: CacheMounts) -> Parts:
    """All layers, blobs and cache mounts."""
    sizes = snapshots.sizes_on_disk()
    sizes.update(cache_mounts.sizes())
    sizes.update({blob_name(digest): disk for digest, disk in blobs.sizes_on_disk().items()})
    return Parts(sizes, snapshots.parents())


def account(
    root: str,
    blobs: Blobs,
    snapshots: Snapshots,
    cache_mounts: CacheMounts,
    containers: Iterable[str],
    volumes: Iterable[str],
    known: Mapping[str, Extent],
) -> Account:
    """Look at everything under ``root``.

    Args:
        root: the data root.
        blobs: in it.
        snapshots: in it.
        cache_mounts: in it.
        containers: the ids of all that have a record.
        volumes: the names of all that have one.
        known: active snapshots of which it is known what was written to them.
    """
    active = [key for key, _, committed in snapshots.rows() if not committed]
    of_containers, kept, unfinished = (
        _shelf(f"{root}/{name}", names)
        for name, names in (("containers", containers), ("volumes", volumes), ("tmp", ()))
    )
    shelves = (of_containers, kept, unfinished)
    return Account(
        parts=parts_of(blobs, snapshots, cache_mounts),
        active={key: known.get(key) or snapshots.measure(key) for key in active},
        containers=of_containers.known,
        volumes={name: extent.disk for name, extent in kept.known.items()},
        packages=directories.measure(f"{root}/cache").disk,
        database=sum(size for name, size in directories.blocks(root) if name.startswith(_DATABASE)),
        strays=sum(shelf.strays for shelf in shelves) + _sum((*snapshots.strays(), *blobs.strays())),
        rest=sum(shelf.own for shelf in shelves) + _rest(root),
    )


def blob_name(digest: Digest | str) -> str:
    """What a blob is called among the parts: a layer's blob may have the digest that the layer is called by."""
    return f"blob {digest}"


class _Shelf(NamedTuple):
    """A directory of one thing beside the other: those with a record, the bytes of the others, and its own."""

    known: dict[str, Extent]
    strays: int
    own: int


def _shelf(directory: str, known: Iterable[str]) -> _Shelf:
    names = set(known)
    found = {name: directories.measure(f"{directory}/{name}", one_device=True) for name in names}
    others = [f"{directory}/{name}" for name, _ in directories.blocks(directory) if name not in names]
    return _Shelf(found, _sum(others), directories.own_blocks(directory))


def _rest(root: str) -> int:
    """What is accounted for nowhere else: the other directories themselves, small files, and what is not Kist's."""
    unsynced = (f"{root}/unsynced", *(f"{root}/unsynced/{name}" for name, _ in directories.blocks(f"{root}/unsynced")))
    own = (root, f"{root}/snapshots", f"{root}/blobs", f"{root}/blobs/sha256", f"{root}/cache-mounts", *unsynced)
    others = (name for name, _ in directories.blocks(root) if name not in _ELSEWHERE and not name.startswith(_DATABASE))
    return sum(map(directories.own_blocks, own)) + _sum(f"{root}/{name}" for name in others)


def _sum(paths: Iterable[str]) -> int:
    return sum(directories.measure(path).disk for path in paths)
