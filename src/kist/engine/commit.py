"""A container's changes as an image: one more layer on its image's."""

import uuid
from datetime import UTC, datetime

import msgspec

from kist.engine import mountpoints
from kist.engine.images import Images
from kist.engine.own_disks import reached
from kist.engine.roots import need_image
from kist.errors import Conflict, NotFound
from kist.image.diff import diff, is_unchanged
from kist.spec.container import Container
from kist.spec.digest import Digest, chain_id
from kist.spec.image import OCI_LAYER, ContainerConfig, Descriptor, History, Layer, RootFS
from kist.spec.reference import Reference
from kist.spec.summary import Image
from kist.store import Store


def commit(
    images: Images,
    store: Store,
    container: Container,
    reference: str = "",
    *,
    config: ContainerConfig | None = None,
    author: str = "",
    message: str = "",
    moving: bool = False,
) -> Image:
    """Make an image of a container as it is now; nobody writes to its files meanwhile, but for ``moving``.

    Args:
        images: where it becomes one.
        store: has the container's snapshot.
        container: running or not.
        reference: the image's name; empty for none.
        config: how containers of it run; the container's own by default.
        author: who made it.
        message: the comment in its history.
        moving: the container goes on: files that go while it is read are left out.

    Raises:
        Conflict: the container's image was removed.
        Unavailable: the disk is full, or a file became shorter while it was read.
    """
    names = [str(Reference.parse(reference))] if reference else []
    need_image(container, "commit")
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    with store.writing():  # from here on the base's layers stay, also where it is removed by force
        base = _base(images, container)
        layers = images.layers(base)
        below = layers[-1].chain_id if layers else None
        key = f"commit-{uuid.uuid4().hex}"
        if store.snapshots.twin(key, container.id):
            layer = _from_twin(images, store, key, below)
        else:
            layer = _layer(store, container.id, below, moving=moving)
        stack = (*layers, layer) if layer is not None else layers
        images.has_layers(stack)  # unpacks the new one
        step = History(now, " ".join(container.argv), author, message, empty_layer=layer is None)
        made = msgspec.structs.replace(
            base.config,
            created=now,
            author=author,
            config=config or container.config,
            rootfs=RootFS(tuple(each.diff_id for each in stack)),
            history=(*base.config.history, step),
        )
        return images.create(made, [each.descriptor for each in stack], names)


def _base(images: Images, container: Container) -> Image:
    try:
        return images.get(str(container.image_id))
    except NotFound as error:
        raise Conflict(
            f"the image {container.image_id.short} of container {container.name} was removed",
            hint=f"kist export {container.name} | kist import - NAME makes an image of all its files",
        ) from error


def _from_twin(images: Images, store: Store, key: str, below: Digest | None) -> Layer | None:
    """The layer of a snapshot of the container's files, which becomes the layer itself: nothing is unpacked again."""
    try:
        (mount,) = store.snapshots.mounts(key)
        if original := mount.option("copy-of"):
            mountpoints.take_away(mount.source, original)
        return images.commit_snapshot(key, below)
    except BaseException:
        images.discard_snapshot(key)
        raise


def _layer(store: Store, key: str, below: Digest | None, *, moving: bool) -> Layer | None:
    with reached(store.snapshots.mounts(key)) as mounts:
        if is_unchanged(mounts):
            return None
        with store.blobs.writer() as writer:
            diff(mounts, writer.write, moving=moving)
            digest, size = writer.commit()
    return Layer(Descriptor(OCI_LAYER, digest, size), digest, chain_id(below, digest))
