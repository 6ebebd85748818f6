"""The engine: what callers ask, and which of its parts answers.

It holds no state that is not on disk: it can be killed at any moment, and the next one finds everything.
"""

import gc
import socket
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, BinaryIO, Self

from msgspec import structs

from kist.engine import describing, isolation, network_options
from kist.engine.ending import check_removable
from kist.engine.execs import Starting
from kist.engine.frames import communicate
from kist.engine.image_engine import ImageEngine
from kist.engine.logs import OpenLog
from kist.engine.standstill import standing_still
from kist.engine.stats import Watch
from kist.engine.step_mounts import NO_MOUNTS, StepMounts, Terminal
from kist.engine.step_series import StepSeries
from kist.engine.stop import Stop
from kist.engine.watcher import Condition
from kist.kernel import process
from kist.runtime import launch
from kist.spec.build import STEP_HOSTNAME, USUAL_STEPS, StepOptions
from kist.spec.check import Check
from kist.spec.container import (
    Container,
    ContainerOptions,
    ExecOptions,
    ExecState,
    LogRecord,
    RestartPolicy,
    RunResult,
)
from kist.spec.docker.events import check_event_filters, match_event
from kist.spec.docker.versions import API_VERSION, MIN_API_VERSION
from kist.spec.event import SystemEvent
from kist.spec.files import Change, PathStatus
from kist.spec.image import ContainerConfig
from kist.spec.logs import LogQuery
from kist.spec.mount import Mount
from kist.spec.network import Network, NetworkOptions
from kist.spec.networking import Endpoint
from kist.spec.owner import Owner
from kist.spec.prune import EVERYTHING, UNUSED_CACHE, CachePruning, Pruning
from kist.spec.resources import Resources
from kist.spec.running import failed_run, run_options
from kist.spec.stats import Sample
from kist.spec.summary import Image, Info, Version
from kist.spec.usage import ContainerUsage, DiskUsage, Pruned, SystemPruned, VolumeUsage
from kist.spec.volume import Volume, VolumeOptions


