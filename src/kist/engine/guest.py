"""Root's engine as a guest sees it: what the guest owns, and nothing of anybody else's.

A guest is a caller who has reached the engine's socket and is not its own user. What it makes is marked as its own, and
what it asks for is judged (``kist.engine.policy``) before the engine hears of it.
"""

import grp
import os
import pwd
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import BinaryIO

import msgspec

from kist.engine import logconfig, steps, top
from kist.engine.engine import Engine
from kist.engine.execs import Starting
from kist.engine.images import Images, Removal, Tell
from kist.engine.policy.judgement import Guest, judge, judge_network, judge_resources, judge_volume
from kist.engine.policy.peers import Peer
from kist.engine.policy.rights import Who
from kist.engine.step_mounts import NO_MOUNTS, StepMounts, Terminal
from kist.engine.step_series import StepSeries
from kist.engine.stop import Stop
from kist.errors import Forbidden, NotFound
from kist.spec.build import STEP_HOSTNAME, USUAL_STEPS, BootstrapOptions, BuildOptions, StepOptions
from kist.spec.container import Container, ContainerOptions, ExecOptions, LogConfig, RestartPolicy
from kist.spec.image import ContainerConfig
from kist.spec.mount import Mount
from kist.spec.network import Network, NetworkOptions
from kist.spec.networking import Endpoint
from kist.spec.owner import Owner
from kist.spec.patterns import check_quick
from kist.spec.reference import Reference
from kist.spec.resources import Resources
from kist.spec.summary import Image, LoadedImage
from kist.spec.usage import VolumeUsage
from kist.spec.volume import Volume, VolumeOptions

_LIKE_AN_ID = re.compile(r"/?[0-9a-f]+")


def admit(engine: Engine, peer: Peer) -> Engine:
    """The engine as a caller gets it who is not its own user.

    Raises:
        Forbidden: this engine has no guests, nobody knows the caller, or the policy cannot be read.
    """
    if not engine.means.root:
        raise Forbidden("this engine serves the user who started it alone", hint="start one of your own: leave -H out")
    who = _known(peer)
    rights = engine.policy.read().rights(who)
    if rights.trusted:
        return engine
    owner = msgspec.structs.replace(who.owner, granted=rights.granted, closed=rights.closed)
    return GuestEngine(engine, Guest(owner, rights))


def _known(peer: Peer) -> Who:
    """Who a caller is in the user database.

    Somebody may take on ids that are nobody's (subordinate ones) and keep a group: rules for users would not hold them.
    """
    try:
        entry = pwd.getpwuid(peer.uid)
    except KeyError:
        raise Forbidden(
            f"nobody knows who calls: there is no user {peer.uid}",
            hint="call as yourself: not from a user namespace, and not from a container",
        ) from None
    owner = Owner(peer.uid, peer.gid, peer.groups, entry.pw_name)
    listed = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Who(owner, _names((peer.gid, *peer.groups)), _names(listed))


def _names(groups: Sequence[int]) -> frozenset[str]:
    return frozenset(name for group in groups if (name := _name(group)))


def _name(group: int) -> str:
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return ""


def _check_name(name: str) -> None:
    """Refuse what somebody could type who means the beginning of an id of another container.

    Raises:
        Forbidden: it is one.
    """
    if _LIKE_AN_ID.fullmatch(name):
        raise Forbidden(f"the name {name} could be meant as the beginning of an id", hint="choose another name")


