"""``kist.spec.interface.EngineInterface`` over the engine's socket."""

import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from msgspec import structs

from kist.client import jobs
from kist.client.build_caches import around
from kist.client.changes import changes_of
from kist.client.destinations import Destinations
from kist.client.endpoint import Endpoint
from kist.client.http1 import quote
from kist.client.lockfile import LockKeeper
from kist.client.named_contexts import split
from kist.client.offer import offer_of
from kist.client.output import communicate, framed_records, raw_records
from kist.client.packing import pack
from kist.client.session import Session
from kist.client.start import connect
from kist.client.transport import Connection, FileBody
from kist.client.wire import Wire
from kist.errors import KistError, NotFound
from kist.spec import networking
from kist.spec.artifact import Referrer
from kist.spec.build import BootstrapOptions, BuildOptions
from kist.spec.build_cache import read as read_caches
from kist.spec.check import Check
from kist.spec.container import Container, ContainerOptions, ExecOptions, LogRecord, RestartPolicy, RunResult
from kist.spec.docker import networks, volumes
from kist.spec.docker.archive import read_path_status
from kist.spec.docker.builds import write_steps
from kist.spec.docker.create import write_create
from kist.spec.docker.execs import write_exec
from kist.spec.docker.frames import RAW_STREAM
from kist.spec.docker.prune import write_cache_pruning, write_pruning
from kist.spec.docker.resources import write_update
from kist.spec.docker.times import write_moment
from kist.spec.event import SystemEvent
from kist.spec.files import Change, PathStatus
from kist.spec.image import ContainerConfig
from kist.spec.insight import ImageDifference, ImageTree, Slim, Why
from kist.spec.json import convert, decode, encode
from kist.spec.mount import Mount
from kist.spec.network import Network, NetworkOptions
from kist.spec.package import ImagePackages
from kist.spec.progress import Event
from kist.spec.prune import EVERYTHING, UNUSED_CACHE, CachePruning, Pruning
from kist.spec.resources import Resources
from kist.spec.running import failed_run, run_options
from kist.spec.stats import Sample
from kist.spec.summary import Image, Info, RemovedImage, Version
from kist.spec.usage import ContainerUsage, DiskUsage, Pruned, VolumeUsage
from kist.spec.volume import Volume, VolumeOptions

T = TypeVar("T")
Progress = Callable[[Event], None]
_Query = Iterable[tuple[str, str | int | None]]

_VALUES = (("Accept", "application/vnd.kist+json"),)
_COPY = 1 << 18


