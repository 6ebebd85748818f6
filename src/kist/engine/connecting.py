"""Containers put on networks and taken off them, while they run too.

The container's record says which networks it is to be on, and is written first: what a kill leaves undone in the
kernel, the next engine does (``Networks.settle``).
"""

import logging
from collections.abc import Sequence

from msgspec import structs

from kist.engine import network_options
from kist.engine.bonds import Bonds
from kist.engine.events import Events
from kist.engine.linking import Linking
from kist.engine.locks import Locks
from kist.engine.networks import Networks
from kist.engine.republishing import Republishing
from kist.engine.roster import Roster
from kist.errors import Conflict, Forbidden, KistError
from kist.kernel import faults
from kist.spec.container import Container
from kist.spec.network import Network
from kist.spec.networking import Endpoint
from kist.store import Store

_log = logging.getLogger(__name__)


class Connecting:
    """Connects and disconnects containers.

    Args:
        store: where the records are.
        roster: of the containers.
        locks: nobody starts or removes one meanwhile.
        networks: who is plugged in.
        linking: who is linked to whom.
        events: what is done is noted there.
        bonds: which containers end with which process.
        republishing: leads published ports to where a container is.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        locks: Locks,
        networks: Networks,
        linking: Linking,
        events: Events,
        bonds: Bonds,
        republishing: Republishing,
    ) -> None:
        self._records = store.records
        self._roster = roster
        self._locks = locks
        self._networks = networks
        self._linking = linking
        self._events = events
        self._bonds = bonds
        self._republishing = republishing

    def connect(self, network: Network, name: str | Container, endpoint: Endpoint) -> None:
        """Put a container on a network.

        Raises:
            Forbidden: it is on it already, or has no network of its own, or the network is somebody else's.
            InvalidInput, Conflict, Unavailable: it cannot have what is asked for.
        """
        endpoint = structs.replace(endpoint, network=network.name)
        network_options.check_endpoint(endpoint)
        container = self._roster.get(name)
        _check(network, container)
        network_options.check_owner(network, container.owner)
        with self._locks.alone(container):
            container = self._roster.get(container)
            before = container.options.networking.endpoints
            if any(each.network == network.name for each in before):
                raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")
            self._check_running(container)
            self._keep(container, (*before, endpoint))
            faults.point("network connect: wrote the record")
            if first := self._roster.first_process(container):
                try:
                    self._networks.settle(container, first, (*before, endpoint))
                    faults.point("network connect: connected")
                    self._republishing.again(self._roster.get(container))
                    self._tell(container)
                except BaseException as error:
                    self._undo(container, first, before, network)
                    if isinstance(error, ProcessLookupError):
                        raise _ended(container) from error
                    raise
        self._events.network("connect", network.name, container)

    def disconnect(self, network: Network, name: str | Container, *, force: bool = False) -> None:
        """Take a container off a network; with ``force`` one that is not on it is no error.

        Raises:
            Forbidden: it is not on it.
        """
        container = self._roster.get(name)
        with self._locks.alone(container):
            container = self._roster.get(container)
            before = container.options.networking.endpoints
            kept = tuple(each for each in before if each.network != network.name)
            if kept == before:
                if force:
                    return
                raise Forbidden(f"container {container.id} is not connected to network {network.name}")
            self._check_running(container)
            self._keep(container, kept)
            faults.point("network disconnect: wrote the record")
            if first := self._roster.first_process(container):
                held = container.networks
                rest = [each for each in held if each.network != network.name]
                try:
                    # First, so that no port leads to an address that is somebody else's next.
                    self._republishing.again(structs.replace(container, networks=tuple(rest)))
                except BaseException:
                    self._keep(container, before)
                    raise
                self._networks.detach(container.id, first, network.name, rest)
                faults.point("network disconnect: disconnected")
                self._tell(container)
        self._events.network("disconnect", network.name, container)

    def _undo(self, container: Container, first: tuple[int, int], before: Sequence[Endpoint], network: Network) -> None:
        """Have a container as it was before it was to be on a network; what cannot be undone is told in the log."""
        self._keep(container, before)
        try:
            self._networks.settle(container, first, before)
            now = self._roster.get(container)
            self._republishing.again(now)
            self._linking.tell_it(now)
        except ProcessLookupError:
            pass  # it has ended, and has no devices
        except (KistError, OSError) as error:
            _log.warning("%s may not be off the network %s again: %s", container.name, network.name, error)
        self._networks.release(container.id, network.name)

    def _keep(self, container: Container, endpoints: Sequence[Endpoint]) -> None:
        kept = self._records.container(container.id)
        networking = structs.replace(kept.options.networking, endpoints=tuple(endpoints))
        self._records.replace_container(
            structs.replace(kept, options=structs.replace(kept.options, networking=networking))
        )

    def _tell(self, container: Container) -> None:
        """Have the files of a running container say where it is now."""
        self._linking.tell_it(self._roster.get(container))

    def _check_running(self, container: Container) -> None:
        if container.state.status == "restarting":
            raise Conflict(f"{container.name} is between two runs", hint="try again when it runs")
        if self._networks.room_path and container.id in self._bonds.of_others():
            raise Conflict(
                f"{container.name} is in another network: what an ordinary user runs with --local has one of its own"
            )


def _ended(container: Container) -> Conflict:
    return Conflict(f"container {container.name} ended meanwhile", hint="try again: it is connected when it starts")


def _check(network: Network, container: Container) -> None:
    """Refuse what has no network of its own, in Docker's words."""
    mode = container.options.network
    if mode == "host" or mode.startswith("container:"):
        raise Forbidden(
            "container sharing network namespace with another container or host cannot be connected to any other "
            "network"
        )
    if mode == "none" or network.name in {"host", "none"}:
        raise Forbidden(
            "container cannot be connected to multiple networks with one of the networks in "
            f"{'private (none)' if 'none' in {mode, network.name} else 'host'} mode"
        )
