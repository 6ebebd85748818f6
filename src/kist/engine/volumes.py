"""The volumes of containers: named, made and filled when a container is created, and counted when one is removed."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from kist.engine.events import Events
from kist.engine.volume_removal import removing
from kist.engine.volume_rules import check_driver, check_options, check_owner, check_same, named_in
from kist.errors import InvalidInput, NotFound
from kist.spec.container import Container, ContainerOptions
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.owner import Owner, labels_of, uid_of
from kist.spec.volume import VolumeSource
from kist.store import Store

_log = logging.getLogger(__name__)
_WAS_GONE = "the directory of the volume %s was gone: there is a new, empty one"


class ContainerVolumes:
    """What containers have to do with volumes."""

    def __init__(self, store: Store, events: Events, *, root: bool) -> None:
        self._store = store
        self._root = root
        self._events = events

    @contextmanager
    def settled(
        self,
        options: ContainerOptions,
        image: ContainerConfig,
        get: Callable[[str], Container],
        owner: Owner | None = None,
    ) -> Iterator[ContainerOptions]:
        """The options with every volume named: those of ``--volumes-from`` and of the image are among the mounts.

        For the length of the block, which makes the container, no volume is removed. When it fails, what was made for
        it goes.

        Raises:
            NotFound: there is no such container.
            InvalidInput: of ``--volumes-from``, or a volume's name.
            Unsupported: another driver than ``local``.
            Forbidden: a volume is somebody else's than ``owner``'s (None: the engine's user).
        """
        check_driver(options.volume_driver)
        made: list[str] = []
        try:
            with self._store.volumes.kept():
                wanted = self._wanted(options, image, get)
                named = [
                    self._named(mount, owner, made, inherited=mount not in options.mounts)
                    if mount.type == "volume"
                    else mount
                    for mount in wanted
                ]
                yield msgspec.structs.replace(options, mounts=tuple(named))
        except BaseException:
            self.remove_unneeded(made)
            raise

    def _wanted(
        self, options: ContainerOptions, image: ContainerConfig, get: Callable[[str], Container]
    ) -> list[Mount]:
        mounts = list(options.mounts)
        for text in options.volumes_from:
            name, mode = read_volumes_from(text)
            try:
                giver = get(name)
            except NotFound as error:
                # As in Docker not a 404, for which clients pull the image.
                raise InvalidInput(f"--volumes-from {text}: {error}", hint=error.hint) from None
            mounts += _others(giver.options.mounts, mode, mounts)
        taken = {mount.target for mount in mounts}
        return mounts + [Mount("volume", "", target) for target in sorted(image.volumes or {}) if target not in taken]

    def _named(self, mount: Mount, owner: Owner | None, new: list[str], *, inherited: bool) -> Mount:
        """The mount with its volume's name, which is also put among the new ones where it is one."""
        uid = uid_of(owner)
        options = mount.pairs("volume-opt")
        check_options(options, root=self._root)
        lost = bool(mount.source) and not self._store.volumes.has_directory(mount.source)
        labels = mount.pairs("volume-label") | labels_of(owner)
        volume, made = self._store.volumes.create(
            mount.source, labels=labels, options=options, owner=uid, inherited=inherited
        )
        check_owner(volume, uid)
        if made:
            new.append(volume.name)
            self._events.volume("create", volume)
        else:
            check_same(volume, options)
            if lost:
                _log.warning(_WAS_GONE, volume.name)
        return Mount("volume", volume.name, mount.target, mount.options)

    def sources(self, mounts: Iterable[Mount], owner: Owner | None = None) -> dict[str, VolumeSource]:
        """What a container's volumes are on the host; a directory that somebody has removed by hand is made again.

        Raises:
            Forbidden: one of them is somebody else's by now.
            NotFound: the directory of the host that one leads to is not there.
        """
        uid = uid_of(owner)
        found = {}
        for name in sorted(named_in(mounts)):
            try:
                volume = self._store.volumes.get(name)
            except NotFound:
                volume, _ = self._store.volumes.create(name, labels=labels_of(owner), owner=uid)
                _log.warning("the volume %s had lost its record: it has a new one", name)
            check_owner(volume, uid)
            if self._store.volumes.ready(volume):
                _log.warning(_WAS_GONE, name)
            found[name] = source = self._store.volumes.source(volume)
            if source.is_host:
                _check_there(name, source.path)
        return found

    def known(self, mounts: Iterable[Mount]) -> dict[str, VolumeSource]:
        """The same of those that there are; nothing is made."""
        found = {}
        for name in named_in(mounts):
            with suppress(NotFound):
                found[name] = self._store.volumes.source(self._store.volumes.get(name))
        return found

    def users(self, name: str) -> tuple[Container, ...]:
        """The containers that have this volume."""
        return tuple(
            container for container in self._store.records.containers() if name in named_in(container.options.mounts)
        )

    def remove_unneeded(self, names: Iterable[str]) -> None:
        """Remove those of these volumes that nobody named and that no container has; the others stay."""
        names = sorted(names)
        if not names:
            return
        with removing(self._store, self._events) as take:
            for name in names:
                with suppress(NotFound):
                    volume = self._store.volumes.get(name)
                    if volume.anonymous and not self.users(name):
                        take(volume)
                    elif name in self._store.volumes.leaving():
                        self._store.volumes.stay(name)


def read_volumes_from(text: str) -> tuple[str, str]:
    """``CONTAINER[:ro|rw]`` as both parts; SELinux labels are accepted and change nothing.

    Raises:
        InvalidInput: another mode.
    """
    name, _, mode = text.partition(":")
    words = set(mode.split(",")) - {"", "z", "Z", "nocopy"}
    if not name or not words <= {"ro", "rw"} or len(words) > 1:
        raise InvalidInput(f"invalid mode for volumes-from: {text!r}", hint="write CONTAINER, CONTAINER:ro or :rw")
    return name, next(iter(words), "")


def _others(mounts: Iterable[Mount], mode: str, own: Iterable[Mount]) -> list[Mount]:
    """Another container's mounts, but for those in memory and those whose place is taken."""
    taken = {mount.target for mount in own}
    # The owner was changed for the other one's user, if at all.
    found = [
        msgspec.structs.replace(mount, options=tuple(option for option in mount.options if option != "U"))
        for mount in mounts
        if mount.type != "tmpfs" and mount.target not in taken
    ]
    if mode != "ro":
        return found
    return [
        Mount(mount.type, mount.source, mount.target, (*(o for o in mount.options if o != "rw"), "ro"))
        if not mount.read_only
        else mount
        for mount in found
    ]


def _check_there(name: str, device: str) -> None:
    """Whoever mounts it could say that the path is not there, and not whose it is: no option names it."""
    try:
        os.stat(device)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"error while mounting volume {name}: bind source path does not exist: {device}",
            hint="it is the volume's device: make the directory, or remove the volume and make it with another",
        ) from None
    except OSError:
        return  # that is for whoever mounts it to tell
