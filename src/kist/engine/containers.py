"""Containers: made, started, stopped, removed. The record in the store is what makes a container exist.

Order of things, so that a kill at any moment loses nothing and doubles nothing: to create, first the snapshot and the
directory, then the record (a snapshot without one is collected); to remove, first the record, then the rest.

``Containers`` puts the parts together that do this, each in a file of its own: ``roster`` (which there are, and how
they are), ``creation``, ``planning``, ``starting``, ``attaching``, ``waiting``, ``ending``, ``remnants``, and
``reconciling`` at the engine's start; ``locks`` and ``linking`` serve them.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from kist.engine import bundles, isolation, publishing
from kist.engine.attaching import Attaching
from kist.engine.bonds import Bonds
from kist.engine.connecting import Connecting
from kist.engine.creation import Creation, check_name
from kist.engine.ending import Ending
from kist.engine.events import Events
from kist.engine.guardians import Guardians
from kist.engine.images import Images
from kist.engine.linking import Linking
from kist.engine.locks import Locks
from kist.engine.machine import MachineLimits
from kist.engine.means import Means
from kist.engine.networks import Networks
from kist.engine.planning import Planning
from kist.engine.port_paths import PortPaths
from kist.engine.reconciling import Reconciling
from kist.engine.reconnecting import Reconnecting
from kist.engine.remnants import Remnants
from kist.engine.republishing import Republishing
from kist.engine.roster import Roster
from kist.engine.starter import Places, Starter
from kist.engine.starting import Starting
from kist.engine.volume_holding import VolumeHolding
from kist.engine.volumes import ContainerVolumes
from kist.engine.waiting import Waiting
from kist.engine.watcher import Condition
from kist.errors import Conflict, InvalidInput, KistError, NotFound, Unavailable, Unsupported
from kist.kernel import faults
from kist.spec.container import Container, ContainerOptions, ContainerState, LogConfig
from kist.spec.network import Network
from kist.spec.networking import Endpoint
from kist.spec.owner import Owner
from kist.spec.runtime import IdMaps
from kist.store import Store

_UNKNOWN = 255


class Containers:
    """The containers under one data root, seen from one engine process."""

    def __init__(
        self,
        store: Store,
        images: Images,
        start: Starter,
        connected: Networks,
        run_root: str,
        events: Events,
        log: LogConfig,
        machine: MachineLimits,
        means: Means,
        port_paths: PortPaths,
        *,
        bound: bool = False,
    ) -> None:
        self._records = store.records
        self._bonds = Bonds(run_root, binds=bound)
        self._events = events
        volumes = ContainerVolumes(store, events, root=means.root)
        roster = self._roster = self.roster = Roster(
            store,
            connected,
            data_root=os.path.join(store.root, "containers"),
            run_root=os.path.join(run_root, "containers"),
            mounted_at=os.path.join(run_root, "root"),
        )
        start.neighbours = self._neighbours
        self.holding = VolumeHolding(store, roster)
        """Of volumes that are mounted."""
        self._locks = Locks(roster)
        self._creation = Creation(store, images, volumes, machine, roster, log, means, self._bonds, connected.catalogue)
        self._remnants = Remnants(store, roster, self._creation, connected)
        self._linking = Linking(store.records, roster, self._locks, self._bonds, apart=bool(connected.room_path))
        room = connected.room_path
        self._planning = Planning(store, roster, self._creation, self._linking, volumes, means, port_paths, room)
        self._waiting = Waiting(store, roster, events, start.spawner, self._bonds, self._on_exit)
        self._attaching = Attaching(roster, self.guardians, events)
        self.republishing = Republishing(roster, self.guardians, connected, port_paths, self._bonds, self._locks)
        self._starting = Starting(
            store,
            roster,
            self._locks,
            self._planning,
            self._linking,
            self._attaching,
            start,
            connected,
            events,
            self._waiting.watcher,
            self._bonds,
        )
        self._ending = Ending(
            store,
            roster,
            self._locks,
            self._waiting,
            self._attaching,
            self._creation,
            volumes,
            connected,
            events,
        )
        self._connecting = Connecting(
            store, roster, self._locks, connected, self._linking, events, self._bonds, self.republishing
        )
        self.reconnecting = Reconnecting(roster, connected, self._linking, self._bonds, self.republishing)
        self._reconciling = Reconciling(
            store,
            roster,
            self._linking,
            self._waiting,
            self._starting,
            self._ending,
            self._remnants,
            connected,
            self._bonds,
            self.republishing,
            self.reconnecting,
        )

    def _neighbours(self, identifier: str) -> publishing.Neighbours:
        return publishing.neighbours(self._roster.get(identifier), self._roster.list(everything=True))

    def reconcile(self) -> None:
        """Find the containers that run, give back what ended ones held, and take away what has no record."""
        self._reconciling.reconcile()

    def close(self) -> None:
        """Let go; containers go on, but for those that are bound to this process: they are killed."""
        self.reconnecting.close()
        for identifier in self._bonds.held():
            with contextlib.suppress(NotFound, Conflict):
                self._ending.end(self.get(identifier))
            self._bonds.drop(identifier)
        self._waiting.watcher.close()
        self._attaching.close()
        self._ending.settle()

    # looking

    def get(self, name: str | Container) -> Container:
        """The container of this name, id or unique beginning of an id, with its state as of now."""
        return self._roster.get(name)

    def list(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002 - the API's own word
        """Running containers, or all, the newest first."""
        self._reconciling.settle_abandoned()
        return self._roster.list(everything=all)

    def places(self, container: Container) -> Places:
        """The container's directories."""
        return self._roster.places(container)

    def places_of(self, identifier: str) -> Places:
        """The directories of the container with this id, which may not be there (yet, or any more)."""
        return self._roster.places_of(identifier)

    def log_path(self, container: Container) -> str:
        """The current file of the container's log."""
        return self._roster.log_path(container)

    def state_of(self, container: Container) -> ContainerState:
        """The container's state as of now."""
        return self._roster.state_of(container)

    def first_process(self, container: Container) -> tuple[int, int] | None:
        """The container's first process, and when it began; None when it does not run."""
        return self._roster.first_process(container)

    def ids(self, container: Container) -> IdMaps | None:
        """The ids of its user namespace; None for the host's."""
        return isolation.ids_of(container, self.get, self._records)

    def hostname(self, container: Container) -> str:
        """The container's name for itself, which may be that of the one whose network it has."""
        return self._planning.hostname(container)

    def linked_environment(self, container: Container) -> tuple[str, ...]:
        """The variables of its links as of now; one that does not run any more gives none."""
        return self._linking.environment(container)

    # making and starting

    def create(self, options: ContainerOptions, owner: Owner | None = None) -> Container:
        """Make a container of an image that is here; ``owner`` is whose it is, where not the engine's user's."""
        self._reconciling.settle_abandoned()  # one of them may have the name
        self._linking.check(options)
        container = self._creation.create(options, self.get, owner)
        self._linking.note(container)
        self._events.container("create", container)
        return self._roster.with_no_run(container)

    def dry_run(self, options: ContainerOptions, owner: Owner | None = None) -> tuple[str, ...]:
        """The operations that a start with these options would do; nothing is made."""
        return self._planning.dry_run(options, owner)

    def spec(self, options: ContainerOptions, directory: str) -> dict[str, Any]:
        """The OCI bundle of a container with these options (see ``kist.engine.bundles``)."""
        return bundles.make(self._planning, self.get, options, directory)

    def start(self, name: str | Container) -> bool:
        """Start a container that does not run; nothing happens when it runs. Whether it was started."""
        return self._starting.start(name)

    def restart(self, name: str | Container, *, timeout: int | None = None, number: str | int = "") -> None:
        """Stop a container if it runs, and start it."""
        container = self.get(name)
        with self._ending.kept(container):
            self.stop(container, timeout=timeout, number=number)
            self.start(container)
        self._events.container("restart", container)

    def rename(self, name: str | Container, new: str) -> None:
        """Give a container another name, while it runs too.

        Raises:
            Conflict: the name is taken.
            InvalidInput: it is no name, or the one that the container has.
        """
        new = new.removeprefix("/")
        container = self.get(name)
        if not new:
            raise InvalidInput("Neither old nor new names may be empty")
        if new == container.name:
            raise InvalidInput("Renaming a container with the same name as its current name")
        check_name(new)
        with self.alone(container):
            kept = self._records.container(container.id)
            options = msgspec.structs.replace(kept.options, name=new)
            former = (*kept.former_names, kept.name) if self._linking.all() else ()
            renamed = msgspec.structs.replace(kept, name=new, options=options, former_names=former)
            self._records.replace_container(renamed)
            faults.point("rename: renamed the record")
            self._linking.tell_names(renamed)
        self._events.container("rename", renamed, oldName=f"/{container.name}")
        if former:
            self._linking.lead(renamed)

    # while it runs

    @property
    def guardians(self) -> Guardians:
        """The line to the containers' monitors."""
        return self._waiting.guardians

    def ask(self, container: Container, message: dict[str, Any]) -> dict[str, Any]:
        """Have the container's monitor do something; its answer (``kist.runtime.requests``)."""
        return self.guardians.ask(self.places(container), message)

    def resume(self, container: Container) -> None:
        """Let the processes of a paused container go on."""
        self.ask(container, {"op": "freeze", "frozen": False})
        self._events.container("unpause", container)

    def open_attach(self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool) -> socket.socket:
        """A stream socket to the container's standard streams, also before it is started."""
        return self._attaching.open(name, stdin=stdin, stdout=stdout, stderr=stderr)

    def open_attach_after_log(
        self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool
    ) -> tuple[socket.socket, tuple[int, int]]:
        """The same, and the inode and size that the log had at that moment; what is in it is not in the stream."""
        return self._attaching.open_after_log(name, stdin=stdin, stdout=stdout, stderr=stderr)

    def note_detached(self, name: str | Container) -> None:
        """Note that a client has detached by the keys for that."""
        self._attaching.note_detached(name)

    def open_follow(self, name: str | Container) -> socket.socket:
        """A socket that is readable when the log has grown, and at its end when the container has ended."""
        return self._attaching.open_follow(name)

    def resize(self, name: str | Container, height: int, width: int) -> None:
        """Set the size of the container's terminal, in characters."""
        self._attaching.resize(name, height, width)

    def wait(self, name: str | Container) -> int:
        """Wait for the container's end; its exit code."""
        return self._waiting.wait(name)

    def open_wait(self, name: str | Container, condition: Condition = "not-running") -> socket.socket:
        """A socket that gets a line of JSON when the condition has come true."""
        return self._waiting.open(name, condition)

    def connect(self, network: Network, name: str | Container, endpoint: Endpoint) -> None:
        """Put a container on a network (``Connecting.connect``)."""
        self._connecting.connect(network, name, endpoint)

    def disconnect(self, network: Network, name: str | Container, *, force: bool = False) -> None:
        """Take a container off a network (``Connecting.disconnect``)."""
        self._connecting.disconnect(network, name, force=force)

    # ending

    def before_clear(self, call: Callable[[Container], None]) -> None:
        """Have ``call`` called with each container whose run directory is about to go."""
        self._ending.before_clear = call

    def kill(self, name: str | Container, number: str | int = "KILL") -> None:
        """Send a signal to the container's first process."""
        self._ending.kill(name, number)

    def stop(self, name: str | Container, *, timeout: int | None = None, number: str | int = "") -> None:
        """Ask the container to end, and after ``timeout`` seconds make it (``Ending.stop``)."""
        self._ending.stop(name, timeout=timeout, number=number)

    def remove(self, name: str | Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container with all that is its own; ``force`` kills it first, ``volumes`` takes nameless ones."""
        self._ending.remove(name, force=force, volumes=volumes)

    def alone(self, container: Container) -> contextlib.AbstractContextManager[None]:
        """Nobody starts or removes the container meanwhile, in this process or another; ``NotFound`` when gone."""
        return self._locks.alone(container)

    def unmounted(self, container: Container) -> None:
        """Wait until nothing is mounted any more of a container that has ended, and that nobody starts meanwhile."""
        self._starting.settle(container)

    def first_inside(self, container: Container) -> int:
        """The number of its first process, once that has the container's files and no longer the host's.

        Raises:
            Conflict: the container has ended, or is between two runs.
        """
        try:
            answer = self._waiting.guardians.ask(self.places(container), {"op": "inside"})
        except (Conflict, Unavailable):
            raise
        except KistError:
            return container.state.pid  # its monitor was started by a version that does not know of this, long ago
        return int(answer["pid"])

    @contextlib.contextmanager
    def held_at_rest(self, container: Container) -> Iterator[None]:
        """Between two runs: the next one does not begin for the time of the block, and nothing is mounted.

        Raises:
            Conflict: it is not between two runs any more.
            Unsupported: its monitor was started by a version that did not know of this.
        """
        try:
            connection, _ = self._waiting.guardians.request(self.places(container), {"op": "hold"})
        except (Conflict, Unavailable):
            raise
        except KistError as error:
            raise Unsupported(
                f"container {container.name} is restarting, and its monitor is of an earlier version",
                hint=f"kist stop {container.name} makes its files reachable",
            ) from error
        with connection:
            yield

    def bound_to_others(self) -> frozenset[str]:
        """The ids of containers that end with another process than this one."""
        return self._bonds.of_others()

    def settle(self) -> None:
        """Have done what nobody has waited for: from here on nothing is left of what was removed, or has ended."""
        self._ending.settle()

    def strays(self) -> Sequence[str]:
        """Ids that have a directory and no record; one whose monitor lives is a build step's."""
        return self._remnants.strays()

    def discard(self, identifier: str) -> None:
        """Take away all that is left of something without a record, its processes too."""
        self._remnants.discard(identifier)

    def _on_exit(self, identifier: str, found: dict[str, Any]) -> None:
        """A monitor reported the end, or died."""
        try:
            # What the monitor says is how it is now.
            container = self._roster.known(identifier) if found else self.get(identifier)
        except NotFound:
            # Another engine was first: what it may have told its own waiters, ours are to hear too.
            self._waiting.watcher.tell(identifier, int(found.get("exit_code", _UNKNOWN)), removed=True)
            return
        if not found and container.state.running:
            # The monitor died, and the container has another one by now, or gets it.
            self._waiting.watch(container)
            return
        if self._ending.ended(container, found) and not found:
            self._starting.start_again([container], rebooted=False)
