"""Containers on networks: their addresses, and their ends in the kernel."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial

from kist.engine import network_options
from kist.engine.catalogue import Catalogue
from kist.engine.ground import Ground
from kist.engine.naming import NamePlaces
from kist.errors import Conflict, InvalidInput, NotFound, Overlap
from kist.kernel import files as kernel_files
from kist.kernel import netns
from kist.network import addresses, bridges, cables, files, outward, plan, rules
from kist.network.devices import End
from kist.spec.container import Container
from kist.spec.network import Network, SubnetUsage
from kist.spec.networking import NOTHING, Endpoint, NetworkAttachment, Networking
from kist.store import Store

_RESOLV_CONF = "/etc/resolv.conf"


class Networks:
    """Who has which address, and who is plugged in.

    Args:
        store: keeps the addresses that are leased.
        ground: where the bridges are.
        catalogue: of the networks.
        names: where it is told who is on them.
    """

    def __init__(self, store: Store, ground: Ground, catalogue: Catalogue, names: NamePlaces) -> None:
        self._records = store.networks
        self._root = store.root
        self._ground = ground
        self.catalogue = catalogue
        self.names = names

    # ends of containers

    def lease(self, container: Container, endpoints: Iterable[Endpoint]) -> tuple[NetworkAttachment, ...]:
        """Addresses for the container on each network, kept until they are released.

        Raises:
            Forbidden: a network is somebody else's: one of the same name may have been removed since it was named.
            InvalidInput, Conflict: the address that an endpoint names cannot be had.
            NotFound: a network is gone.
            Unavailable: a network has no address left.
        """
        return tuple(self._lease(container, endpoint) for endpoint in endpoints)

    def _lease(self, container: Container, endpoint: Endpoint) -> NetworkAttachment:
        network = self.catalogue.get(endpoint.network)
        network_options.check_owner(network, container.owner)
        held = self._records.lease(network, container.id, lambda used: _chosen(network, endpoint, used))
        return self._attachment(network, held, endpoint)

    def attach(
        self,
        netns_fd: int,
        attachments: Sequence[NetworkAttachment],
        container: str,
        *,
        beside: Sequence[NetworkAttachment] | None = None,
    ) -> None:
        """Connect a container's network namespace to these networks, beside those that it is on already.

        Args:
            netns_fd: the namespace.
            attachments: its ends.
            container: its id.
            beside: the ends that it has; None where it is only about to run.
        """
        ends = [End(each, self._ground.form(self.catalogue.get(each.network))) for each in attachments]
        try:
            self._ground.do(lambda: cables.attach(netns_fd, ends, container, beside=beside))
        except Overlap:
            self._ground.reconsider()
            raise

    def detach(self, container: str, first: tuple[int, int], network: str, kept: Sequence[NetworkAttachment]) -> None:
        """Take the end of a running container on one network away, and give its addresses back.

        Args:
            container: its id.
            first: its first process, and when that began; one that has ended has taken its devices with it.
            network: its name.
            kept: the ends that it keeps.
        """
        self.names.withdraw(container, self.catalogue.id_of(network)[0])
        held = frozenset(address for name, address, _ in self._records.leases_of(container) if name == network)
        with contextlib.suppress(ProcessLookupError):
            descriptor = netns.of_process(*first)
            try:
                self._ground.look(
                    lambda: cables.detach(container, network, descriptor, addresses=held, beside=kept), None
                )
            finally:
                os.close(descriptor)
        self._records.release(container, network)

    def release(self, container: str, network: str = "") -> None:
        """Give the container's addresses back; the kernel removed its devices with the namespace."""
        self.names.withdraw(container, self.catalogue.id_of(network)[0] if network else "")
        self._records.release(container, network)

    def leases(self) -> "Leases":
        """All addresses that are leased now."""
        return Leases(self._records.leases(), self._known, self._attachment)

    def leases_of(self, container: str) -> "Leases":
        """Those of one container."""
        return Leases(self._records.leases_of(container), self._known, self._attachment)

    def holders(self) -> tuple[str, ...]:
        """The ids of all that have an address."""
        return self._records.holders()

    def usage(self, network: Network) -> Iterator[SubnetUsage]:
        """How full its subnets are."""
        used = self._records.addresses(network.name)
        return (addresses.usage(subnet, used.keys()) for subnet in network.subnets)

    def holders_on(self, network: Network) -> tuple[str, ...]:
        """The ids of those that have an address on this network."""
        return tuple(dict.fromkeys(self._records.addresses(network.name).values()))

    # what is mended

    def unplugged(
        self, running: Mapping[str, Sequence[Endpoint]], first_of: Callable[[str], tuple[int, int] | None]
    ) -> list[str]:
        """Which of these containers are not on the networks, or not by a whole end, that they are to be on.

        Args:
            running: the id of each, and what it is to have.
            first_of: gives the first process of one, and when that began; None where it has ended, and lacks nothing.
        """
        if not running:
            return []
        leased: dict[str, dict[str, set[str]]] = {}
        for network, address, holder in self._records.leases():
            leased.setdefault(holder, {}).setdefault(network, set()).add(address)
        here = frozenset(self.cables())

        def lacks(container: str, endpoint: Endpoint, held: Collection[str]) -> bool:
            network = self.catalogue.get(endpoint.network)
            if network.driver == "bridge":
                return plan.cable_name(container, network.name) not in here
            first = first_of(container)
            return first is not None and self._lacks_device(first, self._attachment(network, sorted(held), endpoint))

        return [
            container
            for container, endpoints in running.items()
            if (held := leased.get(container, {})).keys() != {each.network for each in endpoints}
            or any(lacks(container, each, held[each.network]) for each in endpoints)
        ]

    def settle(self, container: Container, first: tuple[int, int], endpoints: Sequence[Endpoint]) -> None:
        """Have a running container on the networks that it is to be on, and on no other.

        A user's own network ends when all die who have it; an engine may have died while it connected something.

        Args:
            container: which.
            first: its first process, and when that began.
            endpoints: what it is to have.

        Raises:
            ProcessLookupError: it has ended.
            Forbidden: one of them is somebody else's.
            Conflict: the address that it has is none of the network's any more.
        """
        identifier = container.id
        here = frozenset(self.cables())
        wanted = {each.network for each in endpoints}
        held = self.leases_of(identifier).attachments(identifier, endpoints)
        for gone in {network for network, _, _ in self._records.leases_of(identifier)} - wanted:
            self.detach(identifier, first, gone, held)
        leased = self.lease(container, endpoints)
        missing = [
            each
            for each in leased
            if (
                plan.cable_name(identifier, each.network) not in here
                if self._is_bridge(each.network)
                else self._lacks_device(first, each)
            )
        ]
        if not missing:
            return
        for each in missing:
            self._check_address(each)
        descriptor = netns.of_process(*first)
        try:
            beside = [each for each in leased if each not in missing]
            self.attach(descriptor, missing, identifier, beside=beside)
        finally:
            os.close(descriptor)

    def _check_address(self, attachment: NetworkAttachment) -> None:
        subnet = next((each for each in self.catalogue.get(attachment.network).subnets if each.version == 4), None)
        if subnet is not None and attachment.address:
            whole = addresses.parse_subnet(subnet.subnet)
            if addresses.parse_address(addresses.bare(attachment.address)) not in whole:
                raise Conflict(
                    f"{attachment.address} is not an address of {subnet.subnet}, where the containers' network is now",
                    hint="restart the container, for another address",
                )

    def _is_bridge(self, network: str) -> bool:
        """Whether ends on this network are cables, which are seen where the bridge is."""
        return self.catalogue.id_of(network)[1] == "bridge"

    def _lacks_device(self, first: tuple[int, int], attachment: NetworkAttachment) -> bool:
        """Whether a container has no device on a network of the host's, which is seen in the container alone."""
        end = End(attachment, self._ground.form(self.catalogue.get(attachment.network)))
        try:
            descriptor = netns.of_process(*first)
        except ProcessLookupError:
            return False  # it has ended
        try:
            return not self._ground.look(lambda: cables.is_attached(descriptor, end), otherwise=True)
        finally:
            os.close(descriptor)

    @property
    def lacks_way_out(self) -> bool:
        """Whether the program has died by which an ordinary user's containers reach what is outside."""
        return self._ground.room is not None and self._ground.room.lacks_way_out

    def be_ready(self) -> None:
        """Have the bridge and the way out that containers use which run already."""
        self._ground.default()
        self._ground.do(lambda: None)

    def close(self) -> None:
        """Let go of them, before the keeper is let go, who ends the way out with the last container."""
        self.names.close()
        if self._ground.room is not None:
            self._ground.room.close()

    @property
    def room_path(self) -> str:
        """The file of the network namespace that the bridge is in; empty for the host's."""
        return self._ground.room.path if self._ground.room is not None else ""

    def cables(self) -> list[str]:
        """The bridges' ends of all cables on them, whoever has them."""
        names = [plan.bridge_of(each, self._root) for each in self.catalogue.list() if each.driver == "bridge"]
        return self._ground.look(lambda: bridges.cables(names), [])

    def cable_names(self, containers: Iterable[str]) -> dict[str, str]:
        """What the cables of these containers are called, whichever of the networks they are on, and whose each is."""
        networks = [each.name for each in self.catalogue.list() if each.driver == "bridge"]
        return {plan.cable_name(container, network): container for container in containers for network in networks}

    def remove_device(self, name: str) -> None:
        """Remove what ``cables`` or ``stray_devices`` tells of."""
        self._ground.look(lambda: bridges.remove_link(name), None)

    def stray_devices(self) -> list[tuple[str, str]]:
        """Devices of networks that do not exist any more, by their names and aliases."""
        return self._ground.strays(frozenset(network.name for network in self.catalogue.list()))

    def reload(self) -> None:
        """Have the bridges of all networks, and their rules, as they shall be: a firewall may have flushed them."""
        for network in self._bridged():
            self.make_again(network.name)

    def flawed(self) -> Iterator[str]:
        """The networks whose bridges are there, and not as they shall be; one that is not there is made when needed."""
        for network in self._bridged():
            form = self._ground.form(network)
            if isinstance(form, plan.BridgeNetwork) and self._ground.look(partial(bridges.is_flawed, form), False):
                yield network.name

    def make_again(self, name: str) -> None:
        """Have the bridge of a network, and its rules, as they shall be."""
        self._ground.make(self.catalogue.get(name))

    def _bridged(self) -> Iterator[Network]:
        """The networks with a bridge; the default one when it is there, for who asks for its form makes it."""
        for network in self.catalogue.list():
            if network.driver == "bridge" and (not network.predefined or self._is_there(network)):
                yield network

    def _is_there(self, network: Network) -> bool:
        name = plan.bridge_of(network, self._root)
        return self._ground.look(lambda: bridges.exists(name), otherwise=False)

    def stray_chains(self) -> list[tuple[str, ...]]:
        """Packet rules of bridges that do not exist, together those of one."""
        return self._ground.look(rules.stray_chains, [])

    def remove_chains(self, names: tuple[str, ...]) -> None:
        """Remove what ``stray_chains`` tells of."""
        self._ground.look(lambda: rules.remove_chains(names), None)

    def stray_ways(self) -> Iterator[tuple[str, outward.Running]]:
        """Programs that carry packets out of a network that nobody can reach any more, each with its note."""
        return self._ground.room.strays() if self._ground.room is not None else iter(())

    def tidy_names(self) -> None:
        """Take away what tells of containers that are on no network any more."""
        self.names.tidy(self.holders)

    def settle_ways(self) -> None:
        """End what ``stray_ways`` tells of, and look after the program that an earlier engine has left here."""
        if self._ground.room is not None:
            self._ground.room.end_strays()
            self._ground.room.take_over()

    def _known(self, name: str) -> Network | None:
        try:
            return self.catalogue.get(name)
        except NotFound:
            return None

    def _attachment(self, network: Network, held: Sequence[str], wanted: Endpoint) -> NetworkAttachment:
        resolver = self._ground.room.resolver if self._ground.room is not None else ""
        host = self._ground.host_address(network)
        names = self.names.directory(network)
        return plan.attachment(network, held, wanted, resolver=resolver, host=host, names=names)


