"""Containers: made, started, stopped, removed. The record in the store is what makes a container exist.

Order of things, so that a kill at any moment loses nothing and doubles nothing: to create, first the snapshot and the
directory, then the record (a snapshot without one is collected); to remove, first the record, then the rest.

One lock for each container (in this process, and ``flock`` on its directory against other engines) is held by start
and remove.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kist.engine import (
    bundle,
    isolation,
    lifetime,
    links,
    logconfig,
    mountpoints,
    namespaces,
    networks,
    outside,
    publishing,
    roots,
    standstill,
    starter,
    state,
    userns,
)
from kist.engine.boots import Boots
from kist.engine.creation import Creation, check_name
from kist.engine.events import Events, of_container
from kist.engine.guardians import Guardians
from kist.engine.health import plan_check
from kist.engine.images import Images
from kist.engine.lifetime import refuse_restarting
from kist.engine.links import Link
from kist.engine.listing import Listing
from kist.engine.machine import MachineLimits
from kist.engine.networks import Leases
from kist.engine.signals import signal_number
from kist.engine.starter import Places, Starter
from kist.engine.surroundings import borrowed_surroundings, hostname_of, rewrite_hosts, write_surroundings
from kist.engine.volumes import ContainerVolumes
from kist.engine.watcher import Condition, Watcher, answered
from kist.errors import Conflict, InvalidInput, KistError, NotFound, Unavailable
from kist.kernel import cgroup, faults
from kist.runtime import launch, plan
from kist.runtime.launch import Attachment
from kist.spec.container import Container, ContainerOptions, ContainerState, LogConfig
from kist.spec.json import to_builtins
from kist.spec.mount import Mount
from kist.spec.networking import NetworkAttachment
from kist.spec.runtime import IdMaps, RuntimeSpec
from kist.store import Store, directories

_LOG = plan.Log().name
_log = logging.getLogger(__name__)


class Containers:
    """The containers under one data root, seen from one engine process."""

    def __init__(
        self,
        store: Store,
        images: Images,
        start: Starter,
        connected: networks.Networks,
        run_root: str,
        events: Events,
        log: LogConfig,
        machine: MachineLimits,
    ) -> None:
        self._store = store
        self._images = images
        self._starter = start
        self._networks = connected
        self._events = events
        self._data_root = os.path.join(store.root, "containers")
        self._run_root = os.path.join(run_root, "containers")
        mounted_at = os.path.join(run_root, "root")
        self._volumes = ContainerVolumes(store)
        self._creation = Creation(
            store,
            images,
            self._volumes,
            machine,
            data_root=self._data_root,
            run_root=self._run_root,
            mounted_at=mounted_at,
            log=log,
        )
        self._listing = Listing(store.records, self._data_root, self._run_root)
        self._mountpoints = os.path.join(store.root, "mountpoints")
        # Protects the three dictionaries.
        self._lock = threading.Lock()
        # Those that ``restart`` is at work on, and how often: they are not removed when they end.
        self._restarted: dict[str, int] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._pending: dict[str, list[Attachment]] = {}
        # Containers with links; only ever added to.
        self._linking: set[str] = set()
        self.watcher = Watcher(self._on_exit, self._on_notice)
        self.guardians = Guardians(start.spawner, self.watcher, self._take_back)

    # looking

    def get(self, name: str | Container) -> Container:
        """The container of this name, id or unique beginning of an id, with its state as of now."""
        return self._with_state(self._store.records.container(_key(name)))

    def list(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002 - the API's own word
        """Running containers, or all, the newest first."""
        leased = self._networks.leases()
        return tuple(
            self._shown(container, found, leased) for container, found in self._listing.containers(everything=all)
        )

    def places(self, container: Container) -> Places:
        """The container's directories."""
        return self._creation.places(container.id)

    def log_path(self, container: Container) -> str:
        """The current file of the container's log."""
        return f"{self._data_root}/{container.id}/{_LOG}"

    # making

    def create(self, options: ContainerOptions) -> Container:
        """Make a container of an image that is here."""
        for link in options.networking.links:
            self.get(links.read_link(link)[0])
        container = self._creation.create(options, self.get)
        if options.networking.links:
            self._linking.add(container.id)
        self._events.container("create", container)
        return self._with_state(container)

    # starting

    def start(self, name: str | Container) -> None:
        """Start a container that does not run; nothing happens when it runs."""
        container = self.get(name)
        with self._alone(container):
            container = self.get(container)
            if container.state.status == "paused":
                raise Conflict("cannot start a paused container, try unpause instead",
                               hint=f"kist unpause {container.name}")  # fmt: skip
            if container.state.running:
                return
            places = self.places(container)
            if container.state.status != "created":
                self._starter.settle(places)
            places.make()
            faults.point("start: made the directories")
            attached = self._take_pending(container.id)
            try:
                _end_orphans(container)
                network = self._lease(container)
                faults.point("start: leased an address")
                made = self._plan(container, places, network)
                self._store.records.note_start(container.id)
                faults.point("start: noted the start")
                state.forget_end(places.data)
                faults.point("start: forgot the last end")
                control = self._starter.start(made, places, network=network, attached=attached)
            except BaseException:
                self._networks.release(container.id)
                for attachment in attached:
                    attachment.connection.close()
                raise
            faults.point("start: started")
            # Ahead of the watch, so that the end comes after it.
            if network is not None:
                self._events.network("connect", network.network, container)
            self._events.container("start", container)
            self.watcher.watch_control(container.id, control)
        if network is not None:
            self._tell_linking(container)

    def _lease(self, container: Container) -> NetworkAttachment | None:
        options = container.options
        return self._networks.lease(container.id, options.networking) if options.network == "bridge" else None

    def linked(self, container: Container) -> tuple[Link, ...]:
        """The containers that this one is linked to, which must run."""
        return links.resolve(container.options.networking.links, self.get)

    def linked_environment(self, container: Container) -> tuple[str, ...]:
        """The variables of its links as of now; one that does not run any more gives none."""
        if not container.options.networking.links:
            return ()
        found: list[Link] = []
        for text in container.options.networking.links:
            with contextlib.suppress(NotFound, Conflict):
                found += links.resolve([text], self.get)
        return links.environment(container.name, found)

    def ids(self, container: Container) -> IdMaps | None:
        """The ids of its user namespace; None for the host's."""
        return isolation.ids_of(container, self.get, self._store.records)

    def hostname(self, container: Container) -> str:
        """The container's name for itself, which may be that of the one whose network it has."""
        return hostname_of(namespaces.network_giver(container, self.get) or container)

    def _tell_linking(self, target: Container) -> None:
        """A container that others are linked to has started, perhaps at another address: their /etc/hosts says so."""
        for identifier in tuple(self._linking - {target.id}):
            with contextlib.suppress(NotFound, Conflict):  # it has gone, or another of its links does not run
                container = self.get(identifier)
                if container.state.running:
                    rewrite_hosts(self.places(container), container, self.linked(container))

    def dry_run(self, options: ContainerOptions) -> tuple[str, ...]:
        """The operations that a start with these options would do; nothing is made."""
        base = self._creation.base(options)
        options = self._creation.limited(options)
        config, argv = bundle.effective_config(options, base.config)
        container = Container("0" * 64, options.name or "NAME", base.image_id, 0, options, config, argv)
        root: tuple[Mount, ...] = (Mount("bind", options.rootfs),)
        if not options.rootfs:
            with self._store.writing():
                key = f"dry-run-{secrets.token_hex(8)}"
                root = self._store.snapshots.prepare(key, self._creation.chain(base))
                self._store.snapshots.remove(key)
        surroundings = bundle.Surroundings(root, "RESOLV_CONF", "HOSTNAME", "HOSTS")
        surroundings = isolation.with_shared(container, surroundings, self.get)
        spec = bundle.runtime_spec(container, surroundings)
        connected = options.network == "bridge"
        publish = publishing.wanted(container, "ADDRESS") if connected else ()
        return self._make_plan(
            container, spec, Places("DATA", "RUN", "RUN/root"), connected=connected, publish=publish
        ).lines()

    def _plan(self, container: Container, places: Places, network: NetworkAttachment | None) -> plan.Plan:
        root = roots.root_mounts(self._store, container)
        volumes = self._volumes.paths(container.options.mounts)
        giver = namespaces.network_giver(container, self.get)
        if giver is None:
            surroundings = write_surroundings(places, container, network, root, self.linked(container), volumes)
        else:
            surroundings = borrowed_surroundings(self.places(giver), giver, root, volumes)
        surroundings = isolation.with_shared(container, surroundings, self.get, self._store.records)
        spec = bundle.runtime_spec(container, surroundings)
        publish = publishing.wanted(container, network.address) if network is not None else ()
        return self._make_plan(container, spec, places, connected=network is not None, publish=publish)

    def _make_plan(
        self,
        container: Container,
        spec: RuntimeSpec,
        places: Places,
        *,
        connected: bool,
        publish: Sequence[dict[str, Any]],
    ) -> plan.Plan:
        options = container.options
        caller = userns.caller_of(options)
        passwd = to_builtins(caller) if caller is not None else None
        check = plan_check(container, self.linked_environment(container), self.hostname(container), spec.linux.ids)
        return plan.make_plan(
            container.id,
            spec,
            root_at=places.root,
            limits=to_builtins(spec.linux.resources),
            seccomp=starter.filter_for(spec),
            wait_for_network=connected,
            stdin=options.open_stdin,
            stdin_once=options.stdin_once,
            init=options.init,
            log=logconfig.make_log(container),
            passwd=passwd,
            runtime=outside.for_plan(container, spec, places),
            publish=publish,
            life=lifetime.life(container, check),
        )

    # ending

    def kill(self, name: str | Container, number: str | int = "KILL") -> None:
        """Send a signal to the container's first process."""
        container = self.get(name)
        if not container.state.running:
            raise Conflict(f"cannot kill container: {_key(name)}: container {container.id} is not running")
        chosen = signal_number(number)
        try:
            # Ahead of the signal, so that an end that it brings comes after it.
            self._events.container("kill", container, signal=chosen)
            faults.point("kill: about to signal")
            self.guardians.ask(self.places(container), {"op": "signal", "number": chosen})
        except (Unavailable, Conflict):
            if self.state_of(container).running:
                raise
            raise Conflict(f"cannot kill container: {_key(name)}: container {container.id} is not running") from None

    def ask(self, container: Container, message: dict[str, Any]) -> dict[str, Any]:
        """Have the container's monitor do something; its answer (``kist.runtime.requests``)."""
        return self.guardians.ask(self.places(container), message)

    def resume(self, container: Container) -> None:
        """Let the processes of a paused container go on."""
        self.ask(container, {"op": "freeze", "frozen": False})
        self._events.container("unpause", container)

    def stop(self, name: str | Container, *, timeout: int | None = None, number: str | int = "") -> None:
        """Ask the container to end, and after ``timeout`` seconds make it; a negative timeout waits for ever.

        The monitor does that: it goes on when this engine dies.

        Args:
            name: of the container.
            timeout: None for the container's own.
            number: the signal that asks; empty for the container's own.
        """
        container = self.get(name)
        if not container.state.running:
            return
        chosen = signal_number(number or container.config.stop_signal or "TERM")
        self._end(container, chosen, container.options.stop_timeout if timeout is None else timeout)
        self._events.container("stop", container)

    def _end(self, container: Container, number: int, patience: int) -> None:
        """Have the container end for good, and wait for that."""
        with self.open_wait(container, "ended") as ended:
            try:
                self._events.container("kill", container, signal=number)
                faults.point("stop: about to ask")
                self.guardians.ask(self.places(container), {"op": "stop", "number": number, "patience": patience})
            except (Conflict, NotFound):
                return  # it ended by itself in the meantime, and may be removed by now
            ended.recv(1)

    def restart(self, name: str | Container, *, timeout: int | None = None, number: str | int = "") -> None:
        """Stop a container if it runs, and start it."""
        container = self.get(name)
        with self._lock:
            self._restarted[container.id] = self._restarted.get(container.id, 0) + 1
        try:
            self.stop(container, timeout=timeout, number=number)
            self.start(container)
        finally:
            with self._lock:
                self._restarted[container.id] -= 1
                if not self._restarted[container.id]:
                    del self._restarted[container.id]
        self._events.container("restart", container)

    def wait(self, name: str | Container) -> int:
        """Wait for the container's end; its exit code."""
        with self.open_wait(self.get(name), "not-running") as ended:
            answer = launch.read_line(ended)
        if "StatusCode" not in answer:
            raise Unavailable("the engine stopped while a container was waited for")
        return int(answer["StatusCode"])

    def remove(self, name: str | Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container with all that is its own; ``force`` kills it first, ``volumes`` takes nameless ones."""
        container = self.get(name)
        check_removable(container, force=force)
        if container.state.running:
            self._end(container, signal.SIGKILL, -1)
            if container.options.auto_remove:
                # Its end has it removed too, and either may be first.
                with contextlib.suppress(NotFound), self._alone(container):
                    self._remove_stopped(self.get(container))
                return
        with self._alone(container):
            container = self.get(container)
            if container.state.running:
                raise Conflict(f'cannot remove container "/{container.name}": it was started again')
            self._remove_stopped(container, volumes=volumes)

    def _remove_stopped(self, container: Container, *, volumes: bool = False) -> None:
        faults.point("remove: begins")
        _end_orphans(container)
        self._networks.release(container.id)
        faults.point("remove: gave the address back")
        self._store.records.release_ids(container.id)
        self._store.records.remove_container(container.id)
        faults.point("remove: removed the record")
        self._creation.discard(container.id)
        faults.point("remove: removed the files")
        if volumes or container.options.auto_remove:
            self._volumes.remove_anonymous(container)
        with self._lock:
            self._locks.pop(container.id, None)
            pending = self._pending.pop(container.id, [])
        for attachment in pending:
            attachment.connection.close()
        self._events.container("destroy", container)
        self.watcher.tell(container.id, container.state.exit_code, removed=True)

    def _on_exit(self, identifier: str, found: dict[str, Any]) -> None:
        """A monitor reported the end (or died): give back what only a running container needs."""
        try:
            container = self.get(identifier)
        except NotFound:
            return
        if not found and container.state.running:
            # The monitor died, and the container has another one by now, or gets it.
            self._watch(container)
            return
        faults.point("end: heard of it")
        ended = state.from_message(found) if found else container.state
        self._note_end(container, ended, found.get("notices", ()))
        faults.point("end: noted it")
        self.watcher.tell(identifier, ended.exit_code, removed=False, error=ended.error)
        faults.point("end: told who waits")
        with self._lock:
            restarted = identifier in self._restarted
        if container.options.auto_remove and not restarted:
            with contextlib.suppress(NotFound, Conflict):
                self.remove(container)
            return
        with contextlib.suppress(NotFound), self._alone(container):
            # Whoever heard of the end may have started it again by now.
            container = self.get(container)
            if not container.state.running:
                _end_orphans(container)
                self._networks.release(identifier)
                faults.point("end: gave the address back")
                places = self.places(container)
                if state.keep_end(places.data, places.run):
                    directories.remove_tree(places.run)
        if not found:
            self._revive([container], rebooted=False)

    def _note_end(self, container: Container, ended: ContainerState, notices: Sequence[dict[str, Any]]) -> None:
        for notice in notices:
            self._note_notice(container, notice)
        self._events.ended(container, ended, self._store.records.started_at(container.id))

    def _on_notice(self, identifier: str, notice: dict[str, Any]) -> None:
        """A monitor tells of something that happened in its container."""
        with contextlib.suppress(NotFound):
            self._note_notice(self._store.records.container(identifier), notice)
        if notice["action"] == "die":  # and it is to be started again; else this would be its end
            self.watcher.tell(identifier, int(notice["attributes"]["exitCode"]), removed=False, restarting=True)

    def _note_notice(self, container: Container, notice: dict[str, Any]) -> None:
        attributes = of_container(container) | notice["attributes"]
        self._events.note("container", notice["action"], container.id, attributes, at=notice["time"], once=True)

    # waiting and streams

    def open_wait(self, name: str | Container, condition: Condition = "not-running") -> socket.socket:
        """A socket that gets a line of JSON when the condition has come true."""
        container = self.get(name)
        if condition in {"not-running", "ended"} and not container.state.running:
            return answered(container.state.exit_code)
        waiter = self.watcher.add_waiter(container.id, condition)
        # Looked at once more now that the waiter is known, so that an end in between is not missed.
        try:
            now = self.get(container).state
        except NotFound:
            self.watcher.tell(container.id, container.state.exit_code, removed=True)
            return waiter
        if now.running:
            self._watch(container)
        elif container.state.running:
            self.watcher.tell(container.id, now.exit_code, removed=False)
        return waiter

    def _watch(self, container: Container) -> None:
        try:
            self.watcher.watch_running(container.id, lambda: self.guardians.connect(self.places(container)))
        except Conflict:
            # The monitor has just closed its socket: the state is on disk.
            self._on_exit(container.id, {})

    def _take_back(self) -> None:
        """The keeper has died and another one is here: put all that runs under it."""
        for container in self._store.records.containers():
            if self.state_of(container).running:
                self._watch(container)
                self.guardians.guard(self.places(container))

    def open_attach(self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool) -> socket.socket:
        """A stream socket to the container's standard streams, also before it is started."""
        return self._open_attach(name, {"stdin": stdin, "stdout": stdout, "stderr": stderr})[0]

    def open_attach_after_log(
        self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool
    ) -> tuple[socket.socket, tuple[int, int]]:
        """The same, and the inode and size that the log had at that moment; what is in it is not in the stream."""
        return self._open_attach(name, {"stdin": stdin, "stdout": stdout, "stderr": stderr}, logs=True)

    def _open_attach(
        self, name: str | Container, wanted: dict[str, bool], *, logs: bool = False
    ) -> tuple[socket.socket, tuple[int, int]]:
        container = self.get(name)
        refuse_restarting(container)
        if container.state.status == "paused":
            raise Conflict(f"container {container.id} is paused, unpause the container before attach",
                           hint=f"kist unpause {container.name}")  # fmt: skip
        if container.state.running:
            message = {"op": "attach", **wanted, "logs": logs}
            connection, answer = self.guardians.request(self.places(container), message)
            self._events.container("attach", container)
            inode, size = answer.get("log", (0, 0))
            return connection, (inode, size)
        ours, theirs = socket.socketpair()
        self._events.container("attach", container)
        with self._lock:
            self._pending.setdefault(container.id, []).append(Attachment(theirs, **wanted))
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(self.log_path(container))
            return ours, (found.st_ino, found.st_size)
        return ours, (0, 0)

    def open_follow(self, name: str | Container) -> socket.socket:
        """A socket that is readable when the log has grown, and at its end when the container has ended."""
        container = self.get(name)
        with contextlib.suppress(Conflict):
            connection = self.guardians.connect(self.places(container))
            connection.sendall(b'{"op": "follow"}\n')
            return connection
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours

    def resize(self, name: str | Container, height: int, width: int) -> None:
        """Set the size of the container's terminal, in characters."""
        container = self.get(name)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        refuse_restarting(container)
        self.guardians.ask(self.places(container), {"op": "resize", "height": height, "width": width})
        self._events.container("resize", container, height=height, width=width)

    def _take_pending(self, identifier: str) -> Sequence[Attachment]:
        with self._lock:
            return self._pending.pop(identifier, [])

    # the engine's start and end

    def reconcile(self) -> None:
        """Find the containers that run, give back what ended ones held, and take away what has no record."""
        known = set()
        ended = []
        for container in self._store.records.containers():
            known.add(container.id)
            if container.options.networking.links:
                self._linking.add(container.id)
            now = self.state_of(container)
            if now.running:
                standstill.let_go(container, self.places(container).data)
                self._watch(container)
                self.guardians.guard(self.places(container))
            else:
                ended.append((now.finished_at or time.time_ns(), container, now))
        for _, container, now in sorted(ended, key=lambda each: each[0]):  # told in the order in which they ended
            self._note_end(container, now, state.notices(self.places(container).data))
            if container.options.auto_remove and self.state_of(container).status != "created":
                with contextlib.suppress(NotFound, Conflict):  # another engine was first
                    self.remove(container)
            else:
                _end_orphans(self._with_state(container))
                self._networks.release(container.id)
        with self._store.quiet() as quiet:  # what is just being created has no record yet
            strays = self.strays() if quiet else ()
        for left in strays:
            self._discard_if_dead(left)
        self._store.discard_orphans()
        mountpoints.forget_unused(self._mountpoints, self._store.snapshots.exists)
        boots = Boots(os.path.dirname(self._run_root))
        self._revive([container for _, container, _ in ended], rebooted=boots.is_new())
        boots.note()

    def _revive(self, found: Sequence[Container], *, rebooted: bool) -> None:
        """Start again those of these that their restart policies want to be started, the oldest first."""
        for container in sorted(found, key=lambda each: each.created_at):
            try:
                if lifetime.starts_again(self.get(container), rebooted=rebooted):
                    self.start(container)
            except NotFound:
                continue
            except KistError as error:
                _log.warning("%s cannot be started again: %s", container.name, error)

    def strays(self) -> Sequence[str]:
        """Ids that have a directory and no record; one whose monitor lives is a build step's."""
        found = {name for root in (self._data_root, self._run_root) for name in _listed(root)}
        return sorted(found - set(self._store.records.container_ids()))

    def discard(self, identifier: str) -> None:
        """Take away all that is left of something without a record, its processes too."""
        path = state.cgroup_path(os.path.join(self._run_root, identifier))
        if path:
            _clear_group(path)
        self._networks.release(identifier)
        self._creation.discard(identifier)

    def _discard_if_dead(self, identifier: str) -> None:
        """Take away what removed containers and cut-off build steps left; a living monitor keeps its own."""
        try:
            launch.connect(os.path.join(self._run_root, identifier)).close()
        except Conflict:
            self.discard(identifier)

    def close(self) -> None:
        """Let go; containers go on."""
        self.watcher.close()
        with self._lock:
            for attachments in self._pending.values():
                for attachment in attachments:
                    attachment.connection.close()

    def _with_state(self, container: Container) -> Container:
        found = self.state_of(container)
        connected = found.running and container.options.network == "bridge"
        return self._shown(container, found, self._networks.leases() if connected else Leases())

    def _shown(self, container: Container, found: ContainerState, leased: Leases) -> Container:
        attachments: tuple[NetworkAttachment, ...] = ()
        if found.running and container.options.network == "bridge":
            attachments = leased.attachments(container.id, container.options.networking)
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
            self._store.volumes.root,
        )

    def state_of(self, container: Container) -> ContainerState:
        """The container's state as of now."""
        places = self.places(container)
        return state.read(places.data, places.run, lambda: self._store.records.started_at(container.id))

    def alone(self, container: Container) -> contextlib.AbstractContextManager[None]:
        """Nobody starts or removes the container meanwhile, in this process or another; ``NotFound`` when gone."""
        return self._alone(container)

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
        with self._alone(container):
            kept = self._store.records.container(container.id)
            options = msgspec.structs.replace(kept.options, name=new)
            renamed = msgspec.structs.replace(kept, name=new, options=options)
            self._store.records.replace_container(renamed)
        self._events.container("rename", renamed, oldName=f"/{container.name}")

    @contextlib.contextmanager
    def _alone(self, container: Container) -> Iterator[None]:
        with self._lock:
            lock = self._locks.setdefault(container.id, threading.RLock())
        with lock:
            try:
                descriptor = os.open(self.places(container).data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NotFound(f"No such container: {container.name}") from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


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


def _end_orphans(container: Container) -> None:
    """Take away what is left of a container whose end nobody wrote: nobody else will."""
    if container.state.status == "exited" and not container.state.finished_at:
        _clear_group(bundle.cgroup_path(container))


def _clear_group(path: str) -> None:
    """End what runs in a container's cgroup, and remove it."""
    group = cgroup.Cgroup(cgroup.detect(), path)
    group.kill()
    group.remove()


def _key(name: str | Container) -> str:
    return name.id if isinstance(name, Container) else name


def _listed(directory: str) -> Sequence[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return ()
