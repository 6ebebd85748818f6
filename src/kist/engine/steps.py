"""Build steps: a command in a container that nobody sees, on a snapshot that somebody else owns."""

import contextlib
import secrets
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from msgspec import structs

from kist.engine import bundle, isolation, mountpoints, namespaces, network_options, roots, starter, step_points
from kist.engine.frames import read_frames
from kist.engine.kept_network import Connected
from kist.engine.machine import MachineLimits
from kist.engine.means import Means
from kist.engine.networks import Networks
from kist.engine.roster import Roster
from kist.engine.starter import Places, Starter
from kist.engine.step_mounts import NO_MOUNTS, StepMounts, Terminal
from kist.engine.step_networks import StepNetworks
from kist.engine.step_series import StepSeries
from kist.engine.stop import Stop
from kist.engine.surroundings import borrowed_surroundings, write_surroundings
from kist.errors import KistError, Unavailable
from kist.runtime import launch, messages, planner
from kist.runtime.launch import Attachment
from kist.spec.build import STEP_HOSTNAME, USUAL_STEPS, StepOptions
from kist.spec.container import Container, ContainerOptions, Namespaces
from kist.spec.devices import Device
from kist.spec.image import ContainerConfig
from kist.spec.json import to_builtins
from kist.spec.mount import Mount
from kist.spec.networking import NetworkAttachment, Networking
from kist.spec.owner import Owner, is_guests
from kist.spec.volume import VolumeSource
from kist.store import Store, directories, overlay

_LOOK_EVERY = 1.0  # seconds


