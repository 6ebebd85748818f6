"""A container's end: by signal, by patience, by removal, and by itself, which its monitor reports."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from kist.engine import state
from kist.engine.afterwards import Afterwards
from kist.engine.attaching import Attaching
from kist.engine.creation import Creation
from kist.engine.events import Events
from kist.engine.locks import Locks
from kist.engine.networks import Networks
from kist.engine.remnants import clear_run, end_orphans
from kist.engine.roster import Roster, key_of
from kist.engine.signals import signal_number
from kist.engine.volume_rules import named_in
from kist.engine.volumes import ContainerVolumes
from kist.engine.waiting import Waiting
from kist.errors import Conflict, KistError, NotFound, Unavailable
from kist.kernel import faults
from kist.spec.container import Container
from kist.store import Store

_log = logging.getLogger(__name__)


class Ending:
    """Ends and removes containers, and gives back what ended ones held."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        locks: Locks,
        waiting: Waiting,
        attaching: Attaching,
        creation: Creation,
        volumes: ContainerVolumes,
        connected: Networks,
        events: Events,
    ) -> None:
        self._store = store
        self._records = store.records
        self._roster = roster
        self._locks = locks
        self._waiting = waiting
        self._attaching = attaching
        self._creation = creation
        self._volumes = volumes
        self._networks = connected
        self._events = events
        self._afterwards = Afterwards()
        self.before_clear: Callable[[Container], None] = lambda _: None
        """Called with a container whose run directory is about to go."""
        # Protects the dictionary.
        self._lock = threading.Lock()
        # Those that ``restart`` is at work on, and how often: they are not removed when they end.
        self._kept: dict[str, int] = {}

    def kill(self, name: str | Container, number: str | int) -> None:
        """Send a signal to the container's first process."""
        container = self._roster.get(name)
        if not container.state.running:
            raise _not_running(name, container)
        chosen = signal_number(number)
        try:
            # Ahead of the signal, so that an end that it brings comes after it.
            self._events.container("kill", container, signal=chosen)
            faults.point("kill: about to signal")
            self._waiting.guardians.ask(self._roster.places(container), {"op": "signal", "number": chosen})
        except (Unavailable, Conflict):
            if self._roster.state_of(container).running:
                raise
            raise _not_running(name, container) from None

    def stop(self, name: str | Container, *, timeout: int | None = None, number: str | int = "") -> None:
        """Ask the container to end, and after ``timeout`` seconds make it; a negative timeout waits for ever.

        The monitor does that: it goes on when this engine dies.

        Args:
            name: of the container.
            timeout: None for the container's own.
            number: the signal that asks; empty for the container's own.
        """
        container = self._roster.get(name)
        if not container.state.running:
            return
        chosen = signal_number(number or container.config.stop_signal or "TERM")
        self._end(container, chosen, container.options.stop_timeout if timeout is None else timeout)
        self._events.container("stop", container)

    def end(self, container: Container) -> None:
        """Kill it if it runs, and remove it if it was made with ``--rm``."""
        if container.options.auto_remove:
            self.remove(container, force=True)
        elif container.state.running:
            self._end(container, signal.SIGKILL, -1)

    def _end(self, container: Container, number: int, patience: int) -> None:
        """Have the container end for good, and wait for that."""
        with self._waiting.open(container, "ended") as ended:
            try:
                self._events.container("kill", container, signal=number)
                faults.point("stop: about to ask")
                message = {"op": "stop", "number": number, "patience": patience}
                self._waiting.guardians.ask(self._roster.places(container), message)
            except (Conflict, NotFound):
                return  # it ended by itself in the meantime, and may be removed by now
            ended.recv(1)

    @contextlib.contextmanager
    def kept(self, container: Container) -> Iterator[None]:
        """The container is not removed when it ends meanwhile, even if it was made with ``--rm``."""
        with self._lock:
            self._kept[container.id] = self._kept.get(container.id, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._kept[container.id] -= 1
                if not self._kept[container.id]:
                    del self._kept[container.id]

    def remove(self, name: str | Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container with all that is its own; ``force`` kills it first, ``volumes`` takes nameless ones."""
        container = self._roster.known(name)
        if self._remove_at_once(container, volumes=volumes):
            return
        container = self._roster.get(container)
        check_removable(container, force=force)
        if container.state.running:
            self._end(container, signal.SIGKILL, -1)
            if container.options.auto_remove:
                # Its end has it removed too, and either may be first.
                with contextlib.suppress(NotFound), self._locks.alone(container):
                    self._remove_stopped(self._roster.get(container))
                return
        with self._locks.alone(container):
            container = self._roster.get(container)
            if container.state.running:
                raise Conflict(f'cannot remove container "/{container.name}": it was started again')
            self._remove_stopped(container, volumes=volumes)

    def _remove_at_once(self, container: Container, *, volumes: bool) -> bool:
        """Remove it if it does not run and nobody is at work on it, as is mostly so; whether that was so."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._locks.alone(container, wait=False))
            except Conflict:
                return False
            container = self._roster.get(container)
            if container.state.running:
                return False
            self._remove_stopped(container, volumes=volumes)
            return True

    def _remove_stopped(self, container: Container, *, volumes: bool = False) -> None:
        faults.point("remove: begins")
        self._afterwards.drop(_run_of(container))
        end_orphans(container, self._roster.places(container))
        self.before_clear(container)
        # Its end is on disk before anybody has told it, so whoever removes it may be ahead of that.
        self._waiting.note_found_end(container, container.state)
        goes = volumes or container.options.auto_remove
        leaving = named_in(container.options.mounts) if goes else frozenset()
        try:
            self._forget(container, leaving)
        except Unavailable:  # a full disk has no room to note anything: the files, which go anyway, make some
            self._creation.discard(container.id)
            self._forget(container, leaving)
        self._clear(container.id)
        self._volumes.remove_unneeded(leaving)
        self._locks.forget(container)
        self._attaching.drop(container)
        self._events.container("destroy", container)
        self._waiting.watcher.tell(container.id, container.state.exit_code, removed=True)

    def _clear(self, identifier: str) -> None:
        """Remove its files: who removes many waits for the room that they make."""
        forgotten = self._creation.forget(identifier)
        faults.point("remove: forgot the snapshot")

        def clear() -> None:
            self._creation.clear(identifier, forgotten)
            faults.point("remove: removed the files")

        if self._creation.takes_little(identifier, forgotten):
            self._afterwards.put(identifier, clear)
        else:
            clear()

    def clear_left_files(self) -> None:
        """Remove the files of what was forgotten, where a kill has come between; nobody waits for it."""
        if left := self._store.snapshots.set_strays_aside():
            self._afterwards.put("files of nobody", lambda: self._store.snapshots.clear_strays(left))

    def settle(self) -> None:
        """Have done what nobody has waited for: from here on nothing is left of what was removed, or has ended."""
        self._afterwards.settle()

    def remove_left_volumes(self) -> None:
        """Remove the volumes that were to go with containers, where a kill has come between."""
        self._volumes.remove_unneeded(self._store.volumes.leaving())

    def _forget(self, container: Container, leaving: frozenset[str]) -> None:
        self._networks.release(container.id)
        faults.point("remove: gave the address back")
        self._records.release_ids(container.id)
        self._records.remove_container(container.id, leaving)
        faults.point("remove: removed the record")

    def ended(self, container: Container, found: dict[str, Any]) -> bool:
        """A container has ended: tell who waits, and give back what only a running one needs.

        Args:
            container: as it is now.
            found: what the monitor said; empty when it died, or nobody heard it.

        Returns:
            Whether it is still there.
        """
        faults.point("end: heard of it")
        ended = state.from_message(found) if found else container.state
        self._waiting.note_end(container, ended, found.get("notices", ()))
        faults.point("end: noted it")
        # Ahead of who waits for the end: they may want the address for another container.
        released = not container.options.networking.endpoints or self._release_at_once(container)
        faults.point("end: gave the address back")
        self._waiting.watcher.tell(container.id, ended.exit_code, removed=False, error=ended.error)
        faults.point("end: told who waits")
        with self._lock:
            kept = container.id in self._kept
        if container.options.auto_remove and not kept:
            with contextlib.suppress(Conflict):
                try:
                    self.remove(container)
                except NotFound:  # another engine was first
                    self._waiting.watcher.tell(container.id, ended.exit_code, removed=True)
                except Conflict:
                    raise
                except (KistError, OSError) as error:  # who waits for the removal would do so for ever
                    self._waiting.watcher.tell(container.id, ended.exit_code, removed=True, error=str(error))
                    raise
            return False
        if found and released:
            self.tidy_soon(container)
        else:
            self._tidy(container, release=not released)
        return True

    def tidy_soon(self, container: Container) -> None:
        """Take away what only a run has, unless it is removed at once, or started again."""
        self._afterwards.put(_run_of(container), lambda: self._tidy(container))

    def _tidy(self, container: Container, *, release: bool = False) -> None:
        """Take away what only a run has, if the container has not been started again."""
        with contextlib.suppress(NotFound), self._locks.alone(container):
            if self._rests(container):
                if release:
                    self._networks.release(container.id)
                self.before_clear(container)
                clear_run(self._roster.places(container))
                faults.point("end: took away what the run had")

    def _release_at_once(self, container: Container) -> bool:
        """Give an ended container's address back unless that takes long or fails; whether it is given back."""
        try:
            with self._locks.alone(container, wait=False):
                if self._rests(container):
                    self._networks.release(container.id)
        except (Conflict, NotFound):
            return False  # somebody is at work on it
        except (KistError, OSError) as error:  # a full disk has no room to note it
            _log.warning("%s keeps its address for now, though it has ended: %s", container.name, error)
            return False
        return True

    def _rests(self, container: Container) -> bool:
        """Whether it does not run; what a dead monitor has left of it is ended. To be called under its lock."""
        container = self._roster.get(container)
        if container.state.running:
            return False  # whoever heard of the end has started it again
        end_orphans(container, self._roster.places(container))
        return True


def _run_of(container: Container) -> str:
    """What the tidying after a run is about; the removal of the container is about more."""
    return f"{container.id} run"


def check_removable(container: Container, *, force: bool) -> None:
    """Refuse to remove what runs, unless by force.

    Raises:
        Conflict: it runs.
    """
    if container.state.status == "paused" and not force:
        raise Conflict(
            f'cannot remove container "/{container.name}": container is paused and must be unpaused first',
            hint=f"kist unpause {container.name}, or kist rm -f {container.name}",
        )
    if container.state.running and not force:
        raise Conflict(
            f'cannot remove container "/{container.name}": container is {container.state.status}: '
            "stop the container before removing or force remove",
            hint=f"kist rm -f {container.name}",
        )


def _not_running(name: str | Container, container: Container) -> Conflict:
    return Conflict(f"cannot kill container: {key_of(name)}: container {container.id} is not running")
