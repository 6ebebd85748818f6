"""How what comes to published ports reaches containers now: through the kernel, or through their monitors."""

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from kist.engine.catalogue import Catalogue
from kist.kernel import nftables
from kist.kernel.netlink import NETLINK_NETFILTER, Socket
from kist.network import host_firewall, portmap
from kist.network.plan import bridge_of, read_options, way_out
from kist.spec.networking import NetworkAttachment

PATHS = ("auto", "kernel", "user")


class PortSettings(msgspec.Struct, frozen=True):
    """What is set for published ports.

    Attributes:
        path: ``kernel`` or ``user``, whatever the host's firewall is; ``auto`` for what leaves it in charge.
        address: where ports are published that name no address; empty for everywhere.
    """

    path: str = "auto"
    address: str = ""


class Target(NamedTuple):
    """Where a container is reached from the host.

    Attributes:
        address, address6: its addresses; empty for none.
        bridges: the devices that these are behind.
        host_ip: where its ports are published that name no address; empty for everywhere.
    """

    address: str = ""
    address6: str = ""
    bridges: tuple[str, ...] = ()
    host_ip: str = ""


class PortPaths:
    """Chooses the path, anew for each container; which costs one question while nobody changes the host's rules.

    Args:
        settings: of the engine.
        catalogue: of its networks.
        data_root: names their bridges.
        own_room: whether the bridges are in a network namespace of an ordinary user's.
    """

    def __init__(self, settings: PortSettings, catalogue: Catalogue, data_root: str, *, own_room: bool) -> None:
        self.settings = settings
        self._catalogue = catalogue
        self._root = data_root
        self._own_room = own_room
        self._lock = threading.Lock()
        self._connection: Socket | None = None
        self._judged: tuple[int, str, bool] | None = None
        self._lacking: str | None = None

    def objection(self) -> str:
        """Why the kernel does not carry ports that are published now; empty where it does."""
        return self._judge()[0]

    def target(self, attachments: Sequence[NetworkAttachment]) -> Target | None:
        """Where a container's ports lead; None where it is on no bridge that leads anywhere.

        Args:
            attachments: its ends on networks. What is on a device of the host's cannot be reached from the host.
        """
        networks = {each.network: self._catalogue.get(each.network) for each in attachments}
        bridged = [each for each in attachments if networks[each.network].driver == "bridge"]
        one, other = way_out(bridged, 4), way_out(bridged, 6)
        ends = [end for end in (one, other) if end is not None]
        if not ends:
            return None
        main = networks[ends[0].network]
        return Target(
            one.address.partition("/")[0] if one is not None else "",
            other.address6.partition("/")[0] if other is not None else "",
            tuple(dict.fromkeys(bridge_of(networks[end.network], self._root) for end in ends)),
            read_options(main.driver, main.options).host_ip or self.settings.address,
        )

    def rules(self, bridges: Sequence[str]) -> dict[str, Any] | None:
        """What a monitor is told (``kist.runtime.portrules``); None where it carries the ports itself.

        Args:
            bridges: those that its container is reached by.
        """
        objection, there = self._judge()
        if objection or not bridges:
            return None
        return {"bridges": list(bridges), "structure": self._structure, "fresh": not there}

    @cached_property
    def _structure(self) -> str:
        return portmap.structure().hex()

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _judge(self) -> tuple[str, bool]:
        """The objection, and whether tables and rules are there."""
        if self._own_room:
            return "an ordinary user has no say over the host's packet rules", False
        if self.settings.path == "user":
            return "engine.toml says so", False
        with self._lock:
            try:
                return self._look()
            except OSError as error:
                self._judged = None
                return f"nf_tables: {error.strerror}", False

    def _look(self) -> tuple[str, bool]:
        # One connection for good: to close one waits until the kernel has cleared up what others have removed.
        if self._connection is None:
            self._connection = Socket(NETLINK_NETFILTER)
        connection = self._connection
        generation = nftables.generation(connection)
        if self._judged is None or self._judged[0] != generation:
            self._judged = (generation, self._find(connection), portmap.holds(connection))
        return self._judged[1:]

    def _find(self, connection: Socket) -> str:
        if self._lacking is None:
            self._lacking = portmap.lacking(connection)
        if self._lacking:
            return f"the kernel lacks what it needs ({self._lacking})"
        if self.settings.path == "kernel":
            return ""
        return host_firewall.objection(nftables.list_chains(connection), nftables.legacy_tables())


def words(objection: str) -> str:
    """One line for people."""
    if objection:
        return f"carried by each container's monitor: {objection}"
    return "carried by the kernel, with the client's address"
