"""The engine's interface: one, with two implementations: ``kist.local`` in process, ``kist.client`` over the socket."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from kist.spec.artifact import Referrer
from kist.spec.build import BootstrapOptions, BuildOptions
from kist.spec.check import Check
from kist.spec.container import Container, ContainerOptions, ExecOptions, LogRecord, RestartPolicy, RunResult
from kist.spec.event import SystemEvent
from kist.spec.files import Change, PathStatus
from kist.spec.image import ContainerConfig
from kist.spec.insight import ImageDifference, ImageTree, Slim, Why
from kist.spec.mount import Mount
from kist.spec.network import Network, NetworkOptions
from kist.spec.networking import Endpoint
from kist.spec.package import ImagePackages
from kist.spec.progress import Event
from kist.spec.prune import CachePruning, Pruning
from kist.spec.resources import Resources
from kist.spec.stats import Sample
from kist.spec.summary import Image, Info, RemovedImage, Version
from kist.spec.usage import ContainerUsage, DiskUsage, Pruned, VolumeUsage
from kist.spec.volume import Volume, VolumeOptions

Progress = Callable[[Event], None]


class EngineInterface(Protocol):
    """Blocking methods, safe from many threads.

    A container or image is named by its name, its id, a unique beginning of its id, or the value itself. Every method
    may raise ``NotFound`` for an unknown name and ``Unavailable`` when the engine or the machine fails it.
    """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def close(self) -> None:
        """Let go of the engine; containers go on."""

    def bootstrap(self, options: BootstrapOptions, *, progress: Progress | None = None) -> Image:
        """Make a base image from a distribution's signed archive."""
        ...

    def build(self, context: str, options: BuildOptions = ..., *, progress: Progress | None = None) -> Image:
        """Build the Dockerfile in the directory ``context``.

        Raises:
            ParseError: the Dockerfile; with line and column.
            StepFailed: a command of it; with its exit code.
        """
        ...

    def images(self) -> tuple[Image, ...]:
        """All images, the newest first."""
        ...

    def image(self, name: str | Image) -> Image:
        """One image."""
        ...

    def tag(self, name: str | Image, reference: str) -> None:
        """Give an image one more name; an image that had it loses it."""

    def remove_image(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """Take a name away, and the image with its last one.

        Raises:
            Conflict: a container uses the image, and not ``force``.
        """
        ...

    def import_image(
        self,
        source: BinaryIO,
        reference: str = "",
        *,
        config: ContainerConfig | None = None,
        message: str = "",
        platform: str = "",
    ) -> Image:
        """Make an image of one layer from a tar of a file system; ``platform`` is this machine's by default."""
        ...

    def load(self, source: BinaryIO, *, platform: str | Sequence[str] = "") -> tuple[Image, ...]:
        """Take in the images of a docker-save or OCI archive.

        Of an image for several platforms the one for this machine is taken, or those for ``platform`` (one or several)
        and no others; the one that runs here has the name then, or else the one for the first of these.

        Raises:
            NotFound: the archive has nothing for one of these.
        """
        ...

    def save(self, names: Sequence[str | Image], target: BinaryIO, *, platform: str | Sequence[str] = "") -> None:
        """Write images as an archive that both Docker and OCI tools read.

        What a name has for several platforms is written as an index; with ``platform`` what it has for these alone.
        """

    def packages(self, name: str | Image) -> ImagePackages:
        """All packages of an image, each with the layer that it came with."""
        ...

    def sbom(self, name: str | Image, form: str = "spdx", *, attach: bool = False) -> bytes:
        """The bill of materials of an image: the same bytes for the same image.

        Args:
            name: of the image.
            form: ``spdx`` (SPDX 2.3) or ``cyclonedx`` (CycloneDX 1.6), both JSON.
            attach: keep it beside the image, as an OCI referrer.
        """
        ...

    def referrers(self, name: str | Image) -> tuple[Referrer, ...]:
        """What is attached to an image."""
        ...

    def referrer(self, name: str | Image, digest: str) -> bytes:
        """What one of these holds; ``digest`` is of its manifest, or the beginning of that."""
        ...

    def remove_referrer(self, name: str | Image, digest: str) -> Referrer:
        """Detach one of these."""
        ...

    def why(self, package: str) -> Why:
        """Which images have a package, by which layer, and which have it from them.

        Args:
            package: ``[TYPE:]NAME[RELATION VERSION[,…]]``, for example ``openssl<3.0.15``.

        Raises:
            ParseError: it is no such text; points at the place.
        """
        ...

    def image_tree(self) -> ImageTree:
        """Which images stand on which, by their layers."""
        ...

    def image_difference(
        self, first: str | Image, second: str | Image, *, packages: bool = True, files: bool = True
    ) -> ImageDifference:
        """What is different between two images, by packages and by files."""
        ...

    def slim(self, name: str | Image, *, most: int = 20) -> Slim:
        """What takes the space in an image; of each list the ``most`` largest."""
        ...

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
            StepFailed: with ``check``, the command ended with a code other than 0.
            CommandNotFound, CommandNotExecutable: it could not run.
        """
        ...

    def create(self, options: ContainerOptions) -> Container:
        """Make a container.

        Raises:
            Conflict: the name is taken.
        """
        ...

    def start(self, name: str | Container) -> None:
        """Start a container; nothing happens when it runs."""

    def stop(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Ask a container to end, and after ``timeout`` seconds make it; it is not started again by its policy.

        Args:
            name: of the container.
            timeout: None for what its options say; -1 for no end.
            signal: that asks; empty for what its options or image say.
        """

    def restart(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Stop a container (see ``stop``) if it runs, and start it."""

    def kill(self, name: str | Container, signal: str | int = "KILL") -> None:
        """Send a signal to a container's first process.

        Raises:
            Conflict: it does not run.
        """

    def wait(self, name: str | Container) -> int:
        """Wait for a container's end; its exit code."""
        ...

    def remove(self, name: str | Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container with all that is its own; ``force`` kills it first, ``volumes`` takes nameless ones too.

        Raises:
            Conflict: it runs, and not ``force``.
        """

    def rename(self, name: str | Container, new: str) -> None:
        """Give a container another name, while it runs too.

        Raises:
            Conflict: the name is taken.
        """

    def stat_path(self, name: str | Container, path: str) -> PathStatus:
        """What is at a path of a container; of a symbolic link, the link.

        Raises:
            NotFound: nothing is there.
        """
        ...

    def get_archive(self, name: str | Container, path: str, target: BinaryIO) -> None:
        """Write the tar of what is at a path of a container; of a directory, with what is below it.

        Its members begin with the path's last component; with ``/.`` at the path's end with ``./``.

        Raises:
            NotFound: nothing is there.
        """

    def put_archive(
        self, name: str | Container, path: str, source: BinaryIO, *, keep_kinds: bool = False, as_user: bool = False
    ) -> None:
        """Unpack a tar, plain or compressed, into a directory of a container.

        Args:
            name: of the container.
            path: the directory, which must be there.
            source: the tar.
            keep_kinds: refuse to put a file where a directory is, or the other way round.
            as_user: all that is made belongs to the container's user rather than to whom the tar says.

        Raises:
            NotFound: there is no such directory.
            InvalidInput: it may not be written to, or the archive is refused.
        """

    def export(self, name: str | Container, target: BinaryIO) -> None:
        """Write the tar of a container's own files, without what is mounted in it."""

    def changes(self, name: str | Container) -> tuple[Change, ...]:
        """What a container has changed of its image's files, sorted by path."""
        ...

    def pause(self, name: str | Container) -> None:
        """Stop all processes of a running container where they are.

        Raises:
            Conflict: it does not run, or is paused already.
        """

    def unpause(self, name: str | Container) -> None:
        """Let the processes of a paused container go on.

        Raises:
            Conflict: it is not paused.
        """

    def update(
        self,
        name: str | Container,
        changes: Resources,
        restart: RestartPolicy | None = None,
        *,
        emptied: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Change a container's limits, at once where it runs, and its restart policy.

        Args:
            name: of the container.
            changes: what is at its default stays as it is.
            restart: None leaves it.
            emptied: those of the lists of block devices (``read_bps``, …) of which nothing is to be left.

        Returns:
            A sentence for each limit that this machine does not keep.

        Raises:
            InvalidInput, Conflict: a value that cannot be right, or that what is set stands against.
        """
        ...

    def top(self, name: str | Container, arguments: str = "") -> tuple[list[str], list[list[str]]]:
        """Titles and rows of a container's processes, as ``ps ARGUMENTS`` shows them on the host (``-ef``)."""
        ...

    def stats(self, name: str | Container, *, follow: bool = False) -> Iterator[Sample]:
        """What a container uses now (or used, when it has ended); with ``follow``, every second."""

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
        """Make an image of a container as it is now.

        Args:
            name: of the container.
            reference: the image's name; empty for none.
            changes: Dockerfile instructions that change the container's config for the image.
            author: for the image's history.
            message: for the image's history.
            pause: stop a running container's processes meanwhile, so that its files are of one moment.

        Raises:
            Conflict: the container's image was removed.
        """
        ...

    def removal(self, name: str | Container, *, force: bool = False) -> ContainerUsage:
        """What ``remove`` would take away; nothing is done. Raises what ``remove`` would raise."""
        ...

    def image_removal(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """What ``remove_image`` would do; nothing is done. Raises what ``remove_image`` would raise."""
        ...

    def disk_usage(self) -> DiskUsage:
        """The space of everything under the data root."""
        ...

    def prune_containers(self, pruning: Pruning = ..., *, dry_run: bool = False) -> Pruned:
        """Remove the containers that do not run and fit; with ``dry_run`` only tell which."""
        ...

    def prune_images(self, pruning: Pruning = ..., *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove the images that no container needs and that have no name; with ``every`` those with one too."""
        ...

    def prune_volumes(self, pruning: Pruning = ..., *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove the volumes that no container has and that nobody named; with ``every`` those with a name too."""
        ...

    def prune_build_cache(self, pruning: CachePruning = ..., *, dry_run: bool = False) -> Pruned:
        """Forget entries of the build cache, the longest unused first."""
        ...

    def create_network(self, options: NetworkOptions) -> Network:
        """Make a network.

        Raises:
            Conflict: its name is taken, or its subnet overlaps a route of the host.
            Forbidden: its subnet overlaps another network's, or every engine has a network of this name.
            InvalidInput, Unsupported: something about it cannot be.
            Unavailable: no subnet is left to choose.
        """
        ...

    def networks(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Network, ...]:
        """All networks, by name; ``filters`` as of ``kist network ls --filter``: ``{"driver": ["bridge"]}``."""
        ...

    def network(self, name: str) -> Network:
        """One network, by its name, its id or a unique beginning of that, with the containers that run on it."""
        ...

    def remove_network(self, name: str) -> None:
        """Remove a network.

        Raises:
            Forbidden: a container runs on it, or every engine has it.
        """

    def connect_network(self, name: str, container: str | Container, endpoint: Endpoint | None = None) -> None:
        """Put a container on a network, while it runs too.

        Raises:
            Forbidden: it is on it already, or has no network of its own.
            InvalidInput, Conflict: it cannot have what ``endpoint`` asks for.
        """

    def disconnect_network(self, name: str, container: str | Container, *, force: bool = False) -> None:
        """Take a container off a network, while it runs too.

        Raises:
            Forbidden: it is not on it, and not ``force``.
        """

    def prune_networks(self, pruning: Pruning = ..., *, dry_run: bool = False) -> Pruned:
        """Remove the networks that no container is to be on, be it a stopped one."""
        ...

    def create_volume(self, options: VolumeOptions) -> Volume:
        """The volume of this name, made when there is none; without a name a new one.

        Raises:
            Conflict: there is one of this name that was made with other options.
            InvalidInput: a name that no volume can have, or an option that cannot be right.
        """
        ...

    def volumes(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Volume, ...]:
        """All volumes, by name; ``filters`` as of ``kist volume ls --filter``: ``{"dangling": ["true"]}``."""
        ...

    def volume(self, name: str) -> Volume:
        """One volume.

        Raises:
            NotFound: there is none of this name.
        """
        ...

    def remove_volume(self, name: str, *, force: bool = False) -> None:
        """Remove a volume with all that is in it; with ``force`` one that is not there is no error.

        Raises:
            Conflict: a container has it, be it a stopped one.
        """

    def export_volume(self, name: str, target: BinaryIO) -> None:
        """Write the tar of what is in a volume: owners as numbers, holes of sparse files left out."""

    def import_volume(self, name: str, source: BinaryIO) -> None:
        """Put what is in a tar, plain or compressed, into a volume, to what is there.

        Raises:
            Conflict: it is in memory, and no container that runs has it.
            InvalidInput, Corrupt: the archive is refused, or damaged; what came before is there.
        """

    def volume_removal(self, name: str) -> VolumeUsage:
        """What ``remove_volume`` would take away; nothing is done. Raises what ``remove_volume`` would raise."""
        ...

    def containers(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002 - the API's own word
        """Running containers, or all, the newest first."""
        ...

    def container(self, name: str | Container) -> Container:
        """One container, with its state as of now."""
        ...

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
        ...

    def exec(self, name: str | Container, options: ExecOptions) -> RunResult:
        """Run a further process in a running container, wait for it, and give its output."""
        ...

    def events(
        self, *, since: int = 0, until: int = 0, filters: Mapping[str, Sequence[str]] | None = None
    ) -> Iterator[SystemEvent]:
        """What happens in the engine; waits for the next event.

        Args:
            since: nanoseconds since the epoch; what happened from then on comes first. 0 for now.
            until: the end, likewise; 0 for none.
            filters: names and values as of ``kist events --filter``: ``{"type": ["container"], "event": ["die"]}``.

        Raises:
            InvalidInput: there is no such filter, or not this value of it.
        """
        ...

    def version(self) -> Version:
        """Versions of the engine and what it stands on."""
        ...

    def check(self, *, repair: bool = False, verify: bool = False) -> Check:
        """Look for what is not as it should be; with ``repair`` mend what can be mended safely.

        Args:
            repair: mend.
            verify: read every blob and compare it with its digest.
        """
        ...

    def reload_networks(self, containers: Sequence[str] = ()) -> tuple[str, ...]:
        """Make again what a firewall's reload has taken away: the packet rules of networks and published ports.

        Args:
            containers: whose; none for all that run.

        Returns:
            The names of the containers whose rules are in place now.

        Raises:
            NotFound, Conflict: there is no such container, or it does not run.
        """
        ...

    def info(self) -> Info:
        """The machine and the store."""
        ...
