"""Of what an engine is made: store, images, runtime and networks, composed in one place."""

import os
from functools import cached_property
from typing import TYPE_CHECKING

from kist.engine import means, range_on_disk, settings
from kist.engine.catalogue import Catalogue
from kist.engine.checking import Checker
from kist.engine.claim import Claim
from kist.engine.containers import Containers
from kist.engine.controls import Controls
from kist.engine.events import Events
from kist.engine.execs import Execs
from kist.engine.ground import Ground
from kist.engine.housekeeping import Housekeeping
from kist.engine.images import Images
from kist.engine.logs import Logs
from kist.engine.machine import MachineLimits
from kist.engine.naming import NamePlaces
from kist.engine.network_keeping import NetworkKeeping
from kist.engine.networks import Networks
from kist.engine.port_paths import PortPaths
from kist.engine.prune import Prune
from kist.engine.sharing import Sharing
from kist.engine.starter import Starter
from kist.engine.stats import Stats
from kist.engine.steps import Steps
from kist.engine.usage import Usage
from kist.engine.volume_keeping import VolumeKeeping
from kist.errors import InvalidInput
from kist.kernel import process
from kist.network.room import Room
from kist.runtime.launch import Spawner
from kist.spec import roots
from kist.store import Store

if TYPE_CHECKING:
    from kist.engine.contents.insight import Insight
    from kist.engine.files import Files
    from kist.engine.policy.reading import PolicyFile


class Parts:
    """Everything that an engine has, for a data root and a run root.

    Args:
        data_root: what must not be lost; empty for the default (``$KIST_ROOT``, else by user).
        run_root: what a restart of the machine may take; empty for the default (``$KIST_RUN``, else by user).
        shared: this is the engine that serves the run root: it goes on with the keeper of the one before. Otherwise its
            containers are this process's own descendants.
        lacks: why an ordinary user has one id only, as ``rootless.enter`` told it.
        bound: its containers end with this process, at the latest, and are in control groups below this process's own.
        spawner: one that was started ahead, for this run root.
        storage: how files are kept (``kist.store.storage``); empty for ``KIST_STORAGE_DRIVER``, the settings, what the
            data root was told before, or what works.
    """

    def __init__(
        self,
        data_root: str = "",
        run_root: str = "",
        *,
        shared: bool = False,
        lacks: str = "",
        bound: bool = False,
        spawner: Spawner | None = None,
        storage: str = "",
    ) -> None:
        means.check_process()
        if shared:
            process.share_memory()  # the process is the engine's
        self.data_root = data_root or roots.data_root(os.environ, os.geteuid())
        if set(self.data_root) & set(":,\\"):
            raise InvalidInput(
                f"the data root {self.data_root!r} has a ':', ',' or '\\\\' in it, which overlay mounts cannot take",
                hint="choose another one with KIST_ROOT",
            )
        self.run_root = run_root or roots.run_root(os.environ, os.geteuid())
        self.settings = settings.read(roots.config_file(os.environ, os.geteuid()))
        asked = storage or os.environ.get("KIST_STORAGE_DRIVER", "") or self.settings.storage
        self.store = Store(self.data_root, asked)
        os.makedirs(self.run_root, 0o700, exist_ok=True)
        self._claim = Claim(self.data_root, self.run_root, self.store.records.ever_started)
        self.event_log = Events(self.store.events)
        self.catalogue = Images(self.store, self.event_log)
        self.spawner = spawner or Spawner(os.path.join(self.run_root, "engine.log"), shared=shared, bound=bound)
        range_on_disk.note(self.data_root)
        self.means = means.look(range_on_disk.cost_of(lacks, self.data_root), bound=bound)
        own_room = None if self.means.root else Room(self.run_root, os.environ, self.spawner.mind)
        ground = Ground(self.store.root, own_room, self.store.networks.subnets, self.settings.pools)
        networks = Catalogue(self.store, ground, self.settings.pools)
        self.event_log.network_id = networks.id_of
        places = NamePlaces(self.run_root, apart=own_room is not None)
        self._networks = Networks(self.store, ground, networks, places)
        self.port_paths = PortPaths(self.settings.ports, networks, self.store.root, own_room=own_room is not None)
        start = Starter(self.spawner, self._networks)
        self.machine = MachineLimits(self.means.bound)
        self._containers = Containers(
            self.store,
            self.catalogue,
            start,
            self._networks,
            self.run_root,
            self.event_log,
            self.settings.log,
            self.machine,
            self.means,
            self.port_paths,
            bound=bound,
        )
        self._controls = Controls(self._containers, self.store, self.event_log, self.machine)
        self._stats = Stats(self._containers)
        self._execs = Execs(self._containers, self.event_log, self.means)
        self._logs = Logs(self._containers)
        self.usage = Usage(self._containers, self.catalogue, self.store)
        self._network_keeping = NetworkKeeping(self.store, self._containers, self._networks, self.event_log)
        self._volumes = VolumeKeeping(self.store, self.usage, self.event_log, root=self.means.root)
        self.housekeeping = Housekeeping(self.store, self.catalogue, self.usage, self.event_log, self.settings.gc)
        self._prune = Prune(self._containers, self.catalogue, self.usage, self.store, self.event_log)
        self._steps = Steps(self.store, start, self._containers.roster, self._networks, self.machine, self.means)
        self.sharing = Sharing()
        self._checker = Checker(self.store, self._containers, self._networks, self.run_root)
        self._containers.reconcile()

    def close(self) -> None:
        """Let go of everything; containers go on, unless they are bound to this process."""
        self._containers.close()
        self._networks.close()
        self.port_paths.close()
        self.spawner.close()
        self.store.close()
        self._claim.close()

    @cached_property
    def files(self) -> "Files":
        """Files of containers: what copies and compares them is a lot to import, and not every process does."""
        from kist.engine.files import Files  # noqa: PLC0415 - see above

        return Files(self._containers, self.store, self.event_log, self.usage)

    @cached_property
    def insight(self) -> "Insight":
        """What is in images: what reads packages and layers is imported by who asks."""
        from kist.engine.contents.insight import Insight  # noqa: PLC0415 - see above

        return Insight(self.store, self.catalogue)

    @cached_property
    def policy(self) -> "PolicyFile":
        """What guests may; not every engine has any."""
        from kist.engine.policy.reading import PolicyFile  # noqa: PLC0415 - see above

        return PolicyFile(roots.policy_file(os.environ))