class GuestEngine(Engine):
    """A view of an engine. What it does not override is no way to others' things, or not a guest's to ask for.

    (``kist.api.access`` says of each route which it is.)
    """

    def __init__(self, engine: Engine, guest: Guest) -> None:
        self.__dict__.update(engine.__dict__)
        self._guest = guest
        self.catalogue = GuestImages(engine.catalogue, guest)

    # containers

    def container(self, name: str | Container) -> Container:
        """One of the guest's containers.

        Raises:
            Forbidden: it is somebody else's.
        """
        found = super().container(name)
        if found.owner is None or found.owner.uid != self._guest.owner.uid:
            raise self._guest.rights.refuse(f"the container {found.name}", "it is somebody else's")
        return found

    def containers(self, *, all: bool = False) -> tuple[Container, ...]:  # noqa: A002 - the API's own word
        """The guest's containers."""
        uid = self._guest.owner.uid
        return tuple(each for each in super().containers(all=all) if each.owner is not None and each.owner.uid == uid)

    def inside(self, name: str | Container) -> Container:
        """One whose files and processes may be looked into: any of the guest's."""
        return self.container(name)

    def create(self, options: ContainerOptions) -> Container:
        """Make a container of the guest's."""
        return self._containers.create(self._judged(options), self._guest.owner)

    def plan(self, options: ContainerOptions) -> tuple[str, ...]:
        """What a start of such a container would do."""
        return self._containers.dry_run(self._judged(options), self._guest.owner)

    def warnings(self, options: ContainerOptions) -> tuple[str, ...]:
        """What of these options is left out, or had in another way than by the engine's own user."""
        return self._warnings(options, self._guest.owner)

    def rename(self, name: str | Container, new: str) -> None:
        """Give a container of the guest's another name."""
        _check_name(new)
        super().rename(self.container(name), new)

    def _judged(self, options: ContainerOptions) -> ContainerOptions:
        self._guest.rights.check("everything", "a container")
        _check_name(options.name)
        log = options.log
        for name in ("labels-regex", "env-regex"):
            check_quick(log.options.get(name, ""), f"--log-opt {name}")
        if log.driver or log.options:
            log = logconfig.with_default(log, self.settings.log)
        judged = judge(msgspec.structs.replace(options, log=log), self._guest, self.inside, self._own_networks())
        return msgspec.structs.replace(judged, log=options.log)

    def ensure_started(self, name: str | Container) -> bool:
        """Start a container of the guest's, with the rights that the guest has now."""
        container = self._judged_again(name)
        if container.owner != self._guest.owner:
            with self._containers.alone(container):
                kept = self.store.records.container(container.id)
                self.store.records.replace_container(msgspec.structs.replace(kept, owner=self._guest.owner))
        return super().ensure_started(container)

    def _judged_again(self, name: str | Container) -> Container:
        """A container that the guest still may have; whose volumes it has, and where its output goes, is settled."""
        container = self.container(name)
        settled = msgspec.structs.replace(container.options, volumes_from=(), log=LogConfig())
        judge(settled, self._guest, self.container, self._own_networks())
        return container

    def _own_networks(self) -> frozenset[str]:
        """The names and ids of the guest's networks."""
        found = self._network_keeping.list({}, self._guest.owner.uid)
        return frozenset(name for each in found if not each.predefined for name in (each.name, each.id))

    def restart(self, name: str | Container, *, timeout: int | None = None, signal: str | int = "") -> None:
        """Stop a container of the guest's if it runs, and start it."""
        container = self._judged_again(name)
        super().restart(container, timeout=timeout, signal=signal)

    def update(
        self,
        name: str | Container,
        changes: Resources,
        restart: RestartPolicy | None = None,
        *,
        emptied: Collection[str] = (),
    ) -> tuple[str, ...]:
        """Change limits and the restart policy of a container of the guest's."""
        judge_resources(changes, self._guest)
        return super().update(self.container(name), changes, restart, emptied=emptied)

    def top(self, name: str | Container, arguments: str = "") -> tuple[list[str], list[list[str]]]:
        """Its processes, in columns that take no program of the host's."""
        if arguments and top.columns_of(arguments) is None:
            raise self._guest.rights.refuse(f"ps {arguments}", "root would run ps with these words")
        return super().top(self.container(name), arguments)

    def exec_create(self, name: str | Container, options: ExecOptions) -> str:
        """Note a further process in a container of the guest's."""
        if options.privileged:
            raise self._guest.rights.refuse("exec --privileged", "a guest's processes have no more than the usual")
        return super().exec_create(self.container(name), options)

    def exec_start(self, identifier: str, detach: bool) -> Starting | None:
        """Start a noted process; one that somebody else has noted may have more than the guest."""
        if self.exec_options(identifier).privileged:
            raise self._guest.rights.refuse("exec --privileged", "a guest's processes have no more than the usual")
        return super().exec_start(identifier, detach)

    def exec_run(self, name: str | Container, options: ExecOptions, made: Callable[[str], None]) -> Starting:
        """Note a further process in a container of the guest's, and start it."""
        if options.privileged:
            raise self._guest.rights.refuse("exec --privileged", "a guest's processes have no more than the usual")
        return super().exec_run(self.container(name), options, made)

    # networks

    def create_network(self, options: NetworkOptions) -> Network:
        """Make a network of the guest's."""
        self._guest.rights.check("network", "a network")
        judge_network(options, self._guest)
        return self._network_keeping.create(options, self._guest.owner.uid)

    def networks(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Network, ...]:
        """Those of the guest's networks, and of everybody's, that pass the filters."""
        wanted = {name: tuple(values) for name, values in (filters or {}).items()}
        return self._network_keeping.list(wanted, self._guest.owner.uid)

    def network(self, name: str) -> Network:
        """One of these, with the guest's containers that run on it.

        Raises:
            Forbidden: it is somebody else's.
        """
        found = self._network_keeping.get(name, self._guest.owner.uid)
        if not found.predefined and found.owner != self._guest.owner.uid:
            raise self._guest.rights.refuse(f"the network {name}", "it is somebody else's")
        return found

    def remove_network(self, name: str) -> None:
        """Remove one of the guest's networks."""
        super().remove_network(self.network(name).id)

    def connect_network(self, name: str, container: str | Container, endpoint: Endpoint | None = None) -> None:
        """Put a container of the guest's on a network of the guest's, or on everybody's."""
        self._guest.rights.check("network", "a network")
        wanted = endpoint or Endpoint(name)
        if wanted.links:
            raise self._guest.rights.refuse("--link", "a link shows the other container's environment")
        super().connect_network(self.network(name).id, self.container(container), wanted)

    def disconnect_network(self, name: str, container: str | Container, *, force: bool = False) -> None:
        """Take a container of the guest's off a network; one that it was on may be somebody else's by now."""
        found = self.container(container)
        on = {each.network for each in found.options.networking.endpoints}
        super().disconnect_network(name if name in on else self.network(name).id, found, force=force)

    # volumes

    def create_volume(self, options: VolumeOptions) -> Volume:
        """The guest's volume of this name, made when there is none."""
        self._guest.rights.check("volume", "a volume")
        judge_volume(options, self._guest)
        return self._volumes.create(options, self._guest.owner.uid)

    def volumes(self, filters: Mapping[str, Sequence[str]] | None = None) -> tuple[Volume, ...]:
        """The guest's volumes that pass the filters."""
        return self._volumes.list(
            {name: tuple(values) for name, values in (filters or {}).items()}, self._guest.owner.uid
        )

    def volume(self, name: str) -> Volume:
        """One of the guest's volumes.

        Raises:
            Forbidden: it is somebody else's.
        """
        found = super().volume(name)
        if found.owner != self._guest.owner.uid:
            raise self._guest.rights.refuse(f"the volume {name}", "it is somebody else's")
        return found

    def remove_volume(self, name: str, *, force: bool = False) -> None:
        """Remove one of the guest's volumes."""
        try:
            self.volume(name)
        except NotFound:
            if not force:
                raise
            return
        # It may be another one of this name by the time when it goes.
        self._volumes.remove(name, force=force, owner=self._guest.owner.uid)

    def import_volume(self, name: str, source: BinaryIO, *, theirs: bool = True) -> None:
        """Put what is in a tar into one of the guest's volumes, as its own root could."""
        del theirs
        super().import_volume(name, source, theirs=True)

    def volume_removal(self, name: str) -> VolumeUsage:
        """What that would take away."""
        return super().volume_removal(self.volume(name).name)

    # images

    def import_image(
        self,
        source: BinaryIO,
        reference: str = "",
        *,
        config: ContainerConfig | None = None,
        message: str = "",
        platform: str = "",
    ) -> Image:
        """Make an image of the guest's from a tar of a file system."""
        self._guest.rights.check("load", "import")
        return super().import_image(source, reference, config=config, message=message, platform=platform)

    def load_named(
        self, source: BinaryIO, *, platform: str | Sequence[str] = "", tell: Tell | None = None
    ) -> tuple[LoadedImage, ...]:
        """Take in the images of an archive."""
        self._guest.rights.check("load", "load")
        return super().load_named(source, platform=platform, tell=tell)

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
        """Make an image of a container of the guest's."""
        self._guest.rights.check("commit", "commit")
        container = self.container(name)
        return super().commit_config(container, reference, config=config, author=author, message=message, pause=pause)

    def settle_steps(self, options: StepOptions) -> tuple[StepOptions, tuple[str, ...]]:
        """What commands of a guest's build can have; who has no networks has none of the usual one either."""
        return self._steps.settle(self._judged_steps(options), self._guest.owner)

    def _judged_steps(self, options: StepOptions) -> StepOptions:
        if "network" in self._guest.rights.denied and options.network == "bridge":
            options = msgspec.structs.replace(options, network="none")
        judge(steps.as_container(options), self._guest, self.container, self._own_networks())
        return options

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
        """Run a command of a build or a bootstrap, with ids of its own."""
        return self._steps.run(
            snapshot,
            argv,
            config=config,
            options=self._judged_steps(options),
            mounts=mounts,
            given=given,
            output=output,
            hostname=hostname,
            identifier=identifier,
            stop=stop,
            terminal=terminal,
            series=series,
            owner=self._guest.owner,
        )