class Steps:
    """Runs commands on active snapshots.

    Args:
        store: has the snapshots.
        start: starts what is planned.
        roster: the containers, of which a step may have the network.
        connected: the networks.
        machine: what limits it can keep.
        means: what can be done here.
    """

    def __init__(
        self, store: Store, start: Starter, roster: Roster, connected: Networks, machine: MachineLimits, means: Means
    ) -> None:
        self._store = store
        self._starter = start
        self._roster = roster
        self._networks = connected
        self._machine = machine
        self._means = means

    def series(self) -> StepSeries:
        """For the commands of one build."""
        return StepSeries(StepNetworks(self._store, self._roster, self._networks))

    def settle(self, asked: StepOptions, owner: Owner | None = None) -> tuple[StepOptions, tuple[str, ...]]:
        """What commands can have of what is asked for, and a sentence for what they cannot.

        Raises:
            InvalidInput, Unsupported: something about it cannot be right, or is not done.
            NotFound: there is no such container to have the network of.
        """
        options = as_container(asked)
        if asked == USUAL_STEPS and owner is None:  # as in most builds: nothing about it can be wrong
            return asked, self._means.warnings(options)
        bundle.check(options)
        self._means.check(options)
        isolation.check_profile(options)
        network_options.settle(options, self._networks.catalogue, owner)
        if giver := namespaces.shared_with(options.network):
            self._roster.get(giver)
        resources, warned = self._machine.verify(asked.resources)
        warned = (*warned, *self._means.warnings(options, owner), *isolation.warnings(options))
        return structs.replace(asked, resources=resources), warned

    def run(
        self,
        snapshot: str,
        argv: Sequence[str],
        *,
        config: ContainerConfig,
        options: StepOptions = USUAL_STEPS,
        mounts: Sequence[Mount] = (),
        given: StepMounts = NO_MOUNTS,
        output: Callable[[str, bytes], None],
        hostname: str = STEP_HOSTNAME,
        identifier: str = "",
        owner: Owner | None = None,
        stop: Stop | None = None,
        terminal: Terminal | None = None,
        series: StepSeries | None = None,
    ) -> int:
        """Run ``argv`` and give its exit code; nothing of it remains but the snapshot's changes.

        Args:
            snapshot: the key of an active snapshot; its root file system is written to.
            argv: the command.
            config: environment, user and working directory.
            options: what ``settle`` has left of what was asked for.
            mounts: further mounts.
            given: those of what is nowhere on the host, or the engine's own.
            output: called with ``stdout`` or ``stderr`` and bytes, and while the command is silent with no bytes once
                a second; what it raises ends the command and is raised again.
            hostname: the name that the command sees, where its network is not another container's.
            identifier: of the container; a new one by default.
            owner: whose command it is; another user's has ids of its own, as that user's containers have.
            stop: ends the command before its time.
            terminal: what it has for its streams, in place of ``output``.
            series: the commands of which it is one.

        Raises:
            Unavailable: it was stopped; its processes are gone.
        """
        identifier = identifier or secrets.token_hex(32)
        with ExitStack() as left:
            data = left.enter_context(self._store.temporary())
            places = structs.replace(self._roster.places_of(identifier), data=data)
            left.callback(directories.remove_tree, places.run)
            places.make()
            try:
                name = "" if namespaces.shared_with(options.network) else hostname
                made = as_container(options, (*mounts, *given.mounts), name)
                spaces = Namespaces(user="auto" if is_guests(owner) else "")
                made = structs.replace(made, namespaces=spaces, tty=terminal is not None)
                env = bundle.merge_env((bundle.DEFAULT_PATH,), config.env or ())
                config = ContainerConfig(user=config.user, env=env, working_dir=config.working_dir)
                step = Container(
                    identifier,
                    "",
                    roots.NO_IMAGE,
                    0,
                    self._means.fit_options(network_options.settle(made, self._networks.catalogue, owner), owner),
                    config,
                    tuple(argv),
                    owner=owner,
                )
                with self._connected(step, series) as (networks, connected):
                    streams = _Streams(output, stop or Stop(), terminal)
                    code = self._run(step, places, snapshot, given, streams, networks, connected, series)
            finally:
                self._store.records.release_ids(identifier)
            if series is not None:
                series.leave(left.pop_all().close)
            return code

    def _run(
        self,
        container: Container,
        places: Places,
        snapshot: str,
        given: StepMounts,
        streams: "_Streams",
        networks: Sequence[NetworkAttachment],
        connected: Connected | None,
        series: StepSeries | None,
    ) -> int:
        identifier = container.id
        root = self._store.snapshots.mounts(snapshot)
        over = roots.over_mountpoints(self._store, snapshot, root)
        with mountpoints.borrowed(root), step_points.placed(over, given.points(), places.data) as over:
            container, surroundings = self._surrounded(container, places, networks, overlay.unsynced(over))
            volumes = {**surroundings.volumes, **given.sources}
            surroundings = structs.replace(surroundings, volumes=volumes)
            spec = self._means.fit(bundle.runtime_spec(container, surroundings))
            made = planner.make_plan(
                identifier,
                spec,
                root_at=places.root,
                limits=to_builtins(spec.linux.resources),
                seccomp=starter.filter_for(spec),
                wait_for_network=bool(networks),
                ends_with_engine=True,
                hierarchies=self._means.hierarchies,
                stdin=streams.terminal is not None,
                log=None,
            )
            ours, attached = streams.attached()
            line = series.line() if series is not None else None
            with ours, ExitStack() as stack:
                if line is not None:
                    stack.callback(line.close)
                control = self._starter.start(
                    made,
                    places,
                    networks=networks,
                    attached=[attached],
                    volumes=given.held,
                    kept=connected,
                    meanwhile=series.tidy if series is not None else None,
                    line=line,
                )
                if line is None:
                    stack.enter_context(control)
                try:
                    streams.carry(ours, control, places)
                except BaseException:
                    starter.kill_quietly(places)
                    self._ended(places, control)  # its snapshot is about to be taken away
                    raise
                code = self._ended(places, control)
                if series is not None and line is not None:
                    stack.pop_all()
                    series.give_back(line)
                return code

    def _ended(self, places: Places, control: socket.socket) -> int:
        """Wait until a command's container has ended; the exit code.

        Raises:
            Unavailable: its monitor died; what it had running is gone.
        """
        message, _ = messages.receive(control)
        while message is not None and "state" not in message:  # a notice, which is nobody's here
            message, _ = messages.receive(control)
        if message is None:
            # Somebody takes over, ends what runs, and needs the run directory for that.
            self._starter.settle(places)
            raise Unavailable("the monitor of a build step died")
        return int(message["state"]["exit_code"])

    @contextmanager
    def _connected(
        self, container: Container, series: StepSeries | None
    ) -> Iterator[tuple[Sequence[NetworkAttachment], Connected | None]]:
        """The ends of a command's network for the time of the block, and the namespace where it is one to keep."""
        if series is not None and series.networks.serves(container):
            with series.networks.borrowed(container) as connected:
                yield connected.attachments, connected
        else:
            try:
                yield self._networks.lease(container, container.options.networking.endpoints), None
            finally:
                self._networks.release(container.id)

    def _surrounded(
        self,
        container: Container,
        places: Places,
        networks: Sequence[NetworkAttachment],
        over: Sequence[Mount],
    ) -> tuple[Container, bundle.Surroundings]:
        """The container as it is started, and what it is given of others."""
        get = self._roster.get
        giver = namespaces.network_giver(container, get)
        if giver is None:
            surroundings = write_surroundings(places, container, networks, over)
        else:
            surroundings = borrowed_surroundings(self._roster.places(giver), giver, over, {})
        if is_guests(container.owner):
            container, surroundings = _with_own_mounts(container, surroundings)
        asks = container.options.privileged or container.options.devices
        if is_guests(container.owner) or giver is not None or asks:
            surroundings = isolation.with_shared(container, surroundings, get, self._store.records)
        return container, surroundings


