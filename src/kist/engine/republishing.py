"""Published ports of containers that run, led elsewhere or by other rules: after a firewall's reload, for one."""

from collections.abc import Iterable, Iterator

from kist.engine import port_checking
from kist.engine.bonds import Bonds
from kist.engine.guardians import Guardians
from kist.engine.locks import Locks
from kist.engine.networks import Networks
from kist.engine.port_paths import PortPaths, Target
from kist.engine.roster import Roster
from kist.errors import Conflict
from kist.spec.container import Container


class Republishing:
    """Tells monitors how their containers' ports are published now.

    Args:
        roster: of the containers.
        guardians: who reaches their monitors.
        networks: the containers' networks.
        paths: how published ports go.
        bonds: which containers end with which process.
        locks: nobody starts or removes one meanwhile.
    """

    def __init__(
        self,
        roster: Roster,
        guardians: Guardians,
        networks: Networks,
        paths: PortPaths,
        bonds: Bonds,
        locks: Locks,
    ) -> None:
        self._roster = roster
        self._guardians = guardians
        self._networks = networks
        self._paths = paths
        self._bonds = bonds
        self._locks = locks

    def reload(self, names: Iterable[str] = ()) -> tuple[str, ...]:
        """Make again what a firewall's reload has taken away: the rules of all networks, and of containers' ports.

        Args:
            names: of containers; none for all that run.

        Returns:
            The names of the containers whose rules were looked at.

        Raises:
            NotFound: there is no such container.
            Conflict: it does not run, or is another process's.
        """
        chosen = [self._roster.get(name) for name in names]
        for container in chosen:
            self._check(container)
        self._networks.reload()
        theirs = self._bonds.of_others()
        found = chosen or [each for each in self._roster.list(everything=False) if each.id not in theirs]
        running = {each.id: each for each in found if each.networks}
        wanted = {key: container.options.networking.endpoints for key, container in running.items()}
        for identifier in self._networks.unplugged(wanted, lambda each: self._roster.first_process(running[each])):
            self.plug_in(running[identifier])
        return tuple(each.name for each in found if each.networks and self.again(each))

    def plug_in(self, container: Container) -> None:
        """Connect a container again whose bridge was removed, and took its cable along; nothing if it has ended."""
        with self._locks.alone(container):
            container = self._roster.get(container)
            if first := self._roster.first_process(container):
                self._networks.settle(container, first, container.options.networking.endpoints)

    def mistaken(self) -> Iterator[tuple[Container, str]]:
        """Containers whose published ports are not carried as they shall be now, and what is wrong."""
        published = [each for each in self._roster.list(everything=False) if each.state.ports and each.networks]
        theirs = self._bonds.of_others()
        told = port_checking.comments() if published else frozenset()
        for container in published:
            target = self._paths.target(container.networks)
            if container.id in theirs or target is None:
                continue
            by_kernel = self._paths.rules(target.bridges) is not None
            if wrong := port_checking.mistaken(container, target, told, by_kernel=by_kernel):
                yield container, wrong

    def again(self, container: Container) -> bool:
        """Have a running container's ports lead to where it is now, on the path that is chosen now.

        Returns:
            Whether it still runs.
        """
        if not container.state.ports:
            return True
        target = self._paths.target(container.networks) or Target()
        rules = self._paths.rules(target.bridges)
        message = {"op": "publish", "address": target.address, "address6": target.address6, "rules": rules}
        try:
            self._guardians.ask(self._roster.places(container), message)
        except Conflict:
            return False
        return True

    def _check(self, container: Container) -> None:
        if not container.state.running:
            raise Conflict(f"container {container.name} is not running", hint=f"kist start {container.name}")
        if container.id in self._bonds.of_others():
            raise Conflict(f"{container.name} is a part of another process, and so is its network")
