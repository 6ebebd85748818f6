"""Images: named, found, loaded, saved, made of layers, removed.

What reads and writes archives and file trees is imported where it is used: a local run has all of this to import, and
uses none of it.
"""

import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

from kist.engine.events import Events
from kist.engine.image_names import find_image, find_reference
from kist.engine.image_unpack import PackedLayer, commit_or_discard, discard, unpack_layers, unpacked_size
from kist.engine.stop import Stop
from kist.errors import Conflict, Forbidden, InvalidInput, NotFound
from kist.kernel import faults
from kist.kernel.trees import open_tree_of
from kist.spec.build import BootstrapOptions, BuildOptions
from kist.spec.digest import Digest, chain_id, chain_ids
from kist.spec.image import (
    OCI_LAYER,
    ContainerConfig,
    Descriptor,
    History,
    ImageConfig,
    Layer,
    RootFS,
    documents,
    parse_manifest,
)
from kist.spec.owner import FIRST_SCOPE, whose
from kist.spec.platform import Platform
from kist.spec.reference import Reference
from kist.spec.summary import Image, ImageManifest, LoadedImage, RemovedImage
from kist.store import Store, Without
from kist.store.snapshots import Later

Tell = Callable[[Digest, int, int], None]
"""Hears how far a layer is that was not here: its diff id, the bytes that were read, and how many it has."""


class Removal(NamedTuple):
    """What a removal takes: an image, of which ``taken`` is the one name that goes (empty: all of it goes)."""

    image: Image
    taken: str
    users: tuple[str, ...]


