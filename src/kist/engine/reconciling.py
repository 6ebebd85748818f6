"""An engine's first look around: what runs, what has ended meanwhile, what has no record, what is to start again."""

import contextlib
import os
import time

from kist.engine import mountpoints, standstill, state
from kist.engine.boots import Boots
from kist.engine.ending import Ending
from kist.engine.linking import Linking
from kist.engine.networks import Networks
from kist.engine.remnants import Remnants, end_orphans
from kist.engine.roster import Roster
from kist.engine.starting import Starting
from kist.engine.waiting import Waiting
from kist.errors import Conflict, NotFound
from kist.spec.container import Container, ContainerState
from kist.store import Store


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
    ) -> None:
        self._store = store
        self._roster = roster
        self._linking = linking
        self._waiting = waiting
        self._starting = starting
        self._ending = ending
        self._remnants = remnants
        self._networks = connected

    def reconcile(self) -> None:
        """Find the containers that run, give back what ended ones held, and take away what has no record."""
        ended = []
        for container in self._store.records.containers():
            self._linking.note(container)
            now = self._roster.state_of(container)
            if now.running:
                standstill.let_go(container, self._roster.places(container).data)
                self._waiting.take_over(container)
            else:
                ended.append((now.finished_at or time.time_ns(), container, now))
        holders = frozenset(self._networks.holders())
        for _, container, now in sorted(ended, key=lambda each: each[0]):  # told in the order in which they ended
            self._settle(container, now, has_address=container.id in holders)
        self._sweep()
        boots = Boots(os.path.dirname(self._roster.run_root))
        self._starting.start_again([container for _, container, _ in ended], rebooted=boots.is_new())
        boots.note()

    def _settle(self, container: Container, now: ContainerState, *, has_address: bool) -> None:
        self._waiting.note_end(container, now, state.notices(self._roster.places(container).data))
        if container.options.auto_remove and self._roster.state_of(container).status != "created":
            with contextlib.suppress(NotFound, Conflict):  # another engine was first
                self._ending.remove(container)
        else:
            end_orphans(self._roster.with_state(container))
            if has_address:
                self._networks.release(container.id)

    def _sweep(self) -> None:
        with self._store.quiet() as quiet:  # what is just being created has no record yet
            strays = self._remnants.strays() if quiet else ()
        for left in strays:
            self._remnants.discard_if_dead(left)
        self._store.discard_orphans()
        mountpoints.forget_unused(os.path.join(self._store.root, "mountpoints"), self._store.snapshots.exists)
