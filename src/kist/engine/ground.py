"""Where an engine's bridges are: in the network namespace of this process, or in an ordinary user's own room."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from kist.errors import Unsupported
from kist.network import bridges, outward, parents, plan
from kist.network.addresses import DEFAULT_POOLS, Pools
from kist.network.parents import ParentNetwork
from kist.network.plan import BridgeNetwork
from kist.network.room import Room
from kist.spec.network import Network

T = TypeVar("T")

_OWN_SECONDS = 1.0


class Ground:
    """What networks are made on.

    Args:
        data_root: names the default bridge, and marks devices as this engine's.
        room: where the bridges are; None for the network namespace that this process is in.
        reserved: the subnets of networks that users have made, whether these are in the kernel now or not.
        pools: what the default network's subnet is chosen from where all of the usual ones are taken.
    """

    def __init__(
        self,
        data_root: str,
        room: Room | None,
        reserved: Callable[[], Sequence[str]] = tuple,
        pools: Pools = DEFAULT_POOLS,
    ) -> None:
        self._pools = pools
        self._root = data_root
        self.room = room
        self._reserved = reserved
        self._lock = threading.Lock()
        self._default: BridgeNetwork | None = None
        self._own = ("", -math.inf)
        self._forms: dict[str, BridgeNetwork | ParentNetwork] = {}

    def host_address(self, network: Network) -> str:
        """The host's own address as containers on this network reach it; empty where they do not."""
        if network.driver != "bridge" or (self.room is not None and network.internal):
            return ""
        if self.room is not None:
            return self._own_address()
        ordered = sorted(network.subnets, key=lambda subnet: subnet.version)
        return next((subnet.gateway for subnet in ordered if subnet.gateway), "")

    def _own_address(self) -> str:
        """An ordinary user's bridges are not the host's; it may come to have another address."""
        now = time.monotonic()
        if now - self._own[1] > _OWN_SECONDS:
            self._own = (outward.host_address(), now)
        return self._own[0]

    def do(self, work: Callable[[], T]) -> T:
        """Do something where the bridges are."""
        return self.room.run(work) if self.room is not None else work()

    def look(self, work: Callable[[], T], otherwise: T) -> T:
        """The same where that is there already."""
        return self.room.look(work, otherwise) if self.room is not None else work()

    def default(self) -> BridgeNetwork:
        """The default network, made when the first container needs it."""
        with self._lock:
            if self._default is None:
                self._default = self._made()
            return self._default

    def reconsider(self) -> None:
        """Look anew which subnet the default network has, or can have: a route has come that overlaps it."""
        with self._lock:
            self._default = None

    def _made(self) -> BridgeNetwork:
        name = plan.bridge_name(self._root)
        if self.room is None:
            return bridges.default_network(name, avoid=self._reserved(), pools=self._pools)
        avoid, pools = (*self.room.routes_outside(), *self._reserved()), self._pools
        return self.room.run(lambda: bridges.default_network(name, avoid=avoid, largest=outward.MTU, pools=pools))

    def form(self, network: Network) -> BridgeNetwork | ParentNetwork:
        """How a network is in the kernel."""
        if network.name == plan.DEFAULT:
            return self.default()
        found = self._forms.get(network.id)
        if found is None:
            found = self._forms[network.id] = self._form(network)
        return found

    def _form(self, network: Network) -> BridgeNetwork | ParentNetwork:
        if network.driver in parents.DRIVERS:
            return parents.parent_network(network, self._root)
        largest = outward.MTU if self.room is not None else bridges.LARGEST_MTU
        return plan.bridge_network(network, self.do(lambda: bridges.usual_mtu(largest)), data_root=self._root)

    def make(self, network: Network) -> None:
        """Make what a network is in the kernel.

        Raises:
            Conflict: the host routes its addresses elsewhere, or the device is somebody else's.
            Unsupported: the driver needs a device of the machine's, which an ordinary user has no say over.
        """
        form = self.form(network)
        if isinstance(form, BridgeNetwork):
            self.do(lambda: bridges.ensure(form))
        else:
            self.check_driver(network.driver)
            parents.ensure(form)

    def check_driver(self, driver: str) -> None:
        """Refuse a driver that cannot be had here.

        Raises:
            Unsupported: as for ``make``.
        """
        if driver in parents.DRIVERS and self.room is not None:
            raise Unsupported(
                f"networks of the driver {driver} are on a device of the machine's, which is not an ordinary user's",
                hint="use the driver bridge, or root's engine",
            )

    def unmake(self, network: Network) -> None:
        """Remove what a network is in the kernel; nothing happens when it is not there."""
        form = self.form(network)
        self._forms.pop(network.id, None)
        if isinstance(form, BridgeNetwork):
            self.look(lambda: bridges.remove(form), None)
        elif self.room is None:
            parents.remove(form)

    def destinations(self, but: str = "") -> tuple[tuple[str, str], ...]:
        """The destinations of all routes that a subnet here must not hide, and whose each is; ``but`` of a device."""
        if self.room is None:
            return bridges.destinations(but)
        nothing: tuple[tuple[str, str], ...] = ()
        outside = ((each, "the machine") for each in self.room.routes_outside())
        return (*outside, *self.room.look(lambda: bridges.destinations(but), nothing))

    def lacks_ipv6(self) -> bool:
        """Whether no device here can have IPv6 addresses."""
        return self.look(bridges.lacks_ipv6, otherwise=False)

    def strays(self, known: frozenset[str]) -> list[tuple[str, str]]:
        """Devices that this engine has made for networks that there are not: names and aliases."""
        nothing: list[tuple[str, str]] = []
        found = self.look(lambda: bridges.marked(plan.alias_of(self._root)), nothing)
        theirs = {plan.network_alias(name, self._root) for name in known}
        return [(name, alias) for name, alias in found if alias not in theirs]
