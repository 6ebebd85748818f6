"""Networks: made, looked up and removed. The record in the store is what makes a network exist.

To make one, first the record, then what it is in the kernel; to remove one, the same. What a kill leaves in the kernel
is found by ``kist system check``; what is missing there is made when a container needs it.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec import structs

from kist.engine import publishing
from kist.engine.ground import Ground
from kist.errors import Conflict, Forbidden, InvalidInput, NotFound, Overlap, Unavailable, Unsupported
from kist.kernel import faults
from kist.network import addresses, parents, plan
from kist.network.addresses import Pools
from kist.spec.network import PREDEFINED, Network, NetworkOptions, Subnet
from kist.store import Store

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
DRIVERS = ("bridge", *parents.DRIVERS)


class Catalogue:
    """The networks of one engine.

    Args:
        store: where the records are.
        ground: where what they are in the kernel is.
        pools: which subnets to choose from.
    """

    def __init__(self, store: Store, ground: Ground, pools: Pools = addresses.DEFAULT_POOLS) -> None:
        self._records = store.networks
        self._root = store.root
        self._ground = ground
        self._pools = pools
        self._since = time.time_ns()  # what every engine has, it has from its start, as in Docker

    def list(self) -> tuple[Network, ...]:
        """All networks, by name; the default one as it is, or (not made yet) without its subnet."""
        made = [self._predefined(name) for name in PREDEFINED]
        return tuple(sorted((*made, *self._records.list()), key=lambda network: network.name))

    def get(self, name: str) -> Network:
        """The network of this name, id or unique beginning of an id.

        Raises:
            NotFound: there is none.
            InvalidInput: ids of several begin so.
        """
        if name in PREDEFINED:
            return self._with_subnets(self._predefined(name))
        found = self._records.find(name)
        if not found:
            found = tuple(self._predefined(each) for each in PREDEFINED if name and self._id(each).startswith(name))
            found = tuple(map(self._with_subnets, found))
        if len(found) > 1:
            raise InvalidInput(f"network {name} is ambiguous ({len(found)} matches found on ID prefix)")
        if not found:
            raise NotFound(f"network {name} not found", hint="`kist network ls` lists the networks")
        return found[0]

    def id_of(self, name: str) -> tuple[str, str]:
        """Id and driver of the network of this name; the name itself where it is gone."""
        if name in PREDEFINED:
            return self._id(name), PREDEFINED[name]
        found = self._records.find(name)
        return (found[0].id, found[0].driver) if found else (name, "bridge")

    def create(self, options: NetworkOptions, owner: int = 0) -> Network:
        """Make a network.

        Raises:
            Conflict: its name is taken, or its subnet overlaps another network's or a route of the host.
            InvalidInput, Unsupported, Forbidden: something about it cannot be.
            Unavailable: no subnet is left to choose.
        """
        _check(options)
        self._ground.check_driver(options.driver)
        if options.ipv6 and self._ground.lacks_ipv6():
            raise Unsupported("this machine has IPv6 switched off", hint="sysctl -w net.ipv6.conf.all.disable_ipv6=0")
        return self._placed(options, owner)

    def _placed(self, options: NetworkOptions, owner: int) -> Network:
        """The network, made with the first subnets that are free in the kernel too."""
        given = [each for each in options.subnets if each.subnet]
        # One that the administrator has made is joined with the addresses that it has, as in Docker, and never removed.
        bridge = plan.read_options(options.driver, options.options).bridge
        refused: tuple[tuple[str, str], ...] = ()
        while True:
            identifier = secrets.token_hex(32)
            routed = (*self._ground.destinations(bridge), *refused)
            made = self._records.add(partial(_designed, identifier, options, owner, routed, self._pools))
            faults.point("network create: wrote the record")
            try:
                self._ground.make(made)
            except BaseException as error:
                self._records.remove(made)
                self._ground.unmake(made)
                if not isinstance(error, Overlap) or error.version in {each.version for each in given}:
                    raise
                # Another engine, or a VPN, was faster than we with what we have chosen: on to the next.
                ours = (each.subnet for each in made.subnets if each.version == error.version)
                refused = (*refused, *((each, "somebody else") for each in ours))
            else:
                return made

    def remove(self, network: Network) -> None:
        """Remove a network on which no container runs.

        Raises:
            Forbidden: it is one that every engine has.
            Conflict: a container that runs is on it.
        """
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        self._records.remove(network)
        faults.point("network remove: removed the record")
        self._ground.unmake(network)

    def _predefined(self, name: str) -> Network:
        return Network(self._id(name), name, PREDEFINED[name], created_at=self._since)

    def _with_subnets(self, network: Network) -> Network:
        if network.name != plan.DEFAULT:
            return network
        form = self._ground.default()
        options = {
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.name": form.bridge,
            "com.docker.network.driver.mtu": str(form.mtu),
        }
        return structs.replace(network, subnets=form.subnets, options=options)

    def _id(self, name: str) -> str:
        return hashlib.sha256(f"{self._root}/{name}".encode()).hexdigest()


def _check(options: NetworkOptions) -> None:
    if options.name in PREDEFINED:
        raise Forbidden(f"operation is not permitted on predefined {options.name} network")
    if not _NAME.match(options.name):
        raise InvalidInput(
            f"invalid network name {options.name!r}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            if options.name
            else "network name can not be empty"
        )
    if options.driver in {"host", "null"}:
        raise Forbidden(f'only one instance of "{options.driver}" network is allowed')
    if options.driver not in DRIVERS:
        raise NotFound(f"could not find plugin {options.driver}", hint=f"the drivers are {', '.join(DRIVERS)}")
    if not options.ipv4 and not options.ipv6:
        raise InvalidInput("IPv4 or IPv6 must be enabled")
    meant = plan.read_options(options.driver, options.options)
    if options.ipv6 and 0 < meant.mtu < plan.SMALLEST_MTU_IPV6:
        raise InvalidInput(
            f"invalid MTU {meant.mtu}: IPv6 needs {plan.SMALLEST_MTU_IPV6} at least", hint="leave it out, or --ipv6"
        )
    if plan.is_own_bridge(meant.bridge):
        raise InvalidInput(
            f"invalid value {meant.bridge!r} for the option name: Kist calls bridges so whose names it chooses",
            hint="leave it out, or choose another one",
        )
    publishing.host_address(meant.host_ip)
    _check_subnets(options)


def _check_subnets(options: NetworkOptions) -> None:
    for version, enabled in ((4, options.ipv4), (6, options.ipv6)):
        given = [subnet for subnet in options.subnets if subnet.subnet and subnet.version == version]
        if given and not enabled:
            option = "--ipv6" if version == 6 else "--ipv4"
            raise InvalidInput(f"{option} is off, and there is an IPv{version} subnet: {given[0].subnet}")
        if len(given) > 1:
            raise Unsupported(f"a network has one IPv{version} subnet, not {len(given)}", hint="make two networks")
    for subnet in options.subnets:
        if subnet.subnet:
            addresses.check_subnet(subnet)
        elif subnet.ip_range or subnet.gateway or subnet.reserved:
            raise InvalidInput("a gateway, range or auxiliary address needs a subnet", hint="give it with --subnet")


def _designed(
    identifier: str,
    options: NetworkOptions,
    owner: int,
    routed: Iterable[tuple[str, str]],
    pools: Pools,
    others: Iterable[Network],
) -> Network:
    """The network as it will be, beside the others that there are."""
    others = tuple(others)
    if any(network.name == options.name for network in others):
        raise Conflict(f"network with name {options.name} already exists", hint="`kist network ls` lists the networks")
    _check_device(options, others)
    theirs = [(network.name, subnet) for network in others for subnet in network.subnets]
    # Machines on the parent's network have addresses of it, which the host routes there.
    routed = () if options.driver in parents.DRIVERS else tuple(routed)
    taken = (*((subnet.subnet, f"the network {name}") for name, subnet in theirs), *routed)
    subnets = []
    for version, enabled in ((4, options.ipv4), (6, options.ipv6)):
        if not enabled:
            continue
        given = next((each for each in options.subnets if each.subnet and each.version == version), None)
        if given is None:
            given = Subnet(_free(taken, pools) if version == 4 else addresses.unique_local(identifier))
        else:
            given = addresses.canonical(given)
            _check_overlap(given.subnet, theirs, [destination for destination, _ in routed])
        subnets.append(_with_gateway(given))
    return Network(
        id=identifier,
        name=options.name,
        driver=options.driver,
        created_at=time.time_ns(),
        subnets=tuple(subnets),
        ipv4=options.ipv4,
        ipv6=options.ipv6,
        internal=options.internal,
        attachable=options.attachable,
        options=options.options,
        labels=options.labels,
        ipam_options=options.ipam_options,
        owner=owner,
    )


def _free(taken: Sequence[tuple[str, str]], pools: Pools) -> str:
    """A subnet that is none of those that are taken, each with who has it."""
    try:
        return addresses.choose_from_pools((subnet for subnet, _ in taken), pools)
    except Unavailable as error:
        told = addresses.takers(taken, [base for base, _ in pools])
        raise Unavailable(f"{error.message}, which are taken by {told}", hint=error.hint) from None


def _check_device(options: NetworkOptions, others: Iterable[Network]) -> None:
    wanted = plan.read_options(options.driver, options.options).bridge
    for network in others:
        if wanted and plan.read_options(network.driver, network.options).bridge == wanted:
            raise Conflict(f"cannot create network {options.name}: the network {network.name} has the device {wanted}")


def _check_overlap(subnet: str, theirs: Iterable[tuple[str, Subnet]], routed: Iterable[str]) -> None:
    for name, other in theirs:
        if addresses.overlapping(subnet, [other.subnet]):
            raise Forbidden(
                f"invalid pool request: Pool overlaps with other one on this address space: {subnet} with "
                f"{other.subnet} of the network {name}",
                hint="choose another --subnet, or leave it out",
            )
    if route := addresses.overlapping(subnet, routed):
        raise Conflict(
            f"the subnet {subnet} overlaps the host's route to {route}",
            hint="choose another --subnet, or leave it out; `ip route` shows the routes",
        )


def _with_gateway(subnet: Subnet) -> Subnet:
    """The subnet with the gateway that it gets where none is given: its first address that is not reserved."""
    if subnet.gateway:
        return subnet
    first = addresses.first_address(subnet.subnet)
    if first in subnet.reserved.values():
        whole = structs.replace(subnet, ip_range="")
        first = addresses.choose_address(whole, ())
    return structs.replace(subnet, gateway=first)
