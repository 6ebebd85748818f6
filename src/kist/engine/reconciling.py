"""An engine's first look around: what runs, what has ended meanwhile, what has no record, what is to start again."""

import contextlib
import logging
import os
import time

from kist.engine import mountpoints, port_checking, standstill
from kist.engine.bonds import Bonds
from kist.engine.boots import Boots
from kist.engine.ending import Ending
from kist.engine.linking import Linking
from kist.engine.listing import names_in
from kist.engine.networks import Networks
from kist.engine.reconnecting import Reconnecting
from kist.engine.remnants import Remnants, end_orphans
from kist.engine.republishing import Republishing
from kist.engine.roster import Roster
from kist.engine.starting import Starting
from kist.engine.waiting import Waiting
from kist.errors import Conflict, NotFound
from kist.spec.container import Container, ContainerState
from kist.store import Store

_log = logging.getLogger(__name__)


class Reconciling:
    """Brings what an engine that died has left into order."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        linking: Linking,
        waiting: Waiting,
        starting: Starting,
        ending: Ending,
        remnants: Remnants,
        connected: Networks,
        bonds: Bonds,
        republishing: Republishing,
        reconnecting: Reconnecting,
    ) -> None:
        self._store = store
        self._roster = roster
        self._linking = linking
        self._waiting = waiting
        self._starting = starting
        self._ending = ending
        self._remnants = remnants
        self._networks = connected
        self._bonds = bonds
        self._republishing = republishing
        self._reconnecting = reconnecting

    def reconcile(self) -> None:
        """Find the containers that run, give back what ended ones held, and take away what has no record.

        An engine that its containers are bound to looks after those alone, and after such whose engine has died.
        """
        self.settle_abandoned()
        if self._bonds.binds:
            return
        ended, running = [], []
        containers = self._store.records.containers()
        for container in containers:
            self._linking.note(container)
        if renamed := [container for container in containers if container.former_names]:
            for container in renamed:
                self._linking.lead(container)
            containers = self._store.records.containers()
        for container in containers:
            now = self._roster.state_of(container)
            if now.running:
                running.append(container)
            else:
                ended.append((now.finished_at or time.time_ns(), container, now))
        moved = self._reconnecting.begin(running)
        for container in running:
            standstill.let_go(container, self._roster.places(container))
            self._waiting.take_over(container)
        for container in moved:
            self._republishing.again(self._roster.get(container))
        holders = frozenset(self._networks.holders())
        left = names_in(self._roster.run_root)
        for _, container, now in sorted(ended, key=lambda each: each[0]):  # told in the order in which they ended
            self._settle(container, now, has_address=container.id in holders, has_run=container.id in left)
        self._sweep()
        self._remove_port_rules([container.id for container in running])
        boots = Boots(os.path.dirname(self._roster.run_root))
        self._starting.start_again([container for _, container, _ in ended], rebooted=boots.is_new())
        boots.note()

    def _settle(self, container: Container, now: ContainerState, *, has_address: bool, has_run: bool) -> None:
        self._waiting.note_found_end(container, now)
        if container.options.auto_remove and self._roster.state_of(container).status != "created":
            with contextlib.suppress(NotFound, Conflict):  # another engine was first
                self._ending.remove(container)
        else:
            end_orphans(self._roster.with_state(container), self._roster.places(container))
            if has_address:
                self._networks.release(container.id)
            if has_run and now.finished_at:
                self._ending.tidy_soon(container)

    def settle_abandoned(self) -> None:
        """Do for containers that were bound to a process what that could not do any more."""
        self._bonds.settle(self._settle_abandoned)
        self._bonds.tidy()

    def _settle_abandoned(self, identifier: str) -> bool:
        try:
            container = self._roster.get(identifier)
        except NotFound:
            return self._remnants.discard_if_dead(identifier)
        if container.state.running:
            return False  # its monitor is about to end it
        with contextlib.suppress(NotFound, Conflict):
            if container.state.status != "created":
                self._ending.ended(container, {})
            elif container.options.auto_remove:
                self._ending.remove(container)
        self._ending.settle()
        return True

    def _remove_port_rules(self, running: list[str]) -> None:
        if self._networks.room_path:
            return  # an ordinary user has none
        try:
            port_checking.remove(port_checking.strays(running))
        except OSError as error:
            _log.warning("packet rules of published ports are not looked at: %s", error)

    def _sweep(self) -> None:
        self._ending.settle()
        with self._store.quiet() as quiet:  # what is just being created has no record yet
            strays = self._remnants.strays() if quiet else ()
        for left in strays:
            self._remnants.discard_if_dead(left)
        self._store.discard_orphans()
        self._ending.clear_left_files()
        self._store.volumes.recover()
        self._ending.remove_left_volumes()
        self._networks.tidy_names()
        self._networks.settle_ways()
        mountpoints.forget_unused(os.path.join(self._store.root, "mountpoints"), self._store.snapshots.exists)
