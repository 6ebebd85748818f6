"""Who is linked to whom: looked up when a container starts, and told to those that run (``links`` has the texts)."""

import contextlib

from msgspec import structs

from kist.engine import links, naming
from kist.engine.bonds import Bonds
from kist.engine.links import Link
from kist.engine.locks import Locks
from kist.engine.roster import Roster
from kist.engine.surroundings import rewrite_hosts
from kist.errors import Conflict, InvalidInput, NotFound
from kist.kernel import faults
from kist.network import plan
from kist.spec.container import Container, ContainerOptions
from kist.store.records import Records


class Linking:
    """The links between the containers of one engine.

    Args:
        records: of the containers.
        roster: of the same.
        locks: of the same.
        bonds: whose they are.
        apart: whether the containers of each process of an ordinary user's have a network of their own.
    """

    def __init__(self, records: Records, roster: Roster, locks: Locks, bonds: Bonds, *, apart: bool) -> None:
        self._records = records
        self._roster = roster
        self._locks = locks
        self._bonds = bonds
        self._apart = apart
        # Containers with links; only ever added to.
        self._linking: set[str] = set()

    def check(self, options: ContainerOptions) -> None:
        """Refuse links to containers that there are not, or that are in another network.

        Raises:
            InvalidInput: names the link. As in Docker it is not a ``NotFound``, for which clients pull the image.
        """
        for link in _texts(options):
            try:
                found = self._roster.get(links.read_link(link)[0])
            except NotFound as error:
                raise InvalidInput(f"--link {link}: {error}", hint=error.hint) from None
            if self._apart and not self._bonds.is_ours(found.id):
                raise InvalidInput(
                    f"--link {link}: {found.name} is in another network: what an ordinary user runs with --local has "
                    "one of its own",
                    hint="run both without --local, or publish a port and use that",
                )

    def note(self, container: Container) -> None:
        """A container is here, which may have links."""
        if _texts(container.options):
            self._linking.add(container.id)

    def all(self) -> frozenset[str]:
        """The ids of the containers that may have links; some may have gone."""
        return frozenset(self._linking)

    def lead(self, renamed: Container) -> None:
        """Have the links to a container's former names lead to the name that it has now; its record forgets them then.

        An engine that is killed before that leaves it to the next one.
        """
        # One by one and without the container's own lock, so that two who rename do not wait for each other.
        for identifier in self.all():
            with contextlib.suppress(NotFound):
                self._lead_those_of(self._roster.get(identifier), renamed)
                faults.point("rename: led the links of a container")
        with contextlib.suppress(NotFound), self._locks.alone(renamed):
            kept = self._records.container(renamed.id)
            left = tuple(name for name in kept.former_names if name not in renamed.former_names)
            self._records.replace_container(structs.replace(kept, former_names=left))

    def _lead_those_of(self, container: Container, renamed: Container) -> None:
        with self._locks.alone(container):
            kept = self._records.container(container.id)
            networking = kept.options.networking
            now = self._records.container(renamed.id).name  # it may have been renamed once more
            for name in renamed.former_names:
                networking = links.led_to(now, name, networking)
            if networking != kept.options.networking:
                options = structs.replace(kept.options, networking=networking)
                self._records.replace_container(structs.replace(kept, options=options))
                self.tell_names(kept)

    def of(self, container: Container) -> tuple[Link, ...]:
        """The containers that this one is linked to; on the default network they must run."""
        texts = _texts(container.options)
        if not texts or _is_usual(container.options):
            return links.resolve(texts, self._roster.get)
        networks = {each.network for each in container.options.networking.endpoints}
        return links.known(texts, self._roster.get, networks)

    def environment(self, container: Container) -> tuple[str, ...]:
        """The variables of its links as of now; one that does not run any more gives none."""
        if not _is_usual(container.options):
            return ()
        found: list[Link] = []
        for text in _texts(container.options):
            with contextlib.suppress(NotFound, Conflict):
                found += links.resolve([text], self._roster.get)
        return links.environment(container.name, found)

    def tell(self, target: Container) -> None:
        """A container that others are linked to has started, perhaps at another address: their /etc/hosts says so."""
        for identifier in tuple(self._linking - {target.id}):
            with contextlib.suppress(NotFound, Conflict):  # it has gone, or another of its links does not run
                container = self._roster.get(identifier)
                if container.state.running:
                    rewrite_hosts(self._roster.places(container), container, self.of(container))

    def tell_names(self, container: Container) -> None:
        """Have what runs on networks with names be found, and find others, as its record says now."""
        now = self._roster.get(container.id)
        if now.state.running and any(each.network != plan.DEFAULT for each in now.options.networking.endpoints):
            self.tell_it(now)

    def tell_it(self, container: Container) -> None:
        """Have the files of a running container, and its name server, say on which networks it is now."""
        places = self._roster.places(container)
        rewrite_hosts(places, container, self.of(container))
        naming.tell_again(places.run, container, container.networks)


def _texts(options: ContainerOptions) -> tuple[str, ...]:
    """All links that were asked for."""
    told = (link for endpoint in options.networking.endpoints for link in endpoint.links)
    return tuple(dict.fromkeys((*options.networking.links, *told)))


def _is_usual(options: ContainerOptions) -> bool:
    """Whether links are as on the default network, which gives variables too; elsewhere they are names."""
    return options.network == plan.DEFAULT
