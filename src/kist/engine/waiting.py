"""Waiting for containers, and what is heard of them while they run."""

import contextlib
import socket
from collections.abc import Callable, Sequence
from typing import Any

from kist.engine import state
from kist.engine.bonds import Bonds
from kist.engine.events import Events, mark_of, of_container
from kist.engine.guardians import Guardians
from kist.engine.roster import Roster
from kist.engine.watcher import Condition, Watcher, answered
from kist.errors import Conflict, NotFound, Unavailable
from kist.runtime import launch
from kist.runtime.launch import Spawner
from kist.spec.container import Container, ContainerState
from kist.store import Store


class Waiting:
    """Watches over running containers, and answers who waits for one.

    Args:
        store: where the records are.
        roster: finds containers.
        events: where what monitors tell is noted.
        spawner: this engine's line to its keeper.
        bonds: of containers to this process.
        on_exit: as for ``Watcher``.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        events: Events,
        spawner: Spawner,
        bonds: Bonds,
        on_exit: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._records = store.records
        self._roster = roster
        self._events = events
        self._bonds = bonds
        self._on_exit = on_exit
        self.watcher = Watcher(on_exit, self._on_notice)
        self.guardians = Guardians(spawner, self.watcher, self._take_back)

    def wait(self, name: str | Container) -> int:
        """Wait for the container's end; its exit code."""
        with self.open(self._roster.get(name), "not-running") as ended:
            answer = launch.read_line(ended)
        if "StatusCode" not in answer:
            raise Unavailable("the engine stopped while a container was waited for")
        return int(answer["StatusCode"])

    def open(self, name: str | Container, condition: Condition = "not-running") -> socket.socket:
        """A socket that gets a line of JSON when the condition has come true."""
        container = self._roster.get(name)
        if condition in {"not-running", "ended"} and not container.state.running:
            return answered(container.state.exit_code)
        waiter = self.watcher.add_waiter(container.id, condition)
        # Looked at once more now that the waiter is known, so that an end in between is not missed. What runs is there.
        if container.state.running and self._roster.state_of(container).running:
            self.watch(container)
            return waiter
        try:
            now = self._roster.get(container).state
        except NotFound:
            self.watcher.tell(container.id, container.state.exit_code, removed=True)
            return waiter
        if now.running:
            self.watch(container)
        elif container.state.running:
            self.watcher.tell(container.id, now.exit_code, removed=False)
        return waiter

    def watch(self, container: Container) -> None:
        """Hear the end of a running container, whoever has started it."""
        try:
            self.watcher.watch_running(container.id, lambda: self.guardians.connect(self._roster.places(container)))
        except Conflict:
            # The monitor has just closed its socket: the state is on disk.
            self._on_exit(container.id, {})

    def take_over(self, container: Container) -> None:
        """Watch a running container, and put it under this engine's keeper where its own has died."""
        self.watch(container)
        self.guardians.guard(self._roster.places(container))

    def _take_back(self) -> None:
        """The keeper has died and another one is here: put all that runs under it, or what is bound to this process."""
        ours = self._bonds.held()
        for container in self._records.containers():
            if self._bonds.binds and container.id not in ours:
                continue
            if self._roster.state_of(container).running:
                self.take_over(container)

    def note_end(self, container: Container, ended: ContainerState, notices: Sequence[dict[str, Any]]) -> None:
        """Write the events of an end, and of what the monitor told before it, unless they are written already."""
        for notice in notices:
            self._note_notice(container, notice)
        self._events.ended(container, ended, self._records.started_at(container.id))

    def note_found_end(self, container: Container, ended: ContainerState) -> None:
        """The same for an end that is on disk, of which this engine may have heard nothing."""
        self.note_end(container, ended, state.notices(self._roster.places(container).data))

    def _on_notice(self, identifier: str, notice: dict[str, Any]) -> None:
        """A monitor tells of something that happened in its container."""
        with contextlib.suppress(NotFound):
            self._note_notice(self._records.container(identifier), notice)
        if notice["action"] == "die":  # and it is to be started again; else this would be its end
            self.watcher.tell(identifier, int(notice["attributes"]["exitCode"]), removed=False, restarting=True)

    def _note_notice(self, container: Container, notice: dict[str, Any]) -> None:
        attributes = of_container(container) | notice["attributes"]
        action, at = notice["action"], notice["time"]
        self._events.note("container", action, container.id, attributes, at=at, once=True, mark=mark_of(container))
