"""The networks of this engine: for now its one bridge, on the host or in an ordinary user's own room."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from kist.kernel import files as kernel_files
from kist.network import apply, files, outward, plan, room
from kist.spec.networking import NOTHING, NetworkAttachment, Networking
from kist.store import Store

_RESOLV_CONF = "/etc/resolv.conf"

T = TypeVar("T")


class Networks:
    """The bridge network of an engine; made when the first container needs it.

    Args:
        store: keeps the addresses that are leased.
        own_room: where the bridge is; None for the network namespace that this process is in.
    """

    def __init__(self, store: Store, own_room: room.Room | None = None) -> None:
        self._store = store
        self._room = own_room
        self._lock = threading.Lock()
        self._bridge: plan.BridgeNetwork | None = None

    def lease(self, container: str, wanted: Networking = NOTHING) -> NetworkAttachment:
        """An address on the bridge for the container, kept until it is released.

        Raises:
            InvalidInput, Conflict: the address that ``wanted`` names cannot be had.
        """
        network = self._network()

        def choose(used: frozenset[str]) -> str:
            if wanted.ip:
                return plan.fixed_address(network.subnet, network.gateway, used, wanted.ip)
            return plan.choose_address(network.subnet, network.gateway, used)

        address = self._store.records.lease_address(network.name, container, choose)
        return plan.attachment(network, address, wanted.mac, self._room.resolver if self._room is not None else "")

    def attach(self, netns_fd: int, attachment: NetworkAttachment, container: str) -> None:
        """Connect a container's network namespace to the bridge."""
        network = self._network()
        self._do(lambda: apply.attach(netns_fd, attachment, network, container))

    def leases(self) -> "Leases":
        """All addresses that are leased now."""
        network = self._network()
        return Leases(network, self._store.records.addresses(network.name))

    def release(self, container: str) -> None:
        """Give the container's addresses back; the kernel removed the cable with the namespace."""
        self._store.records.release_addresses(container)

    @property
    def room_path(self) -> str:
        """The file of the network namespace that the bridge is in; empty for the host's."""
        return self._room.path if self._room is not None else ""

    def cables(self) -> list[str]:
        """The bridge's ends of all cables on it, whoever has them."""
        return self._look(lambda: apply.cables(plan.bridge_name(self._store.root)), [])

    def remove_cable(self, name: str) -> None:
        """Remove what ``cables`` tells of."""
        self._look(lambda: apply.remove_link(name), None)

    def stray_chains(self) -> list[tuple[str, ...]]:
        """Packet rules of bridges that do not exist, together those of one."""
        return self._look(apply.stray_chains, [])

    def remove_chains(self, names: tuple[str, ...]) -> None:
        """Remove what ``stray_chains`` tells of."""
        self._look(lambda: apply.remove_chains(names), None)

    def stray_ways(self) -> Iterator[tuple[str, outward.Running]]:
        """Programs that carry packets out of a network that nobody can reach any more, each with its note."""
        return self._room.strays() if self._room is not None else iter(())

    def holders(self) -> tuple[str, ...]:
        """The ids of all that have an address."""
        return self._store.records.address_holders()

    def end_stray_ways(self) -> None:
        """End what ``stray_ways`` tells of."""
        if self._room is not None:
            self._room.end_strays()

    def _network(self) -> plan.BridgeNetwork:
        with self._lock:
            if self._bridge is None:
                self._bridge = self._made()
            return self._bridge

    def _made(self) -> plan.BridgeNetwork:
        name = plan.bridge_name(self._store.root)
        if self._room is None:
            return apply.default_network(name)
        avoid = self._room.routes_outside()
        return self._room.run(lambda: apply.default_network(name, avoid=avoid, largest=outward.MTU))

    def _do(self, work: Callable[[], T]) -> T:
        return self._room.run(work) if self._room is not None else work()

    def _look(self, work: Callable[[], T], otherwise: T) -> T:
        return self._room.look(work, otherwise) if self._room is not None else work()


class Leases:
    """Which container has which address of a network; without arguments, none has one."""

    def __init__(self, network: plan.BridgeNetwork | None = None, addresses: Mapping[str, str] | None = None) -> None:
        self._network = network
        self._held: dict[str, list[str]] = {}
        for address, holder in (addresses or {}).items():
            self._held.setdefault(holder, []).append(address)

    def attachments(self, container: str, wanted: Networking = NOTHING) -> tuple[NetworkAttachment, ...]:
        """The ends of a container on the network, at most one."""
        if self._network is None:
            return ()
        return tuple(plan.attachment(self._network, held, wanted.mac) for held in self._held.get(container, ()))


def resolv_conf(network: str, wanted: Networking = NOTHING, resolver: str = "") -> str:
    """The text of a container's /etc/resolv.conf: the host's own, or what of it can be reached from a bridge."""
    host = kernel_files.read_text(_RESOLV_CONF)
    if network == "host":
        return files.host_resolv_file(host, wanted)
    return files.resolv_file(host, kernel_files.read_text(files.UPSTREAM_RESOLV_CONF), wanted, resolver)