class _Streams(NamedTuple):
    """What a step's command has for its streams, and who ends it before its time."""

    output: Callable[[str, bytes], None]
    stop: Stop
    terminal: Terminal | None

    def attached(self) -> tuple[socket.socket, Attachment]:
        """Our end, and the command's."""
        if self.terminal is not None:
            ours = self.terminal.stream.dup()
            return ours, Attachment(self.terminal.stream.dup(), stdin=True, stdout=True, stderr=True)
        ours, theirs = socket.socketpair()
        return ours, Attachment(theirs, stdin=False, stdout=True, stderr=True)

    def carry(self, ours: socket.socket, control: socket.socket, places: Places) -> None:
        """Pass on what it prints, until it prints no more; of one with a terminal, until it ends."""
        if self.terminal is not None:
            self._watch(self.terminal, control, places)
        else:
            with self.stop.heard_by(lambda: _cut(ours)):
                for stream, data in read_frames(ours, quiet_after=_LOOK_EVERY):
                    self.output(stream, data)
        self.stop.check()

    def _watch(self, terminal: Terminal, control: socket.socket, places: Places) -> None:
        def resize(height: int, width: int) -> None:
            with suppress(KistError):  # it has ended just now
                launch.ask(places.run, {"op": "resize", "height": height, "width": width})

        terminal.watch_size(resize)
        poll = select.poll()
        poll.register(control, select.POLLIN)
        try:
            while not poll.poll(_LOOK_EVERY * 1000):
                terminal.check()
                self.stop.check()
        finally:
            terminal.watch_size(None)


def as_container(asked: StepOptions, mounts: Sequence[Mount] = (), hostname: str = "") -> ContainerOptions:
    """The options of a container that has what a step has."""
    return ContainerOptions(
        image="",
        network=asked.network,
        networking=Networking(extra_hosts=asked.extra_hosts),
        resources=asked.resources,
        cgroup_parent=asked.cgroup_parent,
        security_options=asked.security_options,
        mounts=tuple(mounts),
        hostname=hostname,
        privileged=asked.privileged,
        devices=tuple(Device(name) for name in asked.devices),
    )


def _with_own_mounts(container: Container, surroundings: bundle.Surroundings) -> tuple[Container, bundle.Surroundings]:
    """Binds of a step are the engine's, whosever the step is: files with the ids that they have in it, like a volume's.

    Its owner could not open them.
    """
    named = {mount.source: VolumeSource(mount.source) for mount in container.options.mounts if mount.type == "bind"}
    mounts = tuple(
        structs.replace(mount, type="volume") if mount.type == "bind" else mount for mount in container.options.mounts
    )
    options = structs.replace(container.options, mounts=mounts)
    return structs.replace(container, options=options), structs.replace(surroundings, volumes=named)


def _cut(stream: socket.socket) -> None:
    """Wake who reads from a stream: it is at its end."""
    with contextlib.suppress(OSError):  # it was closed meanwhile
        stream.shutdown(socket.SHUT_RDWR)
