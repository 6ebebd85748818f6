"""Volumes by themselves: made, listed, looked at, removed. What containers have to do with them is in ``volumes``."""

from kist.engine.events import Events
from kist.engine.usage import Usage
from kist.engine.volume_removal import removing
from kist.engine.volume_rules import check_driver, check_options, check_owner, check_same, in_use, named_in
from kist.errors import Conflict, NotFound
from kist.spec.docker.filters import Filters
from kist.spec.docker.volumes import match_volume
from kist.spec.usage import VolumeUsage
from kist.spec.volume import Volume, VolumeOptions
from kist.store import Store


class VolumeKeeping:
    """The volumes of one data root."""

    def __init__(self, store: Store, usage: Usage, events: Events, *, root: bool) -> None:
        self._store = store
        self._root = root
        self._usage = usage
        self._events = events

    def create(self, options: VolumeOptions, owner: int = 0) -> Volume:
        """The volume of this name, made when there is none.

        Args:
            options: what it is to be.
            owner: the user who makes it; 0 for the engine's own.

        Raises:
            Unsupported: another driver than ``local``.
            InvalidInput: a name that no volume can have, or an option that cannot be right.
            Conflict: there is one of this name that was made with other options.
            Forbidden: it is somebody else's, or a file system that only the machine's root mounts.
        """
        check_driver(options.driver)
        check_options(options.options, root=self._root)
        with self._store.volumes.kept():
            volume, made = self._store.volumes.create(
                options.name, labels=options.labels, options=options.options, owner=owner
            )
            check_owner(volume, owner)
        if made:
            self._events.volume("create", volume)
        else:
            check_same(volume, options.options)
        return volume

    def list(self, filters: Filters, owner: int | None = None) -> tuple[Volume, ...]:
        """The volumes that pass the filters, by name; those of one owner, or of all."""
        used = in_use(self._store) if "dangling" in filters else frozenset()
        return tuple(
            volume
            for volume in self._store.volumes.list()
            if (owner is None or volume.owner == owner) and match_volume(volume, filters, used=volume.name in used)
        )

    def get(self, name: str) -> Volume:
        """One volume.

        Raises:
            NotFound: there is none of this name.
        """
        return self._store.volumes.get(name)

    def remove(self, name: str, *, force: bool = False, owner: int | None = None) -> None:
        """Remove a volume with all that is in it; with ``force`` one that is not there is no error.

        Args:
            name: of the volume.
            force: see above.
            owner: whose it has to be, by then; None for anybody's.

        Raises:
            Conflict: a container has it, be it a stopped one.
            Forbidden: it is not this owner's.
            NotFound: there is none of this name.
        """
        try:
            with removing(self._store, self._events) as take:
                volume = self._store.volumes.get(name)
                if owner is not None:
                    check_owner(volume, owner)
                self._check_unused(name)
                take(volume)
        except NotFound:
            if not force:
                raise

    def removal(self, name: str) -> VolumeUsage:
        """What ``remove`` would take away; nothing is done. Raises what ``remove`` would raise."""
        volume = self._store.volumes.get(name)
        self._check_unused(name)
        return self._usage.of_volume(volume)

    def _check_unused(self, name: str) -> None:
        users = [each.id for each in self._store.records.containers() if name in named_in(each.options.mounts)]
        if users:
            raise Conflict(
                f"remove {name}: volume is in use - [{', '.join(users)}]",
                hint=f"remove the containers first: 'kist ps -a --filter volume={name}' lists them",
            )
