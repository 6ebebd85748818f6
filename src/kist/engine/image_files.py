"""Images from and to archives: load, import, save."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import BinaryIO, Self, cast

import msgspec

from kist.engine.image_unpack import PackedLayer, unpack_layers, unpacked_size
from kist.engine.images import Tell
from kist.errors import NotFound
from kist.image.archive import ArchivedImage, ArchivedReferrer, read_archive
from kist.image.archive_writer import Grouping, SavedImage, SavedReferrer, write_archive
from kist.image.compression import plain
from kist.image.layers import apply
from kist.image.members import Member
from kist.spec import json
from kist.spec.artifact import EMPTY, Artifact
from kist.spec.digest import Digest
from kist.spec.image import parse_manifest
from kist.spec.platform import Platform
from kist.spec.reference import Reference
from kist.spec.summary import Image, LoadedImage
from kist.store import BlobWriter, Store


class _Tee:
    """A stream that copies what is read from it to a writer."""

    def __init__(self, stream: BinaryIO, writer: BlobWriter) -> None:
        self._stream = stream
        self._writer = writer

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._writer.write(data)
        return data


class _Told:
    """A layer's stream, of which is told how much was read."""

    def __init__(self, stream: BinaryIO, tell: Callable[[int], None]) -> None:
        self._stream = stream
        self._tell = tell
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        self._tell(self._done)
        return data


def load_archive(
    store: Store,
    stream: BinaryIO,
    host: Platform,
    owner: int = 0,
    wanted: Sequence[Platform] = (),
    tell: Tell | None = None,
) -> tuple[LoadedImage, ...]:
    """Keep the images of an archive for a user, those for the ``wanted`` platforms or all; records are written last."""
    with store.writing(), ExitStack() as stack:
        archived = read_archive(
            plain(stream), lambda: stack.enter_context(store.blobs.writer()), host, wanted, every=True
        )
        kept = [LoadedImage(_keep(store, image, owner, tell), image.references) for image in archived]
        _name_for_platforms(store, archived, owner, only=bool(wanted))
        return tuple(kept)


def _name_for_platforms(store: Store, archived: Sequence[ArchivedImage], owner: int, *, only: bool) -> None:
    """Have each name that was loaded name the images for further platforms that came with it.

    Without ``only``, a name for which there came none keeps those that it has.
    """
    for name in dict.fromkeys(name for image in archived for name in image.references):
        also = {str(image.config.platform): image.manifest.config.digest for image in archived if name in image.also}
        if also or only:
            store.records.set_platforms(name, also, owner)


def load_one(
    store: Store,
    stream: BinaryIO,
    host: Platform,
    owner: int,
    which: str,
    what: str,
    platform: Platform | None = None,
) -> Image:
    """Keep one image of an archive, without a name (``Images.load_one``)."""
    with store.writing(), ExitStack() as stack:
        archived = read_archive(plain(stream), lambda: stack.enter_context(store.blobs.writer()), platform or host)
        if which.startswith("@"):
            fitting = [image for image in archived if f"@{Digest.of(image.manifest_data)}" == which]
        else:
            tagged = [i for i in archived if which in {Reference.parse(name).tag for name in i.references}]
            fitting = tagged or ([*archived] if len(archived) == 1 and which in {"", "latest"} else [])
        if not fitting:
            there = ", ".join(name for image in archived for name in image.references) or f"{len(archived)} images"
            raise NotFound(f"{what} has no image {which or 'of its own'}", hint=f"it has {there}")
        return _keep(store, msgspec.structs.replace(fitting[0], references=()), owner, None)


def unpack_tree(store: Store, stream: BinaryIO, key: str) -> tuple[Digest, int, int]:
    """Unpack a tar (compressed or not) into an active snapshot, and keep it as a plain blob.

    Gives its digest, which is the diff id too, the blob's size, and the bytes of its files.
    """
    with store.blobs.writer() as writer:
        tee = cast("BinaryIO", _Tee(plain(stream), writer))
        applied = apply(tee, store.snapshots.mounts(key), what="the archive", end_mark=True)
        digest, size = writer.commit()
    return digest, size, applied.size