class Engine(ImageEngine):
    """One engine for a data root and a run root; ``kist.spec.interface`` describes the methods that all engines have.

    What it is made with is told at ``Parts``, what it has of images at ``ImageEngine``.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # containers

    def run(
        self,
        image: str | Image,
        command: Sequence[str] | None = None,
        *,
        mounts: Sequence[Mount] = (),
        env: dict[str, str] | None = None,
        options: ContainerOptions | None = None,
        check: bool = True,
        stdin: bytes = b"",
    ) -> RunResult:
        """Run a command in a new container, wait for it, and give its output; the container is removed.

        Raises:
            StepFailed: with ``check``, the command ended with a code other than 0; the message has its last output.
        """
        made = run_options(image, command, mounts=mounts, env=env, options=options, stdin=bool(stdin))
        container = self.create(made)
        attached = self.open_attach(container, stdin=bool(stdin), stdout=True, stderr=True)
        ended = self.open_wait(container, "removed")
        with attached, ended:
            try:
                self.start(container)
            except BaseException:
                self.remove(container, force=True)
                raise
            printed = communicate(attached, stdin)
            code = int(launch.read_line(ended).get("StatusCode", 255))
        result = RunResult(container.id, code, *(text.decode(errors="replace") for text in printed))
        if check and code:
            raise failed_run(made, result)
        return result

    def create(self, options: ContainerOptions) -> Container:
        """Make a container of an image that is here."""
        return self._containers.create(options)

    def warnings(self, options: ContainerOptions) -> tuple[str, ...]:
        """What of these options this machine or engine cannot do and leaves out, a sentence for each."""
        return self._warnings(options)

    def _warnings(self, options: ContainerOptions, owner: Owner | None = None) -> tuple[str, ...]:
        told = (
            *isolation.warnings(options),
            *network_options.warnings(options),
            *self.means.warnings(options, owner),
        )
        return (*told, *self.machine.verify(options.resources)[1])

    def start(self, name: str | Container) -> None:
        """Start a container that does not run; nothing happens when it runs."""
        self.ensure_started(name)

    def ensure_started(self, name: str | Container) -> bool:
        """The same; whether it had to be started."""
        return self._containers.start(name)

    def stop(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Ask a container to end, by its stop signal or ``signal``, and after ``timeout`` seconds make it."""
        self._containers.stop(name, timeout=timeout, number=signal)

    def restart(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Stop a container (see ``stop``) if it runs, and start it."""
        self._containers.restart(name, timeout=timeout, number=signal)

    def kill(self, name: str | Container, signal: str | int = "KILL") -> None:
        """Send a signal to a container's first process."""
        self._containers.kill(name, signal)

    def wait(self, name: str | Container) -> int:
        """Wait for a container's end; its exit code."""
        return self._containers.wait(name)

    def pause(self, name: str | Container) -> None:
        """Stop all processes of a running container where they are."""
        self._controls.pause(name)

    def unpause(self, name: str | Container) -> None:
        """Let the processes of a paused container go on."""
        self._controls.unpause(name)

    def update(
        self,
        name: str | Container,
        changes: Resources,
        restart: RestartPolicy | None = None,
        *,
        emptied: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Change a container's limits, at once where it runs, and its restart policy; warnings."""
        return self._controls.update(name, changes, restart, emptied=emptied)

    def top(self, name: str | Container, arguments: str = "") -> tuple[list[str], list[list[str]]]:
        """Titles and rows of a container's processes, as ``ps ARGUMENTS`` shows them on the host."""
        return self._controls.top(name, arguments)

    def stats(self, name: str | Container, *, follow: bool = False) -> Iterator[Sample]:
        """What a container uses now (or used, when it has ended); with ``follow``, every second."""
        return self._stats.iterate(name, follow=follow)

    def watch_stats(self, name: str | Container, tell: Callable[[Sample], None]) -> Watch:
        """Have ``tell`` called with a container's measurements every second, until the watch is closed."""
        return self._stats.watch(name, tell)

    def remove(self, name: str | Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container with all that is its own; ``force`` kills it first, ``volumes`` takes nameless ones."""
        self._containers.remove(name, force=force, volumes=volumes)

    def containers(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002 - the API's own word
        """Running containers, or all, the newest first."""
        return self._containers.list(all=all)

    def container(self, name: str | Container) -> Container:
        """The container of this name, id or unique beginning of an id."""
        return self._containers.get(name)

    def rename(self, name: str | Container, new: str) -> None:
        """Give a container another name, while it runs too."""
        self._containers.rename(name, new)

    def stat_path(self, name: str | Container, path: str) -> PathStatus:
        """What is at a path of a container; of a symbolic link, the link."""
        return self.files.stat(name, path)

    def get_archive(self, name: str | Container, path: str, target: BinaryIO) -> None:
        """Write the tar of what is at a path of a container."""
        self.files.get(name, path, target)

    def put_archive(
        self, name: str | Container, path: str, source: BinaryIO, *, keep_kinds: bool = False, as_user: bool = False
    ) -> None:
        """Unpack a tar into a directory of a container."""
        self.files.put(name, path, source, keep_kinds=keep_kinds, as_user=as_user)

    def export(self, name: str | Container, target: BinaryIO) -> None:
        """Write the tar of a container's own files."""
        self.files.export(name, target)

    def changes(self, name: str | Container) -> tuple[Change, ...]:
        """What a container has changed of its image's files, sorted by path."""
        return self.files.changes(name)

    def commit_config(
        self,
        name: str | Container,
        reference: str = "",
        *,
        config: ContainerConfig | None = None,
        author: str = "",
        message: str = "",
        pause: bool = True,
    ) -> Image:
        """Make an image of a container as it is now; ``config`` replaces the container's own."""
        from kist.engine.commit import commit  # noqa: PLC0415 - it loads what reads file trees

        container = self._containers.get(name)
        with self._held(container, pause=pause):
            image = commit(
                self.catalogue,
                self.store,
                container,
                reference,
                config=config,
                author=author,
                message=message,
                moving=container.state.running and not pause,
            )
        self.event_log.container("commit", container, comment=message, imageID=image.id, imageRef=reference)
        return image

    def _held(self, container: Container, *, pause: bool) -> AbstractContextManager[None]:
        """Nobody writes to its files: one that does not run is not started, one that runs stands still."""
        if not container.state.running:
            return self._containers.alone(container)
        if not pause or container.state.status == "paused":
            return nullcontext()
        return standing_still(container, self._containers.places(container))

    # space

    def removal(self, name: str | Container, *, force: bool = False) -> ContainerUsage:
        """What ``remove`` would take away; nothing is done. It raises what ``remove`` would raise."""
        container = self._containers.get(name)
        check_removable(container, force=force)
        return self.usage.of_container(container)

    def sizes(self, name: str | Container) -> ContainerUsage:
        """The space of a container."""
        return self.usage.of_container(self._containers.get(name))

    def disk_usage(self) -> DiskUsage:
        """The space of everything under the data root."""
        return self.usage.all(self.housekeeping.limits())

    def prune_containers(self, pruning: Pruning = EVERYTHING, *, dry_run: bool = False) -> Pruned:
        """Remove the containers that do not run and fit."""
        return self._prune.containers(pruning, dry_run=dry_run)

    def prune_images(self, pruning: Pruning = EVERYTHING, *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove the images that no container needs and that have no name; with ``every`` those with one too."""
        return self._prune.images(pruning, every=every, dry_run=dry_run)

    def unused(self, pruning: Pruning = EVERYTHING, *, every: bool = False, volumes: bool = False) -> SystemPruned:
        """What a clean-up of containers, networks, images, build cache (and volumes) would remove."""
        found = self._prune.survey(pruning, every=every, volumes=volumes)
        networks = self._network_keeping.prune(pruning, dry_run=True, gone=frozenset(found.containers))
        return structs.replace(found, networks=networks.deleted)

    def prune_volumes(self, pruning: Pruning = EVERYTHING, *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove the volumes that no container has and that nobody named; with ``every`` those with a name too."""
        return self._prune.volumes(pruning, every=every, dry_run=dry_run)

    def prune_build_cache(self, pruning: CachePruning = UNUSED_CACHE, *, dry_run: bool = False) -> Pruned:
        """Forget entries of the build cache, the longest unused first."""
        return self._prune.build_cache(pruning, dry_run=dry_run)

    def create_network(self, options: NetworkOptions) -> Network:
        """Make a network."""
        return self._network_keeping.create(options)

    def networks(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Network, ...]:
        """All networks that pass the filters, by name."""
        return self._network_keeping.list({name: tuple(values) for name, values in (filters or {}).items()})

    def network(self, name: str) -> Network:
        """One network, with the containers that run on it."""
        return self._network_keeping.get(name)

    def remove_network(self, name: str) -> None:
        """Remove a network on which no container runs."""
        self._network_keeping.remove(name)

    def connect_network(self, name: str, container: str | Container, endpoint: Endpoint | None = None) -> None:
        """Put a container on a network."""
        network = self._networks.catalogue.get(name)
        self._containers.connect(network, container, endpoint or Endpoint(network.name))

    def disconnect_network(self, name: str, container: str | Container, *, force: bool = False) -> None:
        """Take a container off a network."""
        self._containers.disconnect(self._networks.catalogue.get(name), container, force=force)

    def prune_networks(self, pruning: Pruning = EVERYTHING, *, dry_run: bool = False) -> Pruned:
        """Remove the networks that no container is to be on."""
        return self._network_keeping.prune(pruning, dry_run=dry_run)

    def create_volume(self, options: VolumeOptions) -> Volume:
        """The volume of this name, made when there is none."""
        return self._volumes.create(options)

    def volumes(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Volume, ...]:
        """All volumes that pass the filters, by name."""
        return self._volumes.list({name: tuple(values) for name, values in (filters or {}).items()})

    def volume(self, name: str) -> Volume:
        """One volume."""
        return self._volumes.get(name)

    def remove_volume(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that no container has, with all that is in it."""
        self._volumes.remove(name, force=force)

    def volume_removal(self, name: str) -> VolumeUsage:
        """What ``remove_volume`` would take away; nothing is done."""
        return self._volumes.removal(name)

    def export_volume(self, name: str, target: BinaryIO) -> None:
        """Write the tar of what is in a volume."""
        from kist.engine import volume_archives  # noqa: PLC0415 - as for ``files``

        volume_archives.export(self._containers.holding, self.volume(name), target)

    def import_volume(self, name: str, source: BinaryIO, *, theirs: bool = False) -> None:
        """Put what is in a tar into a volume; ``theirs``: a guest's, for whom root makes no devices."""
        from kist.engine import volume_archives  # noqa: PLC0415 - as for ``files``

        volume_archives.import_(self._containers.holding, self.volume(name), source, theirs=theirs)

    def plan(self, options: ContainerOptions) -> tuple[str, ...]:
        """The operations that a start with these options would do, as text; nothing is done."""
        return self._containers.dry_run(options)

    def spec(self, options: ContainerOptions, directory: str = "") -> dict[str, Any]:
        """The config.json of an OCI bundle for these options; with a directory, the bundle is written there."""
        return self._containers.spec(options, directory)

    def run_step(
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
        stop: Stop | None = None,
        terminal: Terminal | None = None,
        series: StepSeries | None = None,
    ) -> int:
        """Run a command on an active snapshot; its exit code (see ``Steps.run``)."""
        return self._steps.run(
            snapshot,
            argv,
            config=config,
            options=options,
            mounts=mounts,
            given=given,
            output=output,
            hostname=hostname,
            identifier=identifier,
            stop=stop,
            terminal=terminal,
            series=series,
        )

    def step_series(self) -> StepSeries:
        """What the commands of one build have of one another; a context manager."""
        return self._steps.series()

    def settle_steps(self, options: StepOptions) -> tuple[StepOptions, tuple[str, ...]]:
        """What commands of a build can have, and a sentence for what they cannot (see ``Steps.settle``)."""
        return self._steps.settle(options)

    def settle(self) -> None:
        """After a big job: give the memory that it needed back to the machine."""
        gc.collect()
        process.trim_memory()

    # streams

    def open_attach(self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool) -> socket.socket:
        """A stream socket to a container's standard streams, also before it is started."""
        return self._containers.open_attach(name, stdin=stdin, stdout=stdout, stderr=stderr)

    def open_attach_after_log(
        self, name: str | Container, *, stdin: bool, stdout: bool, stderr: bool
    ) -> tuple[socket.socket, tuple[int, int]]:
        """The same, and the place that the log had come to: what is before it there is not in the stream."""
        return self._containers.open_attach_after_log(name, stdin=stdin, stdout=stdout, stderr=stderr)

    def note_detached(self, name: str | Container) -> None:
        """Note that a client has detached from a container by the keys for that."""
        self._containers.note_detached(name)

    def open_wait(self, name: str | Container, condition: Condition = "not-running") -> socket.socket:
        """A socket that gets one line of JSON (``StatusCode``) when the condition has come true."""
        return self._containers.open_wait(name, condition)

    def open_follow(self, name: str | Container) -> socket.socket:
        """A socket that is readable when the log has grown, and at its end when the container has ended."""
        return self._containers.open_follow(name)

    def resize(self, name: str | Container, height: int, width: int) -> None:
        """Set the size of a container's terminal, in characters."""
        self._containers.resize(name, height, width)

    def logs(
        self,
        name: str | Container,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: int = 0,
        until: int = 0,
        grep: str = "",
        ignore_case: bool = False,
    ) -> Iterator[LogRecord]:
        """What a container printed; with ``follow``, until its end. ``LogQuery`` has the other arguments' meanings."""
        query = LogQuery(since=since, until=until, tail=tail, grep=grep, ignore_case=ignore_case)
        return self._logs.iterate(name, query, follow=follow)

    def open_log(self, name: str | Container, query: LogQuery) -> OpenLog:
        """The part of a container's log that ``query`` asks for, to be read as often as it grows."""
        return self._logs.open(name, query)

    # further processes

    def exec(self, name: str | Container, options: ExecOptions) -> RunResult:
        """Run a further process in a running container, wait for it, and give its output."""
        container = self.container(name)
        identifier = self._execs.create(container, options)
        starting = self._execs.start(identifier, detach=False)
        assert starting is not None
        with starting.streams() as connection:
            printed = communicate(connection, b"", raw=options.tty)
        code = self._execs.inspect(identifier).exit_code or 0
        return RunResult(container.id, code, *(text.decode(errors="replace") for text in printed))

    def exec_create(self, name: str | Container, options: ExecOptions) -> str:
        """Note a further process; the id to start it by."""
        return self._execs.create(name, options)

    def exec_start(self, identifier: str, detach: bool) -> Starting | None:
        """Start a noted process; None with ``detach``, when it runs."""
        return self._execs.start(identifier, detach=detach)

    def exec_run(self, name: str | Container, options: ExecOptions, made: Callable[[str], None]) -> Starting:
        """Note a further process, tell ``made`` its id, and start it; its streams have its exit code at the end."""
        return self._execs.run(name, options, made)

    def exec_options(self, identifier: str) -> ExecOptions:
        """What a further process was noted with."""
        return self._execs.options(identifier)

    def exec_inspect(self, identifier: str) -> ExecState:
        """What became of a further process."""
        return self._execs.inspect(identifier)

    def exec_ended(self, identifier: str) -> ExecState | None:
        """The same of one that has ended, without waiting for anybody; None where that is not known at once."""
        return self._execs.ended(identifier)

    def exec_resize(self, identifier: str, height: int, width: int) -> None:
        """Set the size of its terminal, in characters."""
        self._execs.resize(identifier, height, width)

    def exec_leave(self, identifier: str) -> None:
        """Let a further process go on when the client that feeds it goes."""
        self._execs.leave(identifier)

    # the engine

    def events(
        self, *, since: int = 0, until: int = 0, filters: Mapping[str, Sequence[str]] | None = None
    ) -> Iterator[SystemEvent]:
        """What happens, from ``since`` on (nanoseconds since the epoch; 0 for now) until ``until`` (0 for no end)."""
        chosen = check_event_filters({name: tuple(values) for name, values in (filters or {}).items()})
        return (event for event in self.event_log.iterate(since=since, until=until) if match_event(event, chosen))

    def version(self) -> Version:
        """Versions of the engine and what it stands on."""
        return describing.version(API_VERSION, MIN_API_VERSION)

    def check(self, *, repair: bool = False, verify: bool = False) -> Check:
        """Look for what is not as it should be, and mend what can be mended safely with ``repair``."""
        return self._checker.check(repair=repair, verify=verify)

    def reload_networks(self, containers: Sequence[str] = ()) -> tuple[str, ...]:
        """Make again what a firewall's reload has taken away (``Republishing.reload``)."""
        return self._containers.republishing.reload(containers)

    def info(self) -> Info:
        """The machine and the store."""
        return describing.info(self, self._containers.list(all=True))
