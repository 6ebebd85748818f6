"""From a container to the plan of its next run."""

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kist.engine import (
    bundle,
    isolation,
    lifetime,
    logconfig,
    namespaces,
    outside,
    own_disks,
    publishing,
    roots,
    starter,
    userns,
)
from kist.engine.creation import Creation
from kist.engine.handover import hand_over
from kist.engine.health import plan_check
from kist.engine.linking import Linking
from kist.engine.means import Means
from kist.engine.port_paths import PortPaths
from kist.engine.roster import Roster
from kist.engine.starter import Places
from kist.engine.surroundings import borrowed_surroundings, hostname_of, write_surroundings
from kist.engine.volumes import ContainerVolumes
from kist.runtime import plan, planner
from kist.spec.container import Container, ContainerOptions
from kist.spec.image import ContainerConfig
from kist.spec.json import to_builtins
from kist.spec.mount import Mount
from kist.spec.networking import NetworkAttachment
from kist.spec.owner import Owner
from kist.spec.runtime import RuntimeSpec
from kist.spec.volume import VolumeSource
from kist.store import Store


class Planning:
    """Makes plans, of containers that are about to start and of options (``--dry-run``)."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        creation: Creation,
        linking: Linking,
        volumes: ContainerVolumes,
        means: Means,
        port_paths: PortPaths,
        room: str,
    ) -> None:
        self._store = store
        self._means = means
        self._port_paths = port_paths
        self._room = room
        self._roster = roster
        self._creation = creation
        self._linking = linking
        self._volumes = volumes
        self._mounted = creation.mounted

    def hostname(self, container: Container) -> str:
        """The container's name for itself, which may be that of the one whose network it has."""
        return hostname_of(namespaces.network_giver(container, self._roster.get) or container)

    def make(self, container: Container, places: Places, networks: Sequence[NetworkAttachment]) -> plan.Plan:
        """The plan of a container that is about to start; what it finds in its /etc is written.

        Raises:
            KistError: something that it is to have of others or of the host is not there.
        """
        get = self._roster.get
        root = roots.root_mounts(self._store, container)
        volumes = self._volumes.sources(container.options.mounts, container.owner)
        publish, port_rules = self._published(container, networks)
        # By ports a monitor reaches the container, and servers that are asked for may be containers.
        enters = bool(networks) and bool(publish or container.options.networking.dns)
        room = self._room if enters else ""
        giver = namespaces.network_giver(container, get)
        if giver is None:
            linked = self._linking.of(container)
            surroundings = write_surroundings(places, container, networks, root, linked, volumes, inside=bool(room))
        else:
            surroundings = borrowed_surroundings(self._roster.places(giver), giver, root, volumes)
        images = self._mounted.views(container.options.mounts)
        surroundings = msgspec.structs.replace(surroundings, images=images)
        surroundings = isolation.with_shared(container, surroundings, get, self._store.records)
        spec = self._means.fit(bundle.runtime_spec(container, surroundings))
        hand_over(container.options.mounts, spec, volumes, self._means, self._store.root)
        return self._make_plan(
            container, spec, places, connected=bool(networks), publish=publish, port_rules=port_rules, room=room
        )

    def _published(
        self, container: Container, networks: Sequence[NetworkAttachment]
    ) -> tuple[Sequence[dict[str, Any]], dict[str, Any] | None]:
        """What the monitor is to publish, and by which rules."""
        target = self._port_paths.target(networks) if publishing.asked(container) else None
        if target is None:
            return (), None
        publish = publishing.wanted(container, target.address, target.address6, target.host_ip)
        return publish, self._port_paths.rules(target.bridges)

    @contextlib.contextmanager
    def draft(
        self, options: ContainerOptions, owner: Owner | None = None
    ) -> Iterator[tuple[Container, tuple[Mount, ...]]]:
        """The container that these options would make, and its root, which is there within the block; nothing stays."""
        base = self._creation.base(options, owner)
        options = self._creation.limited(options, owner)
        config, argv = bundle.effective_config(options, base.config)
        container = Container("0" * 64, options.name or "NAME", base.image_id, 0, options, config, argv)
        if options.rootfs:
            yield container, (Mount("bind", options.rootfs),)
            return
        with self._store.writing():
            key = f"draft-{secrets.token_hex(8)}"
            size = own_disks.size_of(options, self._store)
            root = self._store.snapshots.prepare(key, self._creation.chain(base), size=size)
            try:
                yield container, root
            finally:
                self._store.snapshots.remove(key)

    def named_volumes(self, options: ContainerOptions) -> tuple[ContainerOptions, dict[str, VolumeSource]]:
        """The options with the mounts of other containers among theirs, and what each volume is."""
        with self._volumes.settled(options, ContainerConfig(), self._roster.get) as settled:
            return settled, self._volumes.sources(settled.mounts)

    def dry_run(self, options: ContainerOptions, owner: Owner | None = None) -> tuple[str, ...]:
        """The operations that a start with these options would do; nothing is made."""
        with self.draft(options, owner) as (drafted, root):
            options = drafted.options
            images = self._mounted.views(self._mounted.settled(options, owner).mounts)
        container = msgspec.structs.replace(drafted, owner=owner)
        volumes = self._volumes.known(options.mounts)
        surroundings = bundle.Surroundings(root, "RESOLV_CONF", "HOSTNAME", "HOSTS", volumes=volumes, images=images)
        surroundings = isolation.with_shared(container, surroundings, self._roster.get)
        spec = self._means.fit(bundle.runtime_spec(container, surroundings))
        connected = bool(options.networking.endpoints)
        publish = publishing.wanted(container, "ADDRESS") if connected else ()
        places = Places("DATA", "RUN", "RUN/root")
        return self._make_plan(container, spec, places, connected=connected, publish=publish).lines()

    def _make_plan(
        self,
        container: Container,
        spec: RuntimeSpec,
        places: Places,
        *,
        connected: bool,
        publish: Sequence[dict[str, Any]],
        port_rules: dict[str, Any] | None = None,
        room: str = "",
    ) -> plan.Plan:
        options = container.options
        caller = userns.caller_of(options)
        passwd = None if caller is None else to_builtins(caller) | {"owner": self._means.owner_of(caller)}
        environment = self._linking.environment(container)
        check = plan_check(container, environment, self.hostname(container), self._means, spec.linux.ids)
        return planner.make_plan(
            container.id,
            spec,
            root_at=places.root,
            limits=to_builtins(spec.linux.resources),
            seccomp=starter.filter_for(spec),
            wait_for_network=connected,
            ends_with_engine=self._means.bound is not None,
            hierarchies=self._means.hierarchies,
            stdin=options.open_stdin,
            stdin_once=options.stdin_once,
            init=options.init,
            log=logconfig.make_log(container),
            passwd=passwd,
            runtime=outside.for_plan(container, spec, places),
            publish=publish,
            port_rules=port_rules,
            room=room,
            life=lifetime.life(container, check),
            own_files=places.data,
        )
