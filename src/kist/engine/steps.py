"""Build steps: a command in a container that nobody sees, on a snapshot that somebody else owns."""

import secrets
import socket
from collections.abc import Callable, Sequence

from msgspec import structs

from kist.engine import bundle, isolation, mountpoints, network_options, roots, starter
from kist.engine.frames import read_frames
from kist.engine.means import Means
from kist.engine.networks import Networks
from kist.engine.starter import Places, Starter
from kist.engine.surroundings import write_surroundings
from kist.errors import NotFound, Unavailable
from kist.runtime import messages, planner
from kist.runtime.launch import Attachment
from kist.spec.container import Container, ContainerOptions, Namespaces, NetworkMode
from kist.spec.image import ContainerConfig
from kist.spec.json import to_builtins
from kist.spec.mount import Mount
from kist.spec.owner import Owner
from kist.spec.volume import VolumeSource
from kist.store import Store, directories


class Steps:
    """Runs commands on active snapshots."""

    def __init__(self, store: Store, start: Starter, connected: Networks, run_root: str, means: Means) -> None:
        self._store = store
        self._starter = start
        self._networks = connected
        self._run_root = run_root
        self._means = means

    def run(
        self,
        snapshot: str,
        argv: Sequence[str],
        *,
        config: ContainerConfig,
        network: NetworkMode = "bridge",
        mounts: Sequence[Mount] = (),
        output: Callable[[str, bytes], None],
        hostname: str = "kist-build",
        owner: Owner | None = None,
    ) -> int:
        """Run ``argv`` and give its exit code; nothing of it remains but the snapshot's changes.

        Args:
            snapshot: the key of an active snapshot; its root file system is written to.
            argv: the command.
            config: environment, user and working directory.
            network: as for containers.
            mounts: further mounts.
            output: called with ``stdout`` or ``stderr`` and bytes; what it raises ends the command and is raised again.
            hostname: the name that the command sees.
            owner: whose command it is; one that is not the engine's user's has ids of its own, as containers have.
        """
        identifier = secrets.token_hex(32)
        directory = f"{self._run_root}/containers/{identifier}"
        with self._store.temporary() as data:
            places = Places(data, directory, f"{self._run_root}/root")
            places.make()
            try:
                options = ContainerOptions(
                    image="",
                    network=network,
                    mounts=tuple(mounts),
                    hostname=hostname,
                    namespaces=Namespaces(user="" if owner is None else "auto"),
                )
                env = bundle.merge_env((bundle.DEFAULT_PATH,), config.env or ())
                config = ContainerConfig(user=config.user, env=env, working_dir=config.working_dir)
                step = Container(
                    identifier,
                    "",
                    roots.NO_IMAGE,
                    0,
                    self._means.fit_options(network_options.settle(options, self._networks.catalogue, owner)),
                    config,
                    tuple(argv),
                    owner=owner,
                )
                return self._run(step, places, snapshot, output)
            finally:
                self._store.records.release_ids(identifier)
                self._networks.release(identifier)
                directories.remove_tree(directory)

    def _run(self, container: Container, places: Places, snapshot: str, output: Callable[[str, bytes], None]) -> int:
        identifier = container.id
        root = self._store.snapshots.mounts(snapshot)
        with mountpoints.borrowed(root):
            networks = self._networks.lease(container, container.options.networking.endpoints)
            over = roots.over_mountpoints(self._store, snapshot, root)
            surroundings = write_surroundings(places, container, networks, over)
            if container.owner is not None:
                container, surroundings = _with_own_mounts(container, surroundings)
                surroundings = isolation.with_shared(container, surroundings, _nobody, self._store.records)
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
                log=None,
            )
            ours, theirs = socket.socketpair()
            attached = Attachment(theirs, stdin=False, stdout=True, stderr=True)
            with ours, self._starter.start(made, places, networks=networks, attached=[attached]) as control:
                try:
                    for stream, data in read_frames(ours):
                        output(stream, data)
                except BaseException:
                    _end(places, control)
                    raise
                return _exit_code(control)


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


def _nobody(name: str) -> Container:
    raise NotFound(f"No such container: {name}")


def _end(places: Places, control: socket.socket) -> None:
    """Kill what runs, and wait until it is gone: its snapshot is about to be taken away."""
    starter.kill_quietly(places)
    _exit_code(control)


def _exit_code(control: socket.socket) -> int:
    message, _ = messages.receive(control)
    while message is not None and "state" not in message:  # a notice, which is nobody's here
        message, _ = messages.receive(control)
    if message is None:
        raise Unavailable("the monitor of a build step died")
    return int(message["state"]["exit_code"])