def save_images(
    store: Store, wanted: Sequence[tuple[Sequence[Image], Sequence[str]]], target: BinaryIO, host: Platform
) -> None:
    """Write images: each alone, or those for several platforms together, with the names that they are to have there."""
    alone = {images[0].id: tuple(names) for images, names in wanted if len(images) == 1}
    saved = []
    for image in {image.id: image for images, _ in wanted for image in images}.values():
        data, names, attached = store.blobs.read(image.manifest), alone.get(image.id, ()), _attached(store, image)
        manifest, platform = parse_manifest(data), image.config.platform
        saved.append(SavedImage(manifest, image.manifest, len(data), platform, names, tuple(attached)))
    groups = [
        Grouping(
            images=tuple(image.manifest for image in images),
            references=tuple(names),
            docker=next((each for each in images if each.config.platform.runs_on(host)), images[0]).manifest,
        )
        for images, names in wanted
        if len(images) > 1
    ]
    with store.writing():
        write_archive(saved, store.blobs.open, target.write, groups)


def _attached(store: Store, image: Image) -> Iterator[SavedReferrer]:
    for subject, each in store.referrers.of(image.id):
        if subject == image.manifest:
            data = store.blobs.read(each.digest)
            yield SavedReferrer(json.decode(data, Artifact, what="a referrer"), each.digest, len(data))


def nanoseconds(text: str) -> int:
    """An RFC 3339 time as nanoseconds since the epoch; 0 for none or one that cannot be read."""
    whole, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    try:
        moment = datetime.fromisoformat(whole + rest[len(digits) :] if rest else text)
    except ValueError:
        return 0
    seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return max(0, seconds * 1_000_000_000 + int((digits + "000000000")[:9]))


def _opener(member: Member, diff_id: Digest, tell: Tell | None) -> Callable[[], BinaryIO]:
    """What opens a layer; with ``tell`` its reading is told of."""
    if tell is None:
        return member.open

    def opened() -> BinaryIO:
        return cast("BinaryIO", _Told(member.open(), lambda done: tell(diff_id, done, member.size)))

    return opened


def _keep(store: Store, image: ArchivedImage, owner: int, tell: Tell | None) -> Image:
    """Blobs are synced in a thread, while the layers are unpacked."""
    diff_ids = image.config.rootfs.diff_ids
    packed = [
        PackedLayer(member.digest, diff_id, _opener(member, diff_id, tell), verified=True)
        for member, diff_id in zip(image.layers, diff_ids, strict=True)
    ]
    with ThreadPoolExecutor(1, "kist-sync") as pool:
        members = {member.digest: member for member in image.layers}
        syncing: list[Future[None]] = [pool.submit(_commit, store, member) for member in members.values()]
        unpack_layers(store, packed)
        for each in syncing:
            each.result()
    manifest, config = store.blobs.put(image.manifest_data), store.blobs.put(image.config_data)
    kept = Image(
        id=config,
        manifest=manifest,
        references=image.references,
        created_at=nanoseconds(image.config.created),
        size=unpacked_size(store, image.config),
        config=image.config,
    )
    store.records.add_image(kept, owner)
    if store.records.image_owner(config) == owner:  # else anybody could say things about others' images
        for referrer in image.referrers:
            _keep_referrer(store, config, referrer)
    return store.records.image(config) or kept


def _keep_referrer(store: Store, image: Digest, referrer: ArchivedReferrer) -> None:
    _commit(store, referrer.content)
    store.blobs.put(EMPTY)
    manifest = store.blobs.put(referrer.data)
    with suppress(sqlite3.IntegrityError):  # the image was removed just now
        store.referrers.put(image, referrer.artifact, manifest, len(referrer.data))


def _commit(store: Store, member: Member) -> None:
    if isinstance(member.sink, BlobWriter):
        member.sink.commit()
    else:
        store.blobs.put(member.data or b"")