class GuestImages(Images):
    """The images, of which all are shown to a guest; what it makes and names is its own, and only that it removes."""

    may_fetch = False

    def __init__(self, images: Images, guest: Guest) -> None:
        self.__dict__.update(images.__dict__)
        self.scope = f"{guest.owner.uid}/"
        self._guest = guest
        self._owner = guest.owner.uid

    def check(self, options: BuildOptions | BootstrapOptions) -> None:
        """Refuse what the policy denies, and what would end with a name of somebody else's.

        A guest does not say either where the engine fetches from, which may reach what the guest may not.
        """
        is_build = isinstance(options, BuildOptions)
        self._guest.rights.check(word := "build" if is_build else "bootstrap", word)
        for option in () if is_build else ("mirror", "keyring"):
            if getattr(options, option):
                raise self._guest.rights.refuse(f"--{option}", "the engine fetches from the machine's own mirrors")
        for name in options.references if isinstance(options, BuildOptions) else ():
            self._records.check_name(name, self._owner)  # before its steps have run for nothing

    def check_own(self, image: Image) -> None:
        """Refuse to have something attached to what others made, or taken from it."""
        if self._records.image_owner(image.id) != self._owner:
            raise self._guest.rights.refuse(f"the image {image.id.short}", "somebody else made it")

    def tag(self, name: str | Image, reference: str) -> None:
        """Give an image a further name of the guest's."""
        self._guest.rights.check("everything", "tag")
        super().tag(name, reference)

    def _removal(self, name: str | Image, *, force: bool, running: Callable[[str], bool] | None) -> Removal:
        """As for everybody, but that names of others stay, and images that others made or use."""
        del force  # others may have made containers of it
        found = super()._removal(name, force=False, running=running)
        image, taken, users = found
        for reference in [taken] if taken else image.references:
            if self._records.name_owner(reference) != self._owner:
                raise self._guest.rights.refuse(f"the name {Reference.parse(reference).familiar}", "another gave it")
        if taken or self._records.image_owner(image.id) == self._owner:
            return found
        if len(image.references) == 1:
            return Removal(image, image.references[0], users)
        raise self._guest.rights.refuse(f"the image {image.id.short}", "somebody else made it")
