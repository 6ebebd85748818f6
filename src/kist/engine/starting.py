"""A container's start, and the start of those whose restart policies want it when no monitor can do that."""

import logging
from collections.abc import Sequence

from kist.engine import lifetime, state
from kist.engine.attaching import Attaching
from kist.engine.bonds import Bonds
from kist.engine.events import Events
from kist.engine.linking import Linking
from kist.engine.locks import Locks
from kist.engine.networks import Networks
from kist.engine.planning import Planning
from kist.engine.remnants import clear_run, end_orphans
from kist.engine.roster import Roster
from kist.engine.starter import Starter
from kist.engine.volume_holding import VolumeHolding
from kist.engine.watcher import Watcher
from kist.errors import Conflict, KistError, NotFound
from kist.kernel import faults
from kist.spec.container import Container
from kist.store import Store

_log = logging.getLogger(__name__)


class Starting:
    """Starts containers."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        locks: Locks,
        planning: Planning,
        linking: Linking,
        attaching: Attaching,
        start: Starter,
        connected: Networks,
        events: Events,
        watcher: Watcher,
        bonds: Bonds,
    ) -> None:
        self._records = store.records
        self._holding = VolumeHolding(store, roster)
        self._roster = roster
        self._locks = locks
        self._planning = planning
        self._linking = linking
        self._attaching = attaching
        self._starter = start
        self._networks = connected
        self._events = events
        self._watcher = watcher
        self._bonds = bonds

    def start(self, name: str | Container) -> bool:
        """Start a container that does not run; nothing happens when it runs. Whether it was started."""
        container = self._roster.known(name)
        with self._locks.alone(container):
            container = self._roster.get(container)
            if container.state.status == "paused":
                raise Conflict("cannot start a paused container, try unpause instead",
                               hint=f"kist unpause {container.name}")  # fmt: skip
            if container.state.running:
                return False
            self._bonds.take(container.id)
            places = self._roster.places(container)
            self.settle(container)
            places.make()
            faults.point("start: made the directories")
            attached = self._attaching.take(container)
            try:
                end_orphans(container, places)
                networks = self._networks.lease(container, container.options.networking.endpoints)
                faults.point("start: leased an address")
                made = self._planning.make(container, places, networks)
                self._records.note_start(container.id)
                faults.point("start: noted the start")
                state.forget_end(places.data)
                faults.point("start: forgot the last end")
                with self._holding.held(container) as volumes:
                    control = self._starter.start(made, places, networks=networks, attached=attached, volumes=volumes)
            except BaseException:
                self._networks.release(container.id)
                for attachment in attached:
                    attachment.connection.close()
                self._tidy(container)
                raise
            faults.point("start: started")
            # Ahead of the watch, so that the end comes after it.
            for each in networks:
                self._events.network("connect", each.network, container)
            self._events.volumes("mount", container)
            self._events.container("start", container)
            self._watcher.watch_control(container.id, control)
        if networks:
            self._linking.tell(container)
        return True

    def settle(self, container: Container) -> None:
        """Wait until an earlier run of the container, which has ended, is over for everybody, and unmounted."""
        if container.state.status != "created":
            self._starter.settle(self._roster.places(container))

    def start_again(self, found: Sequence[Container], *, rebooted: bool) -> None:
        """Start again those of these that their restart policies want to be started, the oldest first."""
        for container in sorted(found, key=lambda each: each.created_at):
            if container.options.restart.name == "no":
                continue
            try:
                if lifetime.starts_again(self._roster.get(container), rebooted=rebooted):
                    self.start(container)
            except NotFound:
                continue
            except KistError as error:
                _log.warning("%s cannot be started again: %s", container.name, error)

    def _tidy(self, container: Container) -> None:
        """After a start that failed, take away what belongs to a run; what it failed of is kept."""
        if not self._roster.get(container).state.running:
            clear_run(self._roster.places(container))
