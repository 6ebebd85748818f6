"""``kist.spec.interface.EngineInterface`` over the engine's socket."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from kist.client import jobs
from kist.client.caller import VALUES, Query, body_of
from kist.client.http1 import quote
from kist.client.image_client import ImageClient, split_reference
from kist.client.output import communicate, framed_records, raw_records
from kist.errors import KistError, NotFound
from kist.spec import networking
from kist.spec.check import Check
from kist.spec.container import Container, ContainerOptions, ExecOptions, LogRecord, RestartPolicy, RunResult
from kist.spec.docker import networks, volumes
from kist.spec.docker.archive import read_path_status
from kist.spec.docker.create import write_create
from kist.spec.docker.execs import write_exec
from kist.spec.docker.frames import RAW_STREAM
from kist.spec.docker.prune import write_cache_pruning, write_pruning
from kist.spec.docker.resources import write_update
from kist.spec.docker.times import write_moment
from kist.spec.event import SystemEvent
from kist.spec.files import Change, PathStatus
from kist.spec.json import convert, decode, encode
from kist.spec.mount import Mount
from kist.spec.network import Network, NetworkOptions
from kist.spec.prune import EVERYTHING, UNUSED_CACHE, CachePruning, Pruning
from kist.spec.resources import Resources
from kist.spec.running import failed_run, run_options
from kist.spec.stats import Sample
from kist.spec.summary import Image, Info, Version
from kist.spec.usage import ContainerUsage, DiskUsage, Pruned, VolumeUsage
from kist.spec.volume import Volume, VolumeOptions


class Client(ImageClient):
    """The engine at an endpoint, which is started by the first request when it is Kist's own and does not run.

    Blocking, and safe from many threads. Errors are those of the engine: ``kist.errors``.

    Args:
        endpoint: of the engine.
        connecting: makes connections to it.
    """

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
        query: Query = [("path", path), ("noOverwriteDirNonDir", int(keep_kinds)), ("copyUIDGID", int(as_user))]
        self._wire.request(
            "PUT", f"{_container(name)}/archive", query, body=body_of(source), headers=(jobs.TAR,)
        ).read()

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
        response = self._wire.request("GET", f"{_container(name)}/stats", query, headers=VALUES)
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
        query += [
            *split_reference(reference),
            ("author", author or None),
            ("comment", message or None),
            ("pause", int(pause)),
        ]
        query += [("changes", change) for change in changes]
        return self._values("POST", "/commit", Image, query)

    def removal(self, name: str | Container, *, force: bool = False) -> ContainerUsage:
        """What ``remove`` would take away; nothing is done."""
        query: Query = [("dry-run", 1), ("force", int(force))]
        return self._values("DELETE", _container(name), ContainerUsage, query)

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
        self._wire.request("POST", f"/kist{_volume(name)}/import", body=body_of(source), headers=(jobs.TAR,)).read()

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
        response = self._wire.request("GET", "/events", query, headers=VALUES)
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


def _container(name: str | Container) -> str:
    text = name if isinstance(name, str) else name.id
    return "/containers/" + quote(text).replace("/", "%2F")


def _network(name: str) -> str:
    return "/networks/" + quote(name).replace("/", "%2F")


def _name(container: str | Container) -> str:
    return container if isinstance(container, str) else container.id


def _volume(name: str) -> str:
    return "/volumes/" + quote(name).replace("/", "%2F")


def _filters(filters: Mapping[str, Sequence[str]] | None) -> str | None:
    return encode({name: list(values) for name, values in filters.items()}).decode() if filters else None


def _exit_code(body: bytes) -> int:
    told = decode(body, dict[str, Any], what="answer")
    if failure := told.get("Error"):
        raise KistError(str(failure.get("Message") or failure))
    return int(told["StatusCode"]) & 0xFF
