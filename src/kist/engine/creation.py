"""From options to a container that exists: checked, with a snapshot, directories and a record."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec import structs

from kist.engine import bundle, isolation, logconfig, names, network_options, own_disks, roots, volume_filling
from kist.engine.bonds import Bonds
from kist.engine.catalogue import Catalogue
from kist.engine.image_mounts import ImageMounts
from kist.engine.images import Images
from kist.engine.machine import MachineLimits
from kist.engine.means import Means
from kist.engine.roster import Roster
from kist.engine.volumes import ContainerVolumes
from kist.errors import Conflict, InvalidInput, NotFound
from kist.kernel import faults
from kist.spec.container import Container, ContainerOptions, LogConfig
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.owner import Owner, uid_of
from kist.spec.platform import Platform
from kist.spec.summary import Image
from kist.store import Store, directories
from kist.store.snapshots import Forgotten

_NAME_HINT = "names are letters, digits, '_', '.' and '-', two or more, and begin with a letter or digit"
_SHORTEST_NAME = 2
# Bytes of a log that go without being noticed.
_LITTLE = 1 << 20


class Base(NamedTuple):
    """What a container is made on: an image and its config, or nothing but a directory."""

    image_id: Digest
    config: ContainerConfig
    image: Image | None = None


class Creation:
    """Makes containers, and takes away what one without a record has left.

    Args:
        store: where snapshots and records are.
        images: what containers are made of.
        volumes: what they have to do with volumes.
        machine: what limits it can keep.
        roster: where the containers' directories are.
        log: the log driver of containers that name none.
        means: what can be done here.
        bonds: of containers to this process.
        networks: that they may be on.
    """

    def __init__(
        self,
        store: Store,
        images: Images,
        volumes: ContainerVolumes,
        machine: MachineLimits,
        roster: Roster,
        log: LogConfig,
        means: Means,
        bonds: Bonds,
        networks: Catalogue,
    ) -> None:
        self._networks = networks
        self._store = store
        self._means = means
        self._bonds = bonds
        self._images = images
        self._machine = machine
        self._roster = roster
        self._volumes = volumes
        self.mounted = ImageMounts(store, images)
        """Images that are mounted in containers."""
        self._log = log

    def create(
        self, options: ContainerOptions, get: Callable[[str], Container], owner: Owner | None = None
    ) -> Container:
        """Make a container of an image that is here; ``get`` finds others by name, ``owner`` is whose it is to be.

        Raises:
            Conflict: its name is taken.
            InvalidInput, Unsupported: an option cannot be right, or is not done.
            NotFound: there is no such image, or it was removed meanwhile.
        """
        options = structs.replace(options, log=logconfig.with_default(options.log, self._log))
        base = self.base(options, owner)
        options = self.limited(options, owner)
        config, argv = bundle.effective_config(options, base.config)
        check_name(options.name)
        identifier = secrets.token_hex(32)
        self._bonds.take(identifier)
        with self._store.writing():
            root: tuple[Mount, ...] = (Mount("bind", options.rootfs),)
            if not options.rootfs:
                size = own_disks.size_of(options, self._store)
                root = self._store.snapshots.prepare(identifier, self.chain(base), size=size)
            faults.point("create: prepared the snapshot")
            with self._volumes.settled(options, config, get, owner) as settled:
                faults.point("create: settled the volumes")
                settled = self.mounted.settled(settled, owner)  # noqa: PLW2901 - those of other containers are among them
                volume_filling.fill(self._store, settled.mounts, root)
                made = Container(identifier, "", base.image_id, 0, settled, config, argv, owner=owner)
                return self._record(made)

    def limited(self, options: ContainerOptions, owner: Owner | None = None) -> ContainerOptions:
        """The same options with the limits that this machine keeps, and the networks that can be had.

        Raises:
            InvalidInput: there is no such network, or it cannot be what is asked for.
            Forbidden: a network is somebody else's than the owner's.
        """
        options = self._means.fit_options(network_options.settle(options, self._networks, owner), owner)
        resources, _ = self._machine.verify(options.resources)
        return options if resources is options.resources else structs.replace(options, resources=resources)

    def base(self, options: ContainerOptions, owner: Owner | None = None) -> "Base":
        """What a container of these options, which are checked, would be made on.

        Raises:
            InvalidInput, Unsupported: an option cannot be right, or is not done.
            NotFound: there is no such image, or no such directory.
            Forbidden: the image's name is neither the engine's user's nor the owner's.
        """
        bundle.check(options)
        self._means.check(options)
        isolation.check_profile(options)
        if options.rootfs:
            roots.check_directory(options)
            return Base(roots.NO_IMAGE, ContainerConfig())
        image = self._images.to_run(options.image, uid_of(owner))
        if options.platform:
            image = self._images.for_platform(image, options.image, Platform.parse(options.platform)) or image
        _check_platform(image.config.platform, options)
        return Base(image.id, image.config.config, image)

    def chain(self, base: "Base") -> Digest | None:
        """The snapshot to put a container on, unpacked; the caller holds the store's lock."""
        return self._images.chain(base.image or self._images.get(base.image_id))

    def _record(self, made: Container) -> Container:
        """The container with a name and a time, and its record."""
        identifier, wanted = made.id, made.options.name
        try:
            while True:
                container = structs.replace(made, name=wanted or names.invent(), created_at=time.time_ns())
                self._roster.places_of(identifier).make()
                faults.point("create: made the directories")
                try:
                    needs = None if made.options.rootfs else made.image_id
                    self._store.records.add_container(container, needs=needs)
                except Conflict:
                    if wanted:
                        raise
                else:
                    faults.point("create: wrote the record")
                    return container
        except BaseException:
            self.discard(identifier)
            raise

    def discard(self, identifier: str) -> None:
        """Take away all that a container without a record has left."""
        self.clear(identifier, self.forget(identifier))

    def forget(self, identifier: str) -> Forgotten | None:
        """Forget the snapshot of a container without a record, whose files stay until ``clear``."""
        with contextlib.suppress(NotFound):
            return self._store.snapshots.forget(identifier)
        return None

    def clear(self, identifier: str, forgotten: Forgotten | None) -> None:
        """Take away the files that it has left; nothing is recorded of it any more."""
        if forgotten is not None:
            self._store.snapshots.clear(forgotten)
        places = self._roster.places_of(identifier)
        for directory in (places.data, places.run):
            directories.remove_tree(directory)
        self._bonds.drop(identifier)

    def takes_little(self, identifier: str, forgotten: Forgotten | None) -> bool:
        """Whether its files are so few that nobody would wait for their space: none of its own, and a short log."""
        try:
            log = os.lstat(self._roster.log_path_of(identifier)).st_size
        except FileNotFoundError:
            log = 0
        return log < _LITTLE and (forgotten is None or self._store.snapshots.is_bare(forgotten))


def check_name(name: str) -> None:
    """Refuse a name that no container can have; an empty one is to be chosen by the engine.

    Raises:
        InvalidInput: with the characters that are allowed.
    """
    if not name:
        return
    good = all(c.isalnum() or c in "_.-" for c in name) and name[0].isalnum() and name.isascii()
    if not good or len(name) < _SHORTEST_NAME:
        raise InvalidInput(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", hint=_NAME_HINT
        )


def _check_platform(platform: Platform, options: ContainerOptions) -> None:
    host = Platform.of_machine(os.uname().machine)
    asked = Platform.parse(options.platform) if options.platform else platform
    if (asked.os, asked.architecture) != (platform.os, platform.architecture):
        raise NotFound(
            f"image with reference {options.image} was found but its platform ({platform}) does not match the "
            f"specified platform ({asked})",
            hint="leave --platform out, or load an image for it",
        )
    if platform.runs_on(host):
        return
    from kist.engine import emulation  # noqa: PLC0415 - for images of other machines alone

    if reason := emulation.why_not(platform, host):
        raise InvalidInput(
            f"image {options.image} is for {platform}, this machine is {host}: {reason}",
            hint=f"load or build the image for {host}, or {emulation.WAY}",
        )
