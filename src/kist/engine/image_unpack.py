"""Layers of images to snapshots: each is unpacked once, and found by its chain id ever after."""

import uuid
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

import msgspec

from kist.errors import Conflict, Corrupt, NotFound
from kist.spec.digest import Digest, chain_id, chain_ids
from kist.spec.image import ImageConfig
from kist.store import Store
from kist.store.hashing import Hasher
from kist.store.snapshots import Later


class PackedLayer(msgspec.Struct, frozen=True):
    """A layer that may have to be unpacked.

    Attributes:
        digest: of the blob.
        diff_id: of the plain tar, as the image's config has it.
        open: gives the blob's bytes.
        verified: the bytes are known to have the digest (they were hashed a moment ago).
    """

    digest: Digest
    diff_id: Digest
    open: Callable[[], BinaryIO]
    verified: bool = False


class HashedStream:
    """A stream whose bytes are hashed beside the reading."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.hasher = Hasher()

    def read(self, size: int = -1) -> bytes:
        """Read, and hash what was read."""
        data = self._stream.read(size)
        self.hasher.update(data)
        return data


def unpack_layers(store: Store, layers: Sequence[PackedLayer]) -> Digest | None:
    """Make the snapshots of a stack of layers, from the lowest up, as far as they are missing; the topmost chain id.

    The caller is ``store.writing()``.

    Raises:
        Corrupt: a layer is damaged or is not the one that the config names.
        InvalidInput, Unsupported: a layer has a member that is refused.
        Unavailable: the disk is full; nothing is left of the layer.
    """
    chains = chain_ids(tuple(layer.diff_id for layer in layers))
    there = 0
    for depth in range(len(chains), 0, -1):
        if store.snapshots.exists(chains[depth - 1]):
            there = depth
            break
    for depth in range(there, len(chains)):
        _unpack(store, layers[depth], chains[depth], chains[depth - 1] if depth else None)
    return chains[-1] if chains else None


def unpacked_size(store: Store, config: ImageConfig) -> int:
    """Bytes of all layers' files."""
    return sum(store.snapshots.usage(chain) for chain in chain_ids(config.rootfs.diff_ids))


def apply_verified(stream: BinaryIO, store: Store, key: str, diff_id: Digest | None) -> tuple[Digest, int]:
    """Unpack a plain or compressed tar into an active snapshot; its diff id and the bytes of its files.

    Raises:
        Corrupt: it has another diff id than the one that is given.
    """
    from kist.image.compression import plain  # noqa: PLC0415 - most who start containers unpack nothing
    from kist.image.layers import apply  # noqa: PLC0415 - the same

    hashed = HashedStream(plain(stream))
    try:
        applied = apply(cast("BinaryIO", hashed), store.snapshots.mounts(key), what=_called(diff_id))
    finally:
        hashed.hasher.abandon()
    found = hashed.hasher.digest()
    if diff_id is not None and found != diff_id:
        raise Corrupt(
            f"{_called(diff_id)} does not match its digest: its plain content has {found}",
            hint="remove the image and load, pull or build it again",
        )
    return found, applied.size


def commit_or_discard(
    store: Store,
    key: str,
    diff_id: Digest,
    parent: Digest | None,
    size: int | None = None,
    later: Later | None = None,
) -> Digest:
    """Commit a filled snapshot under its chain id; where somebody was faster, theirs is the same and ours goes."""
    chain = chain_id(parent, diff_id)
    try:
        store.snapshots.commit(chain, key, size=size, later=later)
    except Conflict:
        store.snapshots.remove(key)
    return chain


def discard(store: Store, key: str) -> None:
    """Remove an active snapshot; no complaint when it is gone."""
    try:
        store.snapshots.remove(key)
    except NotFound:
        return


def _unpack(store: Store, layer: PackedLayer, chain: Digest, parent: Digest | None) -> None:
    from kist.image.layers import apply  # noqa: PLC0415 - see above

    key = f"unpack-{uuid.uuid4().hex}"
    store.snapshots.prepare(key, parent, many=True)
    try:
        with layer.open() as stream:
            if layer.verified and layer.digest == layer.diff_id:
                size = apply(stream, store.snapshots.mounts(key), what=_called(layer.diff_id)).size
            else:
                _, size = apply_verified(stream, store, key, layer.diff_id)
        commit_or_discard(store, key, layer.diff_id, parent, size)
    except BaseException:
        discard(store, key)
        raise
    if not store.snapshots.exists(chain):
        raise Corrupt(f"snapshot {chain} did not come to be")


def _called(diff_id: Digest | None) -> str:
    return f"layer {diff_id.short}" if diff_id else "the archive"