class Leases:
    """Which container has which addresses; without arguments, none has any."""

    def __init__(
        self,
        leases: Iterable[tuple[str, str, str]] = (),
        known: Callable[[str], Network | None] = lambda _: None,
        made: Callable[[Network, Sequence[str], Endpoint], NetworkAttachment] = lambda *_: NetworkAttachment(""),
    ) -> None:
        self._known = cache(known)
        self._made = made
        self._held: dict[str, dict[str, list[str]]] = {}
        for network, address, holder in leases:
            self._held.setdefault(holder, {}).setdefault(network, []).append(address)

    def attachments(self, container: str, endpoints: Iterable[Endpoint]) -> tuple[NetworkAttachment, ...]:
        """The ends of a container, in the order of what it is to have."""
        held = self._held.get(container, {})
        found = ((self._known(each.network), each) for each in endpoints if each.network in held)
        return tuple(self._made(network, held[each.network], each) for network, each in found if network is not None)


def _chosen(network: Network, wanted: Endpoint, used: frozenset[str]) -> list[str]:
    """An address of each of a network's subnets: the one that is asked for, or one that is free."""
    found = []
    for subnet in network.subnets:
        fixed = wanted.ip6 if subnet.version == 6 else wanted.ip
        if fixed:
            found.append(addresses.fixed_address(subnet, used, fixed))
        else:
            found.append(addresses.choose_address(subnet, used))
    for fixed, version in ((wanted.ip, 4), (wanted.ip6, 6)):
        if fixed and not any(subnet.version == version for subnet in network.subnets):
            raise InvalidInput(
                f"invalid address {fixed}: the network {network.name} has no IPv{version} addresses",
                hint="leave it out, or use a network that was made with " + ("--ipv6" if version == 6 else "--ipv4"),
            )
    return found


def resolv_conf(network: str, wanted: Networking = NOTHING, resolver: str = "") -> str:
    """The text of a container's /etc/resolv.conf: the host's own, or what of it can be reached from a bridge."""
    host = kernel_files.read_text(_RESOLV_CONF)
    if network == "host":
        return files.host_resolv_file(host, wanted)
    return files.resolv_file(host, kernel_files.read_text(files.UPSTREAM_RESOLV_CONF), wanted, resolver)
