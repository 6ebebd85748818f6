"""The networks of this engine: for now its one bridge."""

import threading
from collections.abc import Mapping

from kist.kernel import files as kernel_files
from kist.network import apply, files, plan
from kist.spec.networking import NOTHING, NetworkAttachment, Networking
from kist.store import Store

_RESOLV_CONF = "/etc/resolv.conf"


class Networks:
    """The bridge network of an engine; made when the first container needs it."""

    def __init__(self, store: Store) -> None:
        self._store = store
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
        return plan.attachment(network, address, wanted.mac)

    def attach(self, netns_fd: int, attachment: NetworkAttachment, container: str) -> None:
        """Connect a container's network namespace to the bridge."""
        apply.attach(netns_fd, attachment, self._network(), container)

    def leases(self) -> "Leases":
        """All addresses that are leased now."""
        network = self._network()
        return Leases(network, self._store.records.addresses(network.name))

    def release(self, container: str) -> None:
        """Give the container's addresses back; the kernel removed the cable with the namespace."""
        self._store.records.release_addresses(container)

    def cables(self) -> list[str]:
        """The host's ends of all cables on our bridge, whoever has them."""
        return apply.cables(plan.bridge_name(self._store.root))

    def holders(self) -> tuple[str, ...]:
        """The ids of all that have an address."""
        return self._store.records.address_holders()

    def _network(self) -> plan.BridgeNetwork:
        with self._lock:
            if self._bridge is None:
                self._bridge = apply.default_network(plan.bridge_name(self._store.root))
            return self._bridge


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


def resolv_conf(network: str, wanted: Networking = NOTHING) -> str:
    """The text of a container's /etc/resolv.conf: the host's own, or what of it can be reached from a bridge."""
    host = kernel_files.read_text(_RESOLV_CONF)
    if network == "host":
        return files.host_resolv_file(host, wanted)
    return files.resolv_file(host, kernel_files.read_text(files.UPSTREAM_RESOLV_CONF), wanted)
