"""Networks by themselves: made, listed, looked at, removed. Containers' ends on them are in ``connecting``."""

from collections.abc import Callable, Iterator

from msgspec import structs

from kist.engine.containers import Containers
from kist.engine.events import Events
from kist.engine.networks import Networks
from kist.engine.prune import fits
from kist.errors import Conflict, Forbidden, NotFound
from kist.spec.docker.filters import Filters
from kist.spec.docker.networks import match_network
from kist.spec.event import Mark
from kist.spec.network import Member, Network, NetworkOptions
from kist.spec.prune import Pruning
from kist.spec.usage import Pruned
from kist.store import Store


class NetworkKeeping:
    """The networks of one engine.

    Args:
        store: where the containers' records are.
        containers: those on the networks.
        networks: who has which address.
        events: what is done is noted there.
    """

    def __init__(self, store: Store, containers: Containers, networks: Networks, events: Events) -> None:
        self._store = store
        self._containers = containers
        self._networks = networks
        self._catalogue = networks.catalogue
        self._events = events

    def create(self, options: NetworkOptions, owner: int = 0) -> Network:
        """Make a network; see ``Catalogue.create``."""
        made = self._catalogue.create(options, owner)
        self._note("create", made)
        return made

    def list(self, filters: Filters, owner: int | None = None) -> tuple[Network, ...]:
        """The networks that pass the filters, by name; those that every engine has and those of one owner, or all."""
        used = self._used() if "dangling" in filters else frozenset()
        found = (each for each in self._catalogue.list() if owner is None or each.predefined or each.owner == owner)
        return tuple(each for each in found if match_network(each, filters, used=each.name in used))

    def get(self, name: str, owner: int | None = None) -> Network:
        """One network, with the containers that run on it; of guests only their own are told."""
        network = self._catalogue.get(name)
        members = tuple(self._members(network, owner))
        usage = tuple(self._networks.usage(network)) if owner is None else ()
        return structs.replace(network, members=members, usage=usage)

    def _members(self, network: Network, owner: int | None = None) -> Iterator[Member]:
        for identifier in self._networks.holders_on(network):
            try:
                container = self._containers.get(identifier)
            except NotFound:
                continue  # a build step's
            if owner is not None and (container.owner is None or container.owner.uid != owner):
                continue
            held = next((each for each in container.networks if each.network == network.name), None)
            if held is not None:
                yield Member(container.id, container.name, held.address, held.address6, held.mac)

    def remove(self, name: str) -> None:
        """Remove a network on which no container runs.

        Raises:
            Forbidden: a container runs on it, or every engine has it.
            NotFound: there is none of this name.
        """
        network = self._catalogue.get(name)
        self._remove(network)

    def _remove(self, network: Network) -> None:
        try:
            self._catalogue.remove(network)
        except Conflict as error:
            members = " ".join(
                f'name:"{each.name}" id:"{each.container[:12]}"' for each in self._members(network, None)
            )
            raise Forbidden(
                f"{error.message}{f' ({members})' if members else ''}",
                hint=f"stop these containers, or take them off it: kist network disconnect {network.name} CONTAINER",
            ) from None
        self._networks.names.forget(network)
        self._note("destroy", network)

    def prune(
        self,
        pruning: Pruning,
        *,
        dry_run: bool = False,
        gone: frozenset[str] = frozenset(),
        among: Callable[[Network], bool] | None = None,
    ) -> Pruned:
        """Remove the networks that no container is to be on, be it a stopped one, and that fit.

        Args:
            pruning: which may go.
            dry_run: only tell.
            gone: ids of containers that are thought away.
            among: tells which networks are looked at; all where there is none.
        """
        used = self._used(gone)
        deleted = []
        for network in self._catalogue.list():
            if network.predefined or network.name in used or not fits(pruning, network.created_at, network.labels):
                continue
            if among is not None and not among(network):
                continue
            try:
                if not dry_run:
                    self._remove(network)
            except (Forbidden, NotFound):
                continue  # a container has just been made that is on it, or somebody else was first
            deleted.append(network.name)
        if not dry_run:
            self._events.note("network", "prune", "", {"reclaimed": 0})
        return Pruned(tuple(deleted), (), 0)

    def _used(self, gone: frozenset[str] = frozenset()) -> frozenset[str]:
        """The names of the networks that containers are to be on."""
        return frozenset(
            endpoint.network
            for container in self._store.records.containers()
            if container.id not in gone
            for endpoint in container.options.networking.endpoints
        )

    def _note(self, action: str, network: Network) -> None:
        told = {"name": network.name, "type": network.driver}
        self._events.note("network", action, network.id, told, mark=Mark(network.owner, network.labels))
