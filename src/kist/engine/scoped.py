"""The engine as it is seen by a socket with a role: what its labels bound in, and nothing of anything else.

An operator with labels is a guest (``kist.engine.guest``) whose things are those with its labels; who only sees, or has
no labels, is one who makes nothing. What is not bounded in is not there: it is refused in the words for what does not
exist.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from kist.engine import describing
from kist.engine.engine import Engine
from kist.engine.events import SomeEvents
from kist.engine.execs import Starting
from kist.engine.guest import GuestEngine, GuestImages
from kist.engine.images import Images
from kist.engine.policy import showing
from kist.engine.policy.judgement import Guest, judge
from kist.engine.policy.role_bounds import RoleBounds
from kist.errors import Conflict, InvalidInput, KistError, NotFound
from kist.spec.container import Container, ContainerOptions, ExecOptions, ExecState, LogConfig
from kist.spec.event import SystemEvent
from kist.spec.image import ContainerConfig
from kist.spec.network import Network, NetworkOptions
from kist.spec.owner import labels_of
from kist.spec.prune import EVERYTHING, Pruning
from kist.spec.scope import Scope
from kist.spec.summary import Image, Info
from kist.spec.usage import DiskUsage, Pruned
from kist.spec.volume import Volume, VolumeOptions


class ScopedEngine(GuestEngine):
    """A view of an engine; which routes lead to it, and for whom, is in ``kist.api.needs``.

    Args:
        engine: the whole.
        scope: the socket's.
    """

    def __init__(self, engine: Engine, scope: Scope) -> None:
        super().__init__(engine, Guest(scope.owner, RoleBounds(scope)))
        self._scope = scope
        if scope.labels:
            self.event_log = SomeEvents(engine.event_log, self._hears)
        self.catalogue: ScopedImages = ScopedImages(engine.catalogue, self._guest, self)

    @property
    def scope(self) -> Scope:
        """What bounds it."""
        return self._scope

    # containers

    def owns(self, container: Container) -> bool:
        """Whether a container is bounded in, by the labels that it was made with; those of images count for nothing.

        Of others' containers with the same labels, those of the engine's own user are an operator's to manage: guests
        and other sockets plant nothing here.
        """
        if not self._scope.covers(container.options.labels):
            return False
        owner = container.owner
        return not self._scope.makes or owner is None or owner.uid == self._guest.owner.uid

    def container(self, name: str | Container) -> Container:
        """A container that is bounded in.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        return self._shown(self._found(name.id if isinstance(name, Container) else name))

    def _shown(self, found: Container) -> Container:
        return found if self._scope.makes else showing.container(found)

    def _found(self, name: str) -> Container:
        try:
            found = Engine.container(self, name)
            if self.owns(found):
                return found
        except (InvalidInput, NotFound):
            pass  # several ids begin so, and one may be the only one here; or the hint has a name of somebody else's
        own = [each for each in Engine.containers(self, all=True) if self.owns(each)]
        bare = name.removeprefix("/")
        named = [each for each in own if each.name == bare]
        named = named or [each for each in own if bare and each.id.startswith(bare)]
        if len(named) > 1:
            raise InvalidInput(f"Multiple IDs found with provided prefix: {name}", hint="write more digits of the id")
        if not named:
            raise NotFound(f"No such container: {name}", hint="`kist ps -a` lists the containers")
        return named[0]

    def containers(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002 - the API's own word
        """The containers that are bounded in."""
        return tuple(self._shown(each) for each in Engine.containers(self, all=all) if self.owns(each))

    def inside(self, name: str | Container) -> Container:
        """A container that may be looked into, and run commands in: one that this socket could have made.

        What the engine's own user has made with the socket's labels may have more of the host, and of others.

        Raises:
            Forbidden: it has.
        """
        found = self.container(name)
        if found.owner is None:
            settled = replace(found.options, volumes_from=(), log=LogConfig())
            judge(settled, self._guest, self.container, self._own_networks())
            for mount in settled.mounts:
                if mount.type == "volume":
                    self.volume(mount.source)
        return found

    def create(self, options: ContainerOptions) -> Container:
        """Make a container, with the socket's labels."""
        with _unnamed():
            return super().create(self._labelled(options))

    def _labelled(self, options: ContainerOptions) -> ContainerOptions:
        return replace(options, labels=options.labels | labels_of(self._guest.owner))

    def rename(self, name: str | Container, new: str) -> None:
        """Give a container another name."""
        with _unnamed():
            super().rename(name, new)

    def ensure_started(self, name: str | Container) -> bool:
        """Start a container: what it is was settled when it was made."""
        return Engine.ensure_started(self, self.container(name).id)

    def restart(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Stop a container if it runs, and start it."""
        Engine.restart(self, self.container(name).id, timeout=timeout, signal=signal)

    def exec_create(self, name: str | Container, options: ExecOptions) -> str:
        """Note a further process in a container that may be looked into."""
        return super().exec_create(self.inside(name), options)

    def exec_run(self, name: str | Container, options: ExecOptions, made: Callable[[str], None]) -> Starting:
        """Note a further process in a container that may be looked into, and start it."""
        return super().exec_run(self.inside(name), options, made)

    def exec_inspect(self, identifier: str) -> ExecState:
        """What became of a process."""
        found = super().exec_inspect(identifier)
        return found if self._scope.makes else showing.process(found)

    def exec_ended(self, identifier: str) -> ExecState | None:
        """The same of one that has ended, where that is known at once."""
        found = super().exec_ended(identifier)
        return found if found is None or self._scope.makes else showing.process(found)

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
        """Make an image of a container that may be looked into."""
        found = self.inside(name)
        return super().commit_config(found, reference, config=config, author=author, message=message, pause=pause)

    def _hears(self, event: SystemEvent) -> bool:
        """Whether an event is of something that is bounded in: by whose it was, and its own labels."""
        if event.owner == self._guest.owner.uid:
            return True
        return self._scope.covers(event.labels) and (not self._scope.makes or not event.owner)

    # networks

    def create_network(self, options: NetworkOptions) -> Network:
        """Make a network, with the socket's labels."""
        return super().create_network(replace(options, labels=options.labels | labels_of(self._guest.owner)))

    def networks(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Network, ...]:
        """Those that are bounded in, and those that every engine has."""
        if self._scope.makes:
            return super().networks(filters)
        found = Engine.networks(self, filters)
        return tuple(each for each in found if each.predefined or self._scope.covers(each.labels))

    def network(self, name: str) -> Network:
        """One of these, with the containers on it that are bounded in.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        own = {each.id for each in self.networks()}
        found: Network | None
        try:
            found = Engine.network(self, name)
        except InvalidInput:
            found = None  # several ids begin so
        if found is None or found.id not in own:
            beginning = [identity for identity in own if name and identity.startswith(name)]
            if len(beginning) != 1:
                raise NotFound(f"network {name} not found", hint="`kist network ls` lists the networks")
            found = Engine.network(self, beginning[0])
        here = {each.id for each in self.containers(all=True)} if found.members else set()
        return replace(found, members=tuple(each for each in found.members if each.container in here))

    def disconnect_network(self, name: str, container: str | Container, *, force: bool = False) -> None:
        """Take a container off a network of the socket's, or off everybody's."""
        Engine.disconnect_network(self, self.network(name).id, self.container(container), force=force)

    # volumes

    def create_volume(self, options: VolumeOptions) -> Volume:
        """The socket's volume of this name, made with its labels when there is none."""
        return super().create_volume(replace(options, labels=options.labels | labels_of(self._guest.owner)))

    def volumes(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Volume, ...]:
        """The volumes that are bounded in."""
        if self._scope.makes:
            return super().volumes(filters)
        return tuple(showing.volume(each) for each in Engine.volumes(self, filters) if self._scope.covers(each.labels))

    def volume(self, name: str) -> Volume:
        """One of these.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        found = Engine.volume(self, name)
        own = found.owner == self._guest.owner.uid if self._scope.makes else self._scope.covers(found.labels)
        if not own:
            raise NotFound(f"get {name}: no such volume", hint="`kist volume ls` lists what there is")
        return found if self._scope.makes else showing.volume(found)

    # the engine

    def info(self) -> Info:
        """The machine and the store; of containers and images those that are bounded in are counted."""
        return describing.info(self, self.containers(all=True))

    def disk_usage(self) -> DiskUsage:
        """The space of what is bounded in; of images that of their own layers, for the rest is others' too."""
        found = Engine.disk_usage(self)
        own = (each for each in found.containers if self.owns(each.container))
        containers = tuple(replace(each, container=self._shown(each.container)) for each in own)
        users = Counter(each.container.image_id for each in containers)
        shown = {each.id: each for each in self.images()}
        images = tuple(
            replace(each, image=shown[each.image.id], containers=users[each.image.id])
            for each in found.images
            if each.image.id in shown
        )
        known = {each.name: each for each in self.volumes()}
        volumes = tuple(replace(e, volume=known[e.volume.name]) for e in found.volumes if e.volume.name in known)
        told = replace(found, images=images, containers=containers, volumes=volumes)
        if not self._scope.labels:
            return told
        return replace(
            told,
            images_size=sum(each.disk - each.disk_shared for each in images),
            images_reclaimable=sum(each.disk - each.disk_shared for each in images if not each.containers),
            containers_size=sum(each.disk for each in containers),
            cache=(),
            cache_size=0,
            others=(),
        )

    def prune_containers(self, pruning: Pruning = EVERYTHING, *, dry_run: bool = False) -> Pruned:
        """Remove those containers that do not run and fit."""
        return self._prune.containers(pruning, dry_run=dry_run, among=self.owns)

    def prune_images(self, pruning: Pruning = EVERYTHING, *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove those images that were made through such a socket, that nobody else has named and nobody needs."""
        return self._prune.images(pruning, every=every, dry_run=dry_run, among=self.catalogue.made_here)

    def prune_volumes(self, pruning: Pruning = EVERYTHING, *, every: bool = False, dry_run: bool = False) -> Pruned:
        """Remove those volumes that no container has."""
        number = self._guest.owner.uid
        return self._prune.volumes(pruning, every=every, dry_run=dry_run, among=lambda each: each.owner == number)

    def prune_networks(self, pruning: Pruning = EVERYTHING, *, dry_run: bool = False) -> Pruned:
        """Remove those networks that no container is to be on."""
        number = self._guest.owner.uid
        return self._network_keeping.prune(pruning, dry_run=dry_run, among=lambda each: each.owner == number)


@contextmanager
def _unnamed() -> Iterator[None]:
    """That a name is taken is told, and not by whom."""
    try:
        yield
    except Conflict as error:
        taken, by, _ = error.message.partition(" by container ")
        if not by:
            raise
        raise Conflict(f"{taken}.", hint="choose another name") from None


class ScopedImages(GuestImages):
    """The images: all of them to an operator with labels, as to a guest; else those of the containers in sight.

    Args:
        images: all.
        guest: whose those are that are made here.
        engine: whose containers are in sight.
    """

    def __init__(self, images: Images, guest: Guest, engine: ScopedEngine) -> None:
        super().__init__(images, guest)
        self._engine = engine

    def get(self, name: str | Image) -> Image:
        """The image of this name.

        Raises:
            NotFound: there is none, or it is not in sight.
        """
        scope = self._engine.scope
        if scope.makes:
            return super().get(name)
        found: Image | None
        try:
            found = super().get(name)
        except KistError:
            found = None  # its hint has names of others
        if found is None or not (not scope.labels or found.id in self._in_sight()):
            text = name.id if isinstance(name, Image) else name
            raise NotFound(
                f"No such image: {text if ':' in text else f'{text}:latest'}", hint="`kist images` lists them"
            )
        return showing.image(found)

    def list(self) -> tuple[Image, ...]:
        """Those in sight, the newest first."""
        scope = self._engine.scope
        if scope.makes:
            return super().list()
        found = super().list()
        if scope.labels:
            sight = self._in_sight()
            found = tuple(each for each in found if each.id in sight)
        return tuple(map(showing.image, found))

    def made_here(self, image: Image) -> bool:
        """Whether an image, and every name of it, is of such a socket."""
        names = (self._records.name_owner(reference) for reference in image.references)
        return all(owner == self._owner for owner in (self._records.image_owner(image.id), *names))

    def _in_sight(self) -> set[str]:
        """The ids of the images of the containers in sight, and of what was made by sockets with the same labels."""
        used = {str(each.image_id) for each in self._engine.containers(all=True)}
        own = (each.id for each in super().list() if self._records.image_owner(each.id) == self._owner)
        return used.union(own)