class Images:
    """The images of a store. Safe from many threads; an image is named by id, unique start of an id, or reference.

    Attributes:
        scope: what the keys of a build's steps begin with: nobody finds what somebody else's command has made.
        may_fetch: whether who has them may have the engine fetch from an address.
    """

    scope = ""
    may_fetch = True

    def __init__(self, store: Store, events: Events | None = None) -> None:
        self._store = store
        self._events = events or Events(store.events)
        self._records = store.records
        self._host = Platform.of_machine(os.uname().machine)
        self._owner = 0  # whose the images and names are that are made here; another's in ``GuestImages``

    def get(self, name: str | Image) -> Image:
        """The image of this name.

        Raises:
            NotFound: there is none; the hint has the nearest names.
            InvalidInput: several ids begin so.
        """
        return find_image(self._records, name)

    def to_run(self, name: str | Image, owner: int = -1) -> Image:
        """The image of this name, for a user's container, build or further name (by default of whose these images are).

        Who runs an image by a name trusts who gave it: the engine's user, or oneself. Others name it by its id.

        Raises:
            NotFound, InvalidInput: as ``get``.
            Forbidden: the name is somebody else's.
        """
        image = self.get(name)
        reference = find_reference(image, name)
        giver = self._records.name_owner(reference) if reference else 0
        taker = self._owner if owner < 0 else owner
        if giver not in {0, taker}:
            raise Forbidden(
                f"the name {Reference.parse(reference).familiar} was given by {_giver(giver, taker)}",
                hint=f"if you trust the image, name it by its id: {image.id.short}",
            )
        self._store.origins.note_use(image.id)
        return image

    def of_platform(self, name: str | Image, platform: Platform | None) -> Image:
        """The image of this name, which must be for the platform where one is given.

        Raises:
            NotFound: there is none, or it is for another platform.
        """
        image = self.get(name)
        found = self.for_platform(image, name, platform) if platform is not None else image
        if found is None:
            there = [str(image.config.platform), *self._records.platforms(find_reference(image, name))]
            raise NotFound(
                f"image with reference {name if isinstance(name, str) else name.id} was found but does not provide the "
                f"specified platform ({platform})",
                hint=f"it is for {' and '.join(there)}",
            )
        return found

    def for_platform(self, image: Image, name: str | Image, platform: Platform) -> Image | None:
        """The image for a platform of those that a name has; None where it has none for it.

        Args:
            image: that ``name`` names.
            name: by what it was found; an id is one image.
            platform: that is wanted.
        """
        if image.config.platform.is_one_of(platform):
            return image
        for identity in self._records.platforms(find_reference(image, name)).values():
            try:
                found = self.get(str(identity))
            except NotFound:  # it was removed just now, or is not for whoever asks
                continue
            if found.config.platform.is_one_of(platform):
                return found
        return None

    def check(self, options: BuildOptions | BootstrapOptions) -> None:
        """Refuse an image that the caller may not have made; the engine's own user may have any."""

    def check_own(self, image: Image) -> None:
        """Refuse to have something attached to an image that the caller did not make; the engine's own user may."""

    def list(self) -> tuple[Image, ...]:
        """All images, the newest first; those without a reference too."""
        return self._records.images()

    def tag(self, name: str | Image, reference: str) -> None:
        """Give an image a further name, taking it from whatever image has it; by what name is trusted as by ``to_run``.

        Raises:
            NotFound, InvalidInput, Forbidden: as ``to_run``.
        """
        parsed = Reference.parse(reference)
        if parsed.digest is not None:
            raise InvalidInput(f"refusing to create a tag with a digest reference: {reference}")
        image = self.to_run(name)
        self._records.set_reference(str(parsed), image.id, self._owner)
        self._events.image("tag", image, parsed.familiar, owner=self._owner)

    def name_for_platforms(self, references: Sequence[str], images: Mapping[str, Digest]) -> None:
        """Say which images these full references have for further platforms than that of the image that they name."""
        for reference in references:
            self._records.set_platforms(reference, images, self._owner)

    def remove(
        self, name: str | Image, force: bool = False, *, running: Callable[[str], bool] | None = None
    ) -> RemovedImage:
        """Take a name from an image, and remove the image with its last one.

        Args:
            name: a reference takes that one away; an id takes all, where they are of one repository.
            force: also when containers that do not run were made from it, or when several repositories name it.
            running: tells whether a container runs (by default all that exist count as stopped).

        Raises:
            NotFound: there is no such image.
            Conflict: it is in use.
        """
        while True:  # until nobody has named or used it between the look and the deed
            image, taken, users = self._removal(name, force=force, running=running)
            if taken and self._records.remove_reference(image, taken):
                familiar = Reference.parse(taken).familiar
                self._events.image("untag", image, familiar, owner=self._owner)
                return RemovedImage(untagged=(familiar,))
            if not taken and self.forget(image, users):
                break
        collected = self._store.collect()
        untagged = tuple(Reference.parse(each).familiar for each in image.references)
        snapshots, size = (collected.snapshots, collected.size) if collected else ((), 0)
        return RemovedImage(untagged, (image.id, *snapshots), size)

    def removal(
        self, name: str | Image, force: bool = False, *, running: Callable[[str], bool] | None = None
    ) -> RemovedImage:
        """What ``remove`` would do; nothing is done."""
        image, taken, _ = self._removal(name, force=force, running=running)
        if taken:
            return RemovedImage(untagged=(Reference.parse(taken).familiar,))
        gone = self._store.survey(Without(images=frozenset({str(image.id)})))
        untagged = tuple(Reference.parse(each).familiar for each in image.references)
        return RemovedImage(untagged, (image.id, *gone.snapshots), gone.size)

    def _removal(self, name: str | Image, *, force: bool, running: Callable[[str], bool] | None) -> "Removal":
        image = self.get(name)
        reference = find_reference(image, name)
        users = self._records.containers_of_image(image.id)
        if reference and len(image.references) > 1:
            return Removal(image, reference, users)
        active = [user for user in users if running is not None and running(user)]
        if reference and users:
            if not force:
                raise _used_by_name(str(name), users[0], image)
            return Removal(image, reference, users)
        if not reference:
            _check_removable(image, users, active, force=force)
        return Removal(image, "", users)

    def forget(self, image: Image, users: Collection[str] = ()) -> bool:
        """Take an image out of the records with all its names; a collection gives the space back.

        Args:
            image: as it was seen when it was chosen.
            users: its containers that do not keep it.

        Returns:
            False, and it stays, where somebody has named or used it since.
        """
        if not self._records.remove_image(image, users):
            return False
        for name in image.references:
            self._events.image("untag", image, Reference.parse(name).familiar, owner=self._owner)
        self._events.image("delete", image, owner=self._owner)
        faults.point("collect: forgot an image")
        return True

    def chain(self, image: Image) -> Digest | None:
        """The snapshot to put a container on: the image's top chain id, None for an image without layers.

        What is not unpacked (any more) is unpacked.

        Raises:
            Corrupt: a layer's blob is damaged.
            NotFound: a layer's blob is missing, or the image was removed meanwhile.
        """
        chains = chain_ids(image.config.rootfs.diff_ids)
        if not chains or self._store.snapshots.exists(chains[-1]):
            return chains[-1] if chains else None
        with self._store.writing():
            return unpack_layers(self._store, self._packed(self.layers(find_image(self._records, image))))

    def layers(self, image: Image) -> tuple[Layer, ...]:
        """The layers of an image, from the lowest up."""
        manifest = parse_manifest(self._store.blobs.read(image.manifest))
        diff_ids = image.config.rootfs.diff_ids
        chains = chain_ids(diff_ids)
        return tuple(Layer(*parts) for parts in zip(manifest.layers, diff_ids, chains, strict=True))

    def manifest(self, image: Image) -> ImageManifest:
        """What an image's manifest is, and how large all is that it speaks of."""
        data = self._store.blobs.read(image.manifest)
        found = parse_manifest(data)
        described = Descriptor(found.media_type, image.manifest, len(data), platform=image.config.platform)
        return ImageManifest(described, len(data) + sum(each.size for each in (found.config, *found.layers)))

    def layer_sizes(self, image: Image) -> tuple[int, ...]:
        """Bytes of each layer's files, from the lowest up."""
        self.chain(image)
        return tuple(self._store.snapshots.usage(chain) for chain in chain_ids(image.config.rootfs.diff_ids))

    def has_layers(self, layers: Sequence[Layer]) -> bool:
        """Whether a stack of layers (from the lowest up) is still here, unpacked again if need be; a cache asks so."""
        if layers and self._store.snapshots.exists(layers[-1].chain_id):
            return all(layer.descriptor.digest in self._store.blobs for layer in layers)
        if not all(layer.descriptor.digest in self._store.blobs for layer in layers):
            return False
        with self._store.writing():
            unpack_layers(self._store, self._packed(layers))
        return True

    def load(self, stream: BinaryIO, platforms: Sequence[Platform] = ()) -> tuple[Image, ...]:
        """Keep all images of an archive: ``load_named``, without the names."""
        return tuple(each.image for each in self.load_named(stream, platforms))

    def load_named(
        self, stream: BinaryIO, platforms: Sequence[Platform] = (), tell: Tell | None = None
    ) -> tuple[LoadedImage, ...]:
        """Keep all images of an archive (docker-save or OCI layout, compressed or not).

        A name that another image had moves to the one that is loaded. Of a name for several platforms all images are
        kept; the one that runs here has it, or else the first, and the others are found by it for their platforms.

        Args:
            stream: the archive.
            platforms: keep for these, and for no others.
            tell: hears of each layer that was not here how far it is (``Tell``).

        Raises:
            InvalidInput: it is no archive of images, or a path in it leads out of it.
            Corrupt: it is damaged, or a blob does not match its digest.
            NotFound: there is nothing for one of those platforms.
            Unavailable: the disk is full; nothing is left of the archive.
        """
        from kist.engine.image_files import load_archive  # noqa: PLC0415 - see the top of this file

        before = {image.id: image.manifest for image in self.list()}
        loaded = load_archive(self._store, stream, self._host, self._owner, platforms, tell)
        images = [each.image for each in loaded]
        self._store.flush_soon()
        for image in images:
            self._events.image("load", image, _first_name(image), owner=self._owner)
        if any(before.get(image.id, image.manifest) != image.manifest for image in images):
            self._store.collect()  # layers that are compressed in another way now
        return loaded

    def load_one(self, stream: BinaryIO, which: str, what: str, platform: Platform | None = None) -> Image:
        """Keep one image of an archive, without a name.

        Args:
            stream: the archive, compressed or not.
            which: its tag, or ``@`` and the digest of its manifest; empty for the only one that is there.
            what: the archive in messages.
            platform: of an image that is there for several platforms, the one for this; by default this machine's.

        Raises:
            NotFound: it is not there.
            InvalidInput, Corrupt, Unavailable: as ``load``.
        """
        from kist.engine.image_files import load_one  # noqa: PLC0415 - see the top of this file

        return load_one(self._store, stream, self._host, self._owner, which, what, platform)

    def for_platforms(self, name: str | Image, platforms: Sequence[Platform] = ()) -> tuple[Image, ...]:
        """The images that a name has, the one that it names first: all, or those for one of these platforms.

        Raises:
            NotFound: there is none.
        """
        image = self.get(name)
        every = {image.id: image}
        for _, identity in sorted(self._records.platforms(find_reference(image, name)).items()):
            with suppress(NotFound):  # it was removed just now, or is not for whoever asks
                every.setdefault(identity, self.get(str(identity)))
        fitting = (each for each in every.values() if any(each.config.platform.is_one_of(one) for one in platforms))
        found = tuple(fitting if platforms else every.values())
        return found or (self.of_platform(name, platforms[0]),)

    def save(self, names: Sequence[str | Image], target: BinaryIO, platforms: Sequence[Platform] = ()) -> None:
        """Write an archive that is both an OCI layout and what ``docker save`` writes; an id is saved without names.

        Args:
            names: of the images. All that a name has for several platforms are written, as an index.
            target: is written to.
            platforms: write the images for these alone.

        Raises:
            NotFound: there is no image of a name, or none for one of the platforms.
        """
        from kist.engine.image_files import save_images  # noqa: PLC0415 - see the top of this file

        chosen: dict[tuple[Digest, ...], tuple[tuple[Image, ...], list[str]]] = {}
        for name in names:
            images = self.for_platforms(name, platforms)
            kept = chosen.setdefault(tuple(image.id for image in images), (images, []))[1]
            reference = find_reference(self.get(name), name)
            if reference and reference not in kept:
                kept.append(reference)
        save_images(self._store, [*chosen.values()], target, self._host)
        for images, references in chosen.values():
            called = Reference.parse(references[0]).familiar if references else ""
            for image in images:
                self._events.image("save", image, called, owner=self._owner)

    def import_tar(
        self,
        stream: BinaryIO,
        reference: str = "",
        config: ContainerConfig | None = None,
        message: str = "",
        platform: Platform | None = None,
    ) -> Image:
        """Make an image of one layer from a file tree's tar (compressed or not).

        Args:
            stream: the tar.
            reference: the image's name; empty for none.
            config: how containers of it run.
            message: the comment in its history.
            platform: what its programs run on; this machine's by default.

        Raises:
            Corrupt, InvalidInput, Unsupported: the tar is damaged, or a member of it is refused; the message names it.
        """
        from kist.engine.image_files import unpack_tree  # noqa: PLC0415 - see the top of this file

        names = [str(Reference.parse(reference))] if reference else []
        runs_on = platform or self._host
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        key = f"import-{uuid.uuid4().hex}"
        with self._store.writing():
            self._store.snapshots.prepare(key, many=True)
            try:
                digest, size, unpacked = unpack_tree(self._store, stream, key)
                commit_or_discard(self._store, key, digest, None, unpacked)
            except BaseException:
                discard(self._store, key)
                raise
            made = ImageConfig(
                architecture=runs_on.architecture,
                os=runs_on.os,
                variant=runs_on.variant,
                created=now,
                config=config or ContainerConfig(),
                rootfs=RootFS((digest,)),
                history=(History(created=now, comment=message or "Imported from -"),),
            )
            return self.create(made, [Descriptor(OCI_LAYER, digest, size)], names, action="import")

    def commit_snapshot(
        self,
        key: str,
        parent: Digest | None,
        *,
        mtime: int | None = None,
        exact: bool = False,
        stop: Stop | None = None,
        later: Later | None = None,
    ) -> Layer | None:
        """Make a layer of what an active snapshot changed, and commit it under its chain id.

        Layer and snapshot are kept as long as their maker is ``store.writing()``, then as long as an image or a cache
        entry speaks of them; after a crash, if an image does (``create``).

        Args:
            key: of the active snapshot, which nobody uses any more.
            parent: the chain id that it stands on.
            mtime: files younger than this (seconds since the epoch) become this old, in the layer and in the snapshot.
            exact: older ones become this young, too.
            stop: ends it; the snapshot is still active.
            later: takes what can wait.

        Returns:
            None when nothing changed; the snapshot is removed then.

        Raises:
            Unavailable: the disk is full; the snapshot is still active.
        """
        from kist.image.diff import diff, is_unchanged  # noqa: PLC0415 - see the top of this file

        snapshots = self._store.snapshots
        with self._store.writing():
            mounts = snapshots.mounts(key)
            if is_unchanged(mounts, mtime=mtime, exact=exact):
                snapshots.remove(key, later=later)
                return None
            with self._store.blobs.writer() as writer:
                write = writer.write if stop is None else stop.before(writer.write)
                unpacked = diff(mounts, write, mtime=mtime, exact=exact)
                digest, size = writer.commit_soon()
            faults.point("build: wrote a layer's blob")
            layer = Layer(Descriptor(OCI_LAYER, digest, size), digest, chain_id(parent, digest))
            commit_or_discard(self._store, key, digest, parent, unpacked, later)
        return layer

    def merge_layers(self, layers: Sequence[Layer], below: int, *, mtime: int | None = None) -> Layer | None:
        """Make one layer of all but the lowest ``below``; None where they change nothing together.

        What one layer brings and a later one takes away is in none. It is kept as ``commit_snapshot``'s is.

        Args:
            layers: from the lowest up; they are unpacked.
            below: how many stay as they are.
            mtime: files younger than this (seconds since the epoch) become this old in it.
        """
        from kist.image.diff import diff_trees  # noqa: PLC0415 - see the top of this file

        base = tuple(layers[:below])
        with self._store.writing(), ExitStack() as stack:
            now = stack.enter_context(self.open_files(layers[-1].chain_id))
            before = stack.enter_context(self.open_files(base[-1].chain_id)) if base else None
            writer = stack.enter_context(self._store.blobs.writer())
            if not diff_trees(now, before, writer.write, mtime=mtime):
                return None
            digest, size = writer.commit_soon()
            chain = chain_id(base[-1].chain_id if base else None, digest)
            merged = Layer(Descriptor(OCI_LAYER, digest, size), digest, chain)
            self.has_layers((*base, merged))
        return merged

    @contextmanager
    def open_files(self, chain: Digest) -> Iterator[int]:
        """The root directory of the files of a stack of layers, for reading, for the time of the block."""
        mounts = self._store.snapshots.mounts(chain)
        tree = open_tree_of([(mount.type, mount.source, mount.options) for mount in mounts])
        try:
            root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
        finally:
            os.close(tree)
        try:
            yield root
        finally:
            os.close(root)

    def discard_snapshot(self, key: str) -> None:
        """Remove an active snapshot; no complaint when it is gone."""
        discard(self._store, key)

    def create(
        self,
        config: ImageConfig,
        layers: Sequence[Descriptor],
        references: Sequence[str],
        *,
        action: str = "create",
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        """Make an image of layers that are here (committed under the chain ids that ``config`` implies).

        Args:
            config: with a diff id for each layer.
            layers: the blobs, from the lowest up.
            references: names, taken from whatever images have them.
            action: what the event is called.
            annotations: of the manifest.
        """
        from kist.engine.image_files import nanoseconds  # noqa: PLC0415 - see the top of this file

        names = tuple(sorted({str(Reference.parse(name)) for name in references}))
        made = documents(config, layers, annotations)
        with self._store.writing():
            identity = self._store.blobs.put(made.config, soon=True)
            manifest = self._store.blobs.put(made.manifest, soon=True)
            faults.point("build: wrote the image's manifest")
            if (image := self._same(identity, manifest, names, config)) is None:
                self._store.blobs.sync((identity, manifest, *(each.digest for each in layers)))
                at, size = nanoseconds(config.created), unpacked_size(self._store, config)
                new = Image(id=identity, manifest=manifest, references=names, created_at=at, size=size, config=config)
                self._records.add_image(new, self._owner)
                self._store.flush_soon()
                image = self.get(identity)
        self._events.image(action, image, _first_name(image), owner=self._owner)
        return image

    def _same(self, identity: Digest, manifest: Digest, names: Sequence[str], config: ImageConfig) -> Image | None:
        """The image, where it is here already and a record of it would say nothing new: a build of what was built."""
        known = self._records.standing(identity)
        if known is None or known.manifest != manifest or known.owner != self._owner:
            return None
        if any(known.names.get(name) != self._owner for name in names):
            return None
        return Image(identity, manifest, tuple(sorted(known.names)), known.created_at, known.size, config)

    def _packed(self, layers: Sequence[Layer]) -> Sequence[PackedLayer]:
        return [self._packed_layer(layer) for layer in layers]

    def _packed_layer(self, layer: Layer) -> PackedLayer:
        digest = layer.descriptor.digest
        return PackedLayer(digest, layer.diff_id, lambda: self._store.blobs.open(digest))


def _giver(uid: int, asks: int) -> str:
    return f"another user ({uid})" if max(uid, asks) < FIRST_SCOPE else whose(uid, asks)


def _first_name(image: Image) -> str:
    return Reference.parse(image.references[0]).familiar if image.references else ""


def _used_by_name(name: str, container: str, image: Image) -> Conflict:
    return Conflict(
        f'conflict: unable to remove repository reference "{name}" (must force) - '
        f"container {container[:12]} is using its referenced image {image.id.short}",
        hint=f"remove the container first: kist rm {container[:12]}",
    )


def _check_removable(image: Image, users: Sequence[str], active: Sequence[str], *, force: bool) -> None:
    """Whether an image that was named by its id may go, in Docker's words."""
    about = f"conflict: unable to delete {image.id.short}"
    if active:
        raise Conflict(
            f"{about} (cannot be forced) - image is being used by running container {active[0][:12]}",
            hint=f"stop the container first: kist rm -f {active[0][:12]}",
        )
    if force:
        return
    if users:
        raise Conflict(
            f"{about} (must be forced) - image is being used by stopped container {users[0][:12]}",
            hint=f"remove the container first: kist rm {users[0][:12]}",
        )
    if len({Reference.parse(name).name for name in image.references}) > 1:
        raise Conflict(
            f"{about} (must be forced) - image is referenced in multiple repositories",
            hint="remove the names one by one, or force it",
        )
