"""The containers that there are, each with its state as of now."""

from kist.engine import state
from kist.engine.listing import Listing
from kist.engine.networks import Leases, Networks
from kist.engine.starter import Places
from kist.runtime import plan
from kist.spec.container import Container, ContainerState
from kist.spec.networking import NetworkAttachment
from kist.store import Store

_LOG = plan.Log().name
_NO_LEASES = Leases()


class Roster:
    """Finds containers. It keeps nothing: records are in the store, states where monitors write them.

    Args:
        store: where the records are.
        connected: who has which address.
        data_root: the directory of the containers' own directories.
        run_root: the directory of their run directories.
        mounted_at: the empty directory that every root file system is mounted over.
    """

    def __init__(self, store: Store, connected: Networks, *, data_root: str, run_root: str, mounted_at: str) -> None:
        self._records = store.records
        self._volume_root = store.volumes.root
        self._networks = connected
        self.data_root = data_root
        self.run_root = run_root
        self._mounted_at = mounted_at
        self._listing = Listing(store.records, data_root, run_root)

    def get(self, name: str | Container) -> Container:
        """The container of this name, id or unique beginning of an id, with its state as of now."""
        return self.with_state(self._records.container(key_of(name)))

    def known(self, name: str | Container) -> Container:
        """The same, for whoever wants no more than its id and its name: how it is now is not looked for."""
        return name if isinstance(name, Container) else self._records.container(name)

    def with_no_run(self, container: Container) -> Container:
        """A container that has just been made: nothing is to be looked for of a state."""
        return self._shown(container, ContainerState(), _NO_LEASES)

    def list(self, *, everything: bool) -> tuple[Container, ...]:
        """Running containers, or all, the newest first."""
        found = tuple(self._listing.containers(everything=everything))
        # Asking for the leases makes the bridge where there is none.
        connected = any(now.running and container.options.networking.endpoints for container, now in found)
        leased = self._networks.leases() if connected else _NO_LEASES
        return tuple(self._shown(container, now, leased) for container, now in found)

    def places(self, container: Container) -> Places:
        """The container's directories."""
        return self.places_of(container.id)

    def places_of(self, identifier: str) -> Places:
        """The directories of the container with this id, which may not be there (yet, or any more)."""
        return Places(f"{self.data_root}/{identifier}", f"{self.run_root}/{identifier}", self._mounted_at)

    def log_path(self, container: Container) -> str:
        """The current file of the container's log."""
        return self.log_path_of(container.id)

    def log_path_of(self, identifier: str) -> str:
        """The same by the id."""
        return f"{self.data_root}/{identifier}/{_LOG}"

    def state_of(self, container: Container) -> ContainerState:
        """The container's state as of now."""
        places = self.places(container)
        return state.read(places.data, places.run, lambda: self._records.started_at(container.id))

    def first_process(self, container: Container) -> tuple[int, int] | None:
        """The first process of a container, and when it began (``process.start_time``); None when it does not run."""
        if not self.state_of(container).running:
            return None
        return next(state.living_container(self.places(container).run), None)

    def with_state(self, container: Container) -> Container:
        """A container of the records, with its state as of now."""
        found = self.state_of(container)
        connected = found.running and container.options.networking.endpoints
        return self._shown(container, found, self._networks.leases_of(container.id) if connected else _NO_LEASES)

    def _shown(self, container: Container, found: ContainerState, leased: Leases) -> Container:
        attachments: tuple[NetworkAttachment, ...] = ()
        if found.running:
            attachments = leased.attachments(container.id, container.options.networking.endpoints)
        return Container(
            container.id,
            container.name,
            container.image_id,
            container.created_at,
            container.options,
            container.config,
            container.argv,
            found,
            attachments,
            self.log_path(container),
            self._volume_root,
            container.owner,
        )


def key_of(name: str | Container) -> str:
    """What a container is looked for by."""
    return name.id if isinstance(name, Container) else name
