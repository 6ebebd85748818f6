"""The networks of this engine: for now its one bridge, on the host or in an ordinary user's own room."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_interface, ip_network
from typing import TypeVar

from kist.errors import Conflict
from kist.kernel import files as kernel_files
from kist.kernel import netns
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

    def unplugged(self, running: Iterable[str]) -> list[str]:
        """Which of these containers have an address and no cable."""
        held = [each for each in running if each in frozenset(self.holders())]
        here = frozenset(self.cables()) if held else frozenset()
        return [each for each in held if plan.veth_name(each) not in here]

    def plug_again(self, container: str, pid: int, wanted: Networking = NOTHING) -> None:
        """Connect a running container whose cable is gone: a user's own network ends when all die who have it.

        Args:
            container: its id.
            pid: of its first process.
            wanted: as it was at its start.

        Raises:
            Conflict: the address that it has is none of the network's any more.
        """
        for found in self.leases().attachments(container, wanted):
            network = self._network()
            if ip_interface(found.address) not in ip_network(network.subnet):
                raise Conflict(
                    f"{found.address} is not an address of {network.subnet}, where the containers' network is now",
                    hint="restart the container, for another address",
                )
            descriptor = netns.of_process(pid)
            try:
                self.attach(descriptor, found, container)
            finally:
                os.close(descriptor)

    @property
    def lacks_way_out(self) -> bool:
        """Whether the program has died by which an ordinary user's containers reach what is outside."""
        return self._room is not None and self._room.lacks_way_out

    def be_ready(self) -> None:
        """Have the bridge and the way out that containers use which run already."""
        self._network()
        self._do(lambda: None)

    def close(self) -> None:
        """Let go of them, before the keeper is let go, who ends the way out with the last container."""
        if self._room is not None:
            self._room.close()

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

    def settle_ways(self) -> None:
        """End what ``stray_ways`` tells of, and look after the program that an earlier engine has left here."""
        if self._room is not None:
            self._room.end_strays()
            self._room.take_over()

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
