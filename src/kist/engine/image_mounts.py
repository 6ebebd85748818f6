"""Images that are mounted in containers: mounts of type ``image``.

Which image a name means is settled when a container is made: from then on the mount has the image's id and the snapshot
that shows it. The record keeps both: who removes an image is told of the container, and where it is removed by force,
its files stay as long as the container.
"""

import os
from collections.abc import Iterable

from msgspec import structs

from kist.engine import volume_filling
from kist.engine.images import Images
from kist.errors import InvalidInput, NotFound
from kist.kernel import paths
from kist.spec.container import ContainerOptions
from kist.spec.digest import Digest
from kist.spec.mount import Mount
from kist.spec.owner import Owner, uid_of
from kist.store import Store


class ImageMounts:
    """The mounted images of one data root's containers."""

    def __init__(self, store: Store, images: Images) -> None:
        self._store = store
        self._images = images

    def settled(self, options: ContainerOptions, owner: Owner | None = None) -> ContainerOptions:
        """The options with each mounted image found and unpacked; the caller holds the store's lock.

        Raises:
            InvalidInput: there is no such image.
            Forbidden: the image's name is neither the engine's user's nor the owner's.
        """
        if not any(mount.type == "image" for mount in options.mounts):
            return options
        mounts = [self._settled(mount, owner) if mount.type == "image" else mount for mount in options.mounts]
        return structs.replace(options, mounts=tuple(mounts))

    def _settled(self, mount: Mount, owner: Owner | None) -> Mount:
        if mount.option("image"):
            return mount  # another container's, by --volumes-from
        try:
            image = self._images.to_run(mount.source, uid_of(owner))
        except NotFound as error:
            # Not a 404, at which clients pull the image that the container is to be made of.
            raise InvalidInput(str(error), hint=f"it is to be mounted at {mount.target}; {error.hint}") from None
        chain = self._images.chain(image)
        return structs.replace(mount, options=(*mount.options, f"image={image.id}", f"snapshot={chain or ''}"))

    def views(self, mounts: Iterable[Mount]) -> dict[str, tuple[Mount, ...]]:
        """What shows each mounted image, by the mount's target; what is not unpacked any more is unpacked.

        Raises:
            NotFound: what is to be shown of it is not there.
        """
        return {mount.target: self._view(mount) for mount in mounts if mount.type == "image"}

    def _view(self, mount: Mount) -> tuple[Mount, ...]:
        chain = mount.option("snapshot")
        if chain and not self._store.snapshots.exists(chain):
            self._unpack(mount)
        view = view_of(self._store, mount)
        if within := mount.option("subpath"):
            _check_part(mount, view, within)
        return view

    def _unpack(self, mount: Mount) -> None:
        image = self._store.records.image(Digest(mount.option("image") or ""))
        if image is None:
            raise NotFound(
                f"the image {mount.source}, which is mounted at {mount.target}, was removed, and its files with it",
                hint="make the container anew, with an image that is here",
            )
        self._images.chain(image)


def view_of(store: Store, mount: Mount) -> tuple[Mount, ...]:
    """The mounts that show a settled mount's image; none for an image without layers.

    Raises:
        NotFound: it is not unpacked any more.
    """
    chain = mount.option("snapshot")
    return store.snapshots.mounts(chain) if chain else ()


def lacks(view: tuple[Mount, ...], within: str) -> OSError | None:
    """Why an image has nothing at a path, None where it has; links in it lead nowhere outside of the image."""
    try:
        if not view:
            raise FileNotFoundError
        with volume_filling.opened(view) as tree:
            os.close(paths.open_in_root(tree, within, os.O_PATH))
    except OSError as error:
        return error
    return None


def _check_part(mount: Mount, view: tuple[Mount, ...], within: str) -> None:
    error = lacks(view, within)
    if error is None:
        return
    reason = (error.strerror or "").lower()
    raise NotFound(
        f"the subpath {within} of the image {mount.source} "
        + ("does not exist" if isinstance(error, FileNotFoundError) else f"cannot be mounted: {reason}"),
        hint="it is a path in the image, from its root",
    )