class Client:
    """The engine at an endpoint, which is started by the first request when it is Kist's own and does not run.

    Blocking, and safe from many threads. Errors are those of the engine: ``kist.errors``.

    Args:
        endpoint: of the engine.
        connecting: makes connections to it.
    """

    def __init__(self, endpoint: Endpoint, connecting: Callable[[Endpoint], Connection] = connect) -> None:
        self._wire = Wire(endpoint, connecting)

    def __enter__(self) -> Self:
        """Itself; nothing is connected before the first request."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close the connections; the engine goes on."""
        self.close()

    def close(self) -> None:
        """Close the connections; the engine goes on."""
        self._wire.close()

    # images

    def bootstrap(self, options: BootstrapOptions, *, progress: Progress | None = None) -> Image:
        """Make a base image from a distribution's signed archive."""
        finished = jobs.bootstrap(self._wire, encode(options), _typed(progress))
        return self.image(finished["image_id"])

    def build(self, context: str, options: BuildOptions | None = None, *, progress: Progress | None = None) -> Image:
        """Build the Dockerfile in the directory ``context``.

        Returns:
            The image; where no output keeps it, as it would be.

        Raises:
            ParseError: the Dockerfile; its text points at the place.
            StepFailed: a command of it; with its exit code.
        """
        chosen = options or BuildOptions()
        show = _typed(progress)
        keep = Destinations(chosen.outputs, lambda text: show({"type": "warned", "text": text})).keep
        archive, caches = pack(context, chosen.dockerfile), read_caches(chosen.cache_from, chosen.cache_to)
        told = structs.asdict(structs.replace(chosen, cache_from=caches.images, cache_to=caches.engine))
        query = jobs.build_query(told | {"contexts": split(chosen.contexts)[0]}) + write_steps(chosen.steps)
        locked = LockKeeper(context, chosen.dockerfile, show)
        with self._given(chosen) as session:
            finished = around(
                self._wire,
                caches,
                lambda listen: jobs.build_directory(self._wire, query + session, context, archive, listen, keep),
            )(locked)
        if identity := finished["image_id"]:
            return self.image(identity)
        return convert(finished["image"], Image, what="image")

    @contextmanager
    def _given(self, options: BuildOptions) -> Iterator[list[tuple[str, str]]]:
        """Serve what the options give a build; the query parameters of one that is to have it."""
        offer = offer_of(options, os.environ)
        if offer.is_empty:
            yield []
            return
        with offer, Session(self._wire, offer) as session:
            yield session.query

    def images(self) -> tuple[Image, ...]:
        """All images, the newest first."""
        return self._values("GET", "/images/json", tuple[Image, ...])

    def image(self, name: str | Image) -> Image:
        """One image."""
        return self._values("GET", f"{_image(name)}/json", Image)

    def tag(self, name: str | Image, reference: str) -> None:
        """Give an image one more name; an image that had it loses it."""
        self._wire.call("POST", f"{_image(name)}/tag", _split(reference))

    def remove_image(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """Take a name away, and the image with its last one."""
        return self._values("DELETE", _image(name), RemovedImage, [("force", int(force))])

    def import_image(
        self,
        source: BinaryIO,
        reference: str = "",
        *,
        config: ContainerConfig | None = None,
        message: str = "",
        platform: str = "",
    ) -> Image:
        """Make an image of one layer from a tar of a file system.

        Raises:
            Unsupported: a config that Dockerfile instructions cannot spell.
        """
        query: list[tuple[str, str | int | None]] = [("fromSrc", "-"), *_split(reference), ("message", message)]
        query.append(("platform", platform or None))
        query += [("changes", change) for change in changes_of(config or ContainerConfig())]
        return self._values("POST", "/images/create", Image, query, source=source)

    def load(self, source: BinaryIO, *, platform: str | Sequence[str] = "") -> tuple[Image, ...]:
        """Take in the images of a docker-save or OCI archive."""
        named = [platform] if isinstance(platform, str) else platform
        query: list[tuple[str, str | int | None]] = [("quiet", 1), *(("platform", each) for each in named if each)]
        return self._values("POST", "/images/load", tuple[Image, ...], query, source=source)

    def save(self, names: Sequence[str | Image], target: BinaryIO, *, platform: str = "") -> None:
        """Write images as an archive that both Docker and OCI tools read."""
        query: list[tuple[str, str | int | None]] = [("platform", platform or None)]
        query += [("names", name if isinstance(name, str) else str(name.id)) for name in names]
        target.writelines(self._wire.request("GET", "/images/get", query))

    # what is in images

    def packages(self, name: str | Image) -> ImagePackages:
        """All packages of an image, each with the layer that it came with."""
        return self._values("GET", f"/kist{_image(name)}/packages", ImagePackages)

    def sbom(self, name: str | Image, form: str = "spdx", *, attach: bool = False) -> bytes:
        """The bill of materials of an image, as ``spdx`` or ``cyclonedx``; with ``attach`` it is a referrer of it."""
        method = "POST" if attach else "GET"
        return self._wire.request(method, f"/kist{_image(name)}/sbom", [("format", form)]).read()

    def referrers(self, name: str | Image) -> tuple[Referrer, ...]:
        """What is attached to an image."""
        return self._values("GET", f"/kist{_image(name)}/referrers", tuple[Referrer, ...])

    def referrer(self, name: str | Image, digest: str) -> bytes:
        """What one of these holds."""
        return self._wire.request("GET", f"/kist{_image(name)}/referrers/{quote(digest)}").read()

    def remove_referrer(self, name: str | Image, digest: str) -> Referrer:
        """Detach one of these."""
        return self._values("DELETE", f"/kist{_image(name)}/referrers/{quote(digest)}", Referrer)

    def why(self, package: str) -> Why:
        """Which images have a package, by which layer, and which have it from them."""
        return self._values("GET", "/kist/why", Why, [("package", package)])

    def image_tree(self) -> ImageTree:
        """Which images stand on which, by their layers."""
        return self._values("GET", "/kist/tree", ImageTree)

    def image_difference(
        self, first: str | Image, second: str | Image, *, packages: bool = True, files: bool = True
    ) -> ImageDifference:
        """What is different between two images."""
        other = second if isinstance(second, str) else str(second.id)
        query: _Query = [("with", other), ("packages", int(packages)), ("files", int(files))]
        return self._values("GET", f"/kist{_image(first)}/difference", ImageDifference, query)

    def slim(self, name: str | Image, *, most: int = 20) -> Slim:
        """What takes the space in an image; of each list the ``most`` largest."""
        return self._values("GET", f"/kist{_image(name)}/slim", Slim, [("most", most)])

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
            CommandNotFound, CommandNotExecutable: it could not run.
        """
        made = run_options(image, command, mounts=mounts, env=env, options=options, stdin=bool(stdin))
        container = self._create(made)
        path = _container(container)
        query = [("stream", 1), ("stdout", 1), ("stderr", 1), ("stdin", 1 if stdin else None)]
        attaching = self._wire.begin_hijack(f"{path}/attach", query)
        waiting = self._wire.begin("POST", f"{path}/wait", [("condition", "removed")])
        stream, _ = attaching.stream()
        try:
            self.start(container)
        except BaseException:
            stream.close()
            waiting.abandon()
            raise
        stdout, stderr = communicate(stream, stdin, tty=made.tty)
        result = RunResult(container, _exit_code(waiting.answer().read()), stdout, stderr)
        if check and result.exit_code:
            raise failed_run(made, result)
        return result

    def create(self, options: ContainerOptions) -> Container:
        """Make a container."""
        return self.container(self._create(options))

    def _create(self, options: ContainerOptions) -> str:
        query = [("name", options.name or None), ("platform", options.platform or None)]
        made = self._wire.call("POST", "/containers/create", query, write_create(options))
        return str(made["Id"])

    def start(self, name: str | Container) -> None:
        """Start a container; nothing happens when it runs."""
        self._wire.call("POST", f"{_container(name)}/start")

    def stop(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Ask a container to end, and after ``timeout`` seconds (None: as its options say) make it."""
        self._wire.call("POST", f"{_container(name)}/stop", [("t", timeout), ("signal", signal)])

    def restart(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Stop a container (see ``stop``) if it runs, and start it."""
        self._wire.call("POST", f"{_container(name)}/restart", [("t", timeout), ("signal", signal)])

    def kill(self, name: str | Container, signal: str | int = "KILL") -> None:
        """Send a signal to a container's first process."""
        self._wire.call("POST", f"{_container(name)}/kill", [("signal", signal)])

    def wait(self, name: str | Container) -> int:
        """Wait for a container's end; its exit code."""
        return _exit_code(self._wire.request("POST", f"{_container(name)}/wait").read())

    def remove(self, name: str | Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container with all that is its own; ``force`` kills it first, ``volumes`` takes nameless ones."""
        self._wire.call("DELETE", _container(name), [("force", int(force)), ("v", int(volumes))])

    def rename(self, name: str | Container, new: str) -> None:
        """Give a container another name, while it runs too."""
        self._wire.call("POST", f"{_container(name)}/rename", [("name", new)])

    def stat_path(self, name: str | Container, path: str) -> PathStatus:
        """What is at a path of a container; of a symbolic link, the link."""
        try:
            response = self._wire.request("HEAD", f"{_container(name)}/archive", [("path", path)])
        except NotFound as error:  # whose answer has no body, so its words are lost
            missing = self.container(name).name
            raise NotFound(f"Could not find the file {path} in container {missing}") from error
        return read_path_status(response.headers)

    def get_archive(self, name: str | Container, path: str, target: BinaryIO) -> None:
        """Write the tar of what is at a path of a container; of a directory, with what is below it."""
        target.writelines(self._wire.request("GET", f"{_container(name)}/archive", [("path", path)]))

    def put_archive(
        self, name: str | Container, path: str, source: BinaryIO, *, keep_kinds: bool = False, as_user: bool = False
    ) -> None:
        """Unpack a tar, plain or compressed, into a directory of a container."""
        query: _Query = [("path", path), ("noOverwriteDirNonDir", int(keep_kinds)), ("copyUIDGID", int(as_user))]
        self._wire.request("PUT", f"{_container(name)}/archive", query, body=_body(source), headers=(jobs.TAR,)).read()

    def export(self, name: str | Container, target: BinaryIO) -> None:
        """Write the tar of a container's own files, without what is mounted in it."""
        target.writelines(self._wire.request("GET", f"{_container(name)}/export"))

    def changes(self, name: str | Container) -> tuple[Change, ...]:
        """What a container has changed of its image's files, sorted by path."""
        return self._values("GET", f"{_container(name)}/changes", tuple[Change, ...])

    def pause(self, name: str | Container) -> None:
        """Stop all processes of a running container where they are."""
        self._wire.call("POST", f"{_container(name)}/pause")

    def unpause(self, name: str | Container) -> None:
        """Let the processes of a paused container go on."""
        self._wire.call("POST", f"{_container(name)}/unpause")

    def update(
        self,
        name: str | Container,
        changes: Resources,
        restart: RestartPolicy | None = None,
        *,
        emptied: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Change a container's limits, at once where it runs, and its restart policy; warnings."""
        body = write_update(changes, restart, emptied)
        return tuple(self._wire.call("POST", f"{_container(name)}/update", value=body)["Warnings"] or ())

    def top(self, name: str | Container, arguments: str = "") -> tuple[list[str], list[list[str]]]:
        """Titles and rows of a container's processes, as ``ps ARGUMENTS`` shows them on the host."""
        found = self._wire.call("GET", f"{_container(name)}/top", [("ps_args", arguments or None)])
        return found["Titles"], found["Processes"]

    def stats(self, name: str | Container, *, follow: bool = False) -> Iterator[Sample]:
        """What a container uses now (or used, when it has ended); with ``follow``, every second."""
        query = [("stream", int(follow)), ("one-shot", int(not follow))]
        response = self._wire.request("GET", f"{_container(name)}/stats", query, headers=_VALUES)
        return (convert(line, Sample, what="measurement") for line in self._wire.lines(response))

    def commit(
        self,
        name: str | Container,
        reference: str = "",
        *,
        changes: Sequence[str] = (),
        author: str = "",
        message: str = "",
        pause: bool = True,
    ) -> Image:
        """Make an image of a container as it is now; ``changes`` are Dockerfile instructions."""
        query: list[tuple[str, str | int | None]] = [("container", name if isinstance(name, str) else name.id)]
        query += [*_split(reference), ("author", author or None), ("comment", message or None), ("pause", int(pause))]
        query += [("changes", change) for change in changes]
        return self._values("POST", "/commit", Image, query)

    def removal(self, name: str | Container, *, force: bool = False) -> ContainerUsage:
        """What ``remove`` would take away; nothing is done."""
        query: _Query = [("dry-run", 1), ("force", int(force))]
        return self._values("DELETE", _container(name), ContainerUsage, query)

    def image_removal(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """What ``remove_image`` would do; nothing is done."""
        return self._values("DELETE", _image(name), RemovedImage, [("dry-run", 1), ("force", int(force))])

    def disk_usage(self) -> DiskUsage:
        """The space of everything under the data root."""
        return self._values("GET", "/system/df", DiskUsage)

    def prune_containers(self, pruning: Pruning = EVERYTHING, *, dry_run: bool = False) -> Pruned:
        """Remove the containers that do not run and fit; with ``dry_run`` only tell which."""
        return self._prune("containers", write_pruning(pruning), dry_run)

    def prune_images(self, pruning: Pruning = EVERYTHING, *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove the images that no container needs and that have no name; with ``every`` those with one too."""
        return self._prune("images", write_pruning(pruning, dangling=not every), dry_run)

    def prune_volumes(self, pruning: Pruning = EVERYTHING, *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove the volumes that no container has and that nobody named; with ``every`` those with a name too."""
        return self._prune("volumes", write_pruning(pruning, all=every), dry_run)

    def prune_build_cache(self, pruning: CachePruning = UNUSED_CACHE, *, dry_run: bool = False) -> Pruned:
        """Forget entries of the build cache, the longest unused first."""
        return self._prune("build", write_cache_pruning(pruning), dry_run)

    def _prune(self, what: str, query: list[tuple[str, str | int | None]], dry_run: bool) -> Pruned:
        return self._values("POST", f"/{what}/prune", Pruned, [*query, ("dry-run", int(dry_run))])

    def create_network(self, options: NetworkOptions) -> Network:
        """Make a network."""
        made = self._wire.call("POST", "/networks/create", value=networks.write_create(options))
        return self.network(str(made["Id"]))

    def networks(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Network, ...]:
        """All networks that pass the filters, by name."""
        return self._values("GET", "/networks", tuple[Network, ...], [("filters", _filters(filters))])

    def network(self, name: str) -> Network:
        """One network, with the containers that run on it."""
        return self._values("GET", _network(name), Network)

    def remove_network(self, name: str) -> None:
        """Remove a network on which no container runs."""
        self._wire.call("DELETE", _network(name))

    def connect_network(
        self, name: str, container: str | Container, endpoint: networking.Endpoint | None = None
    ) -> None:
        """Put a container on a network."""
        body = networks.write_connect(_name(container), endpoint or networking.Endpoint(name))
        self._wire.call("POST", f"{_network(name)}/connect", value=body)

    def disconnect_network(self, name: str, container: str | Container, *, force: bool = False) -> None:
        """Take a container off a network."""
        body = {"Container": _name(container), "Force": force}
        self._wire.call("POST", f"{_network(name)}/disconnect", value=body)

    def prune_networks(self, pruning: Pruning = EVERYTHING, *, dry_run: bool = False) -> Pruned:
        """Remove the networks that no container is to be on."""
        return self._prune("networks", write_pruning(pruning), dry_run)

    def create_volume(self, options: VolumeOptions) -> Volume:
        """The volume of this name, made when there is none; without a name a new one."""
        return self._values("POST", "/volumes/create", Volume, value=volumes.write_create(options))

    def volumes(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Volume, ...]:
        """All volumes that pass the filters, by name."""
        return self._values("GET", "/volumes", tuple[Volume, ...], [("filters", _filters(filters))])

    def volume(self, name: str) -> Volume:
        """One volume."""
        return self._values("GET", _volume(name), Volume)

    def remove_volume(self, name: str, *, force: bool = False) -> None:
        """Remove a volume with all that is in it; with ``force`` one that is not there is no error."""
        self._wire.call("DELETE", _volume(name), [("force", int(force))])

    def export_volume(self, name: str, target: BinaryIO) -> None:
        """Write the tar of what is in a volume."""
        target.writelines(self._wire.request("GET", f"/kist{_volume(name)}/export"))

    def import_volume(self, name: str, source: BinaryIO) -> None:
        """Put what is in a tar, plain or compressed, into a volume."""
        self._wire.request("POST", f"/kist{_volume(name)}/import", body=_body(source), headers=(jobs.TAR,)).read()

    def volume_removal(self, name: str) -> VolumeUsage:
        """What ``remove_volume`` would take away; nothing is done."""
        return self._values("DELETE", _volume(name), VolumeUsage, [("dry-run", 1)])

    def containers(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002 - the API's own word
        """Running containers, or all, the newest first."""
        return self._values("GET", "/containers/json", tuple[Container, ...], [("all", int(all))])

    def container(self, name: str | Container) -> Container:
        """One container, with its state as of now."""
        return self._values("GET", f"{_container(name)}/json", Container)

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
        query: list[tuple[str, str | int | None]] = [("stdout", 1), ("stderr", 1), ("timestamps", 1), ("tail", tail)]
        query += [("follow", int(follow)), ("grep", grep or None), ("ignorecase", int(ignore_case))]
        query += [(name, write_moment(value)) for name, value in (("since", since), ("until", until)) if value]
        response = self._wire.request("GET", f"{_container(name)}/logs", query)
        raw = response.headers.get("content-type") == RAW_STREAM
        return raw_records(response) if raw else framed_records(response)

    def exec(self, name: str | Container, options: ExecOptions) -> RunResult:
        """Run a further process in a running container, wait for it, and give its output."""
        path = _container(name)
        made = self._wire.call("POST", f"{path}/exec", value=write_exec(options))["Id"]
        stream, _ = self._wire.hijack(f"/exec/{made}/start", value={"Detach": False, "Tty": options.tty})
        stdout, stderr = communicate(stream, b"", tty=options.tty)
        state = self._wire.call("GET", f"/exec/{made}/json")
        return RunResult(str(state["ContainerID"]), int(state["ExitCode"] or 0), stdout, stderr)

    # the engine

    def events(
        self, *, since: int = 0, until: int = 0, filters: Mapping[str, Sequence[str]] | None = None
    ) -> Iterator[SystemEvent]:
        """What happens, from ``since`` on (nanoseconds since the epoch; 0 for now) until ``until`` (0 for no end)."""
        query = [("since", write_moment(since)), ("until", write_moment(until)), ("filters", _filters(filters))]
        response = self._wire.request("GET", "/events", query, headers=_VALUES)
        return (convert(line, SystemEvent, what="event") for line in self._wire.lines(response))

    def version(self) -> Version:
        """Versions of the engine and what it stands on."""
        return self._values("GET", "/kist/version", Version)

    def check(self, *, repair: bool = False, verify: bool = False) -> Check:
        """Look for what is not as it should be, and mend what can be mended safely with ``repair``."""
        query = [("repair", int(repair)), ("verify", int(verify))]
        return self._values("POST", "/kist/check", Check, query)

    def reload_networks(self, containers: Sequence[str] = ()) -> tuple[str, ...]:
        """Make again what a firewall's reload has taken away: the packet rules of networks and published ports."""
        query = [("container", name) for name in containers]
        return self._values("POST", "/kist/networks/reload", tuple[str, ...], query)

    def info(self) -> Info:
        """The machine and the store."""
        return self._values("GET", "/kist/info", Info)

    def _values(
        self,
        method: str,
        path: str,
        kind: type[T],
        query: _Query = (),
        *,
        source: BinaryIO | None = None,
        value: object = None,
    ) -> T:
        """A request whose answer is a value in Kist's own JSON."""
        body = encode(value) if value is not None else None if source is None else _body(source)
        headers = _VALUES if source is None else (*_VALUES, jobs.TAR)
        return decode(self._wire.request(method, path, query, body=body, headers=headers).read(), kind, what="answer")


def _container(name: str | Container) -> str:
    text = name if isinstance(name, str) else name.id
    return "/containers/" + quote(text).replace("/", "%2F")


def _image(name: str | Image) -> str:
    return "/images/" + quote(name if isinstance(name, str) else str(name.id))


def _network(name: str) -> str:
    return "/networks/" + quote(name).replace("/", "%2F")


def _name(container: str | Container) -> str:
    return container if isinstance(container, str) else container.id


def _volume(name: str) -> str:
    return "/volumes/" + quote(name).replace("/", "%2F")


def _filters(filters: Mapping[str, Sequence[str]] | None) -> str | None:
    return encode({name: list(values) for name, values in filters.items()}).decode() if filters else None


def _split(reference: str) -> list[tuple[str, str | int | None]]:
    head, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        head, tag = reference, ""
    return [("repo", head or None), ("tag", tag or None)]


def _exit_code(body: bytes) -> int:
    told = decode(body, dict[str, Any], what="answer")
    if failure := told.get("Error"):
        raise KistError(str(failure.get("Message") or failure))
    return int(told["StatusCode"]) & 0xFF


def _typed(progress: Progress | None) -> Callable[[dict[str, Any]], None]:
    """A listener to plain events that tells ``progress`` of typed ones."""

    def show(event: dict[str, Any]) -> None:
        if progress:
            progress(convert(event, Event, what="event"))  # type: ignore[arg-type]  # a union is no type to mypy

    return show


def _body(source: BinaryIO) -> FileBody | Iterator[bytes]:
    """What is left to read of a file: copied by the kernel where it is a plain one."""
    if isinstance(source, io.FileIO | io.BufferedReader) and source.seekable():
        offset = source.tell()
        size = os.fstat(source.fileno()).st_size
        return FileBody(source.fileno(), offset, max(0, size - offset))
    return iter(lambda: source.read(_COPY), b"")
