"""Options of a container's network that cannot be right, alone or together: refused before anything is made."""

import contextlib
from collections.abc import Sequence
from ipaddress import ip_address

from msgspec import structs

from kist.engine import links, publishing
from kist.engine.catalogue import Catalogue
from kist.errors import Forbidden, InvalidInput, NotFound
from kist.network import files, plan
from kist.spec.container import ContainerOptions
from kist.spec.network import Network
from kist.spec.networking import Endpoint, Networking, joins_alone
from kist.spec.owner import Owner, uid_of, whose

_MAC_PARTS = 6
_SHARED = "container:"
_ALONE = frozenset({"host", "none"})


def check(options: ContainerOptions) -> None:
    """Refuse what cannot be right.

    Raises:
        InvalidInput: names the option, the value, and what is allowed.
    """
    wanted = options.networking
    publishing.check(options)
    for text in wanted.extra_hosts:
        files.read_extra_host(text)
    for server in wanted.dns:
        _check_address(server, "--dns")
    for link in wanted.links:
        links.read_link(link)
    for endpoint in wanted.endpoints:
        check_endpoint(endpoint)
    if options.network.startswith(_SHARED):
        _check_shared(options, wanted)
    elif options.network in _ALONE:
        _check_without_bridge(options.network, wanted)


def check_endpoint(endpoint: Endpoint) -> None:
    """Refuse what nothing on a network can have.

    Raises:
        InvalidInput: as for ``check``.
    """
    if endpoint.ip:
        _check_address(endpoint.ip, "--ip", 4)
    if endpoint.ip6:
        _check_address(endpoint.ip6, "--ip6", 6)
    for address in endpoint.link_local_ips:
        _check_address(address, "--link-local-ip")
    if endpoint.mac:
        _check_mac(endpoint.mac)
    plan.device_of(endpoint)
    plan.settings_of(endpoint)
    if endpoint.aliases and endpoint.network == plan.DEFAULT:
        raise InvalidInput(
            f"--network-alias {endpoint.aliases[0]}: network-scoped aliases are only supported for user-defined "
            "networks",
            hint="make a network of your own (kist network create NAME), or link the containers: --link NAME:ALIAS",
        )
    for link in endpoint.links:
        links.read_link(link)


def check_owner(network: Network, owner: Owner | None) -> None:
    """Refuse a network that is neither everybody's nor of a container's owner (None: the engine's user).

    Raises:
        Forbidden: it is somebody else's.
    """
    if not network.predefined and network.owner != uid_of(owner):
        raise Forbidden(
            f"the network {network.name} belongs to {whose(network.owner, uid_of(owner))}",
            hint="choose another name for your own",
        )


def settle(options: ContainerOptions, networks: Catalogue, owner: Owner | None = None) -> ContainerOptions:
    """The options with an endpoint for each network that the container is on, by the networks' own names.

    Raises:
        InvalidInput: there is no such network, or it cannot be what is asked for.
        Forbidden: it is somebody else's than the owner's.
    """
    asked = options.networking.endpoints
    if joins_alone(options.network):
        further = next((each.network for each in asked if each.network != options.network), "")
        if further:
            raise InvalidInput(
                f"conflicting options: --network {options.network} goes with no other network ({further})"
            )
        return structs.replace(options, networking=structs.replace(options.networking, endpoints=()))
    if not any(each.network == options.network for each in asked):
        asked = (Endpoint(options.network), *asked)
    endpoints = tuple(structs.replace(each, network=_known(each.network, networks, owner)) for each in asked)
    _check_names(endpoints)
    named = next(
        each.network for each, before in zip(endpoints, asked, strict=True) if before.network == options.network
    )
    networking = structs.replace(options.networking, endpoints=endpoints)
    return structs.replace(options, network=named, networking=networking)


def _known(name: str, networks: Catalogue, owner: Owner | None) -> str:
    try:
        found = networks.get(name)
    except NotFound as error:
        # Docker's client takes a 404 of a create for a missing image, and pulls it.
        raise InvalidInput(error.message, hint=error.hint) from None
    if found.name in _ALONE:
        raise InvalidInput(f"conflicting options: --network {found.name} goes with no other network")
    check_owner(found, owner)
    return found.name


def _check_names(endpoints: Sequence[Endpoint]) -> None:
    seen: set[str] = set()
    for endpoint in endpoints:
        if endpoint.network in seen:
            raise InvalidInput(f"the network {endpoint.network} is named twice")
        seen.add(endpoint.network)
        check_endpoint(endpoint)


def warnings(options: ContainerOptions) -> tuple[str, ...]:
    """What of these options has no effect, in Docker's words."""
    if options.network == "host" and options.networking.ports:
        return ("Published ports are discarded when using host network mode",)
    return ()


def _check_address(text: str, option: str, version: int = 0) -> None:
    with contextlib.suppress(ValueError):
        if ip_address(text).version in {version or 4, version or 6}:
            return
    kind = f"IPv{version}" if version else "IP"
    raise InvalidInput(f"invalid value {text!r} for {option}: it is no {kind} address")


def _check_mac(text: str) -> None:
    parts = text.replace("-", ":").split(":")
    try:
        good = len(parts) == _MAC_PARTS and all(len(part) == 2 and int(part, 16) >= 0 for part in parts)
    except ValueError:
        good = False
    if not good:
        raise InvalidInput(f"invalid MAC address: {text!r}", hint="write six bytes, as 02:42:ac:11:00:02")
    if not any(int(part, 16) for part in parts):
        raise InvalidInput(f"invalid MAC address: {text!r}: no device has it", hint="leave it out for one that follows")
    if int(parts[0], 16) & 1:
        raise InvalidInput(f"invalid MAC address: {text!r}: it is one of a group", hint="make its first byte even")


def _check_shared(options: ContainerOptions, wanted: Networking) -> None:
    """Docker's words: whoever shares a network has its names, ports and addresses too."""
    conflicts = (
        (options.hostname, "hostname and the network mode"),
        (wanted.dns or wanted.dns_search or wanted.dns_options, "dns and the network mode"),
        (wanted.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (wanted.links, "links and the network mode"),
        (any(map(_is_told, wanted.endpoints)), "mac-address, ip and the network mode"),
        (wanted.ports or wanted.publish_all, "port publishing and the container type network mode"),
        (wanted.exposed_ports, "port exposing and the container type network mode"),
    )
    for is_set, words in conflicts:
        if is_set:
            raise InvalidInput(
                f"conflicting options: {words}", hint="give it to the container whose network this one shares"
            )


def _check_without_bridge(network: str, wanted: Networking) -> None:
    if wanted.links:
        raise InvalidInput(f"conflicting options: {network} type networking can't be used with links")
    for endpoint in wanted.endpoints:
        given = (
            ("--ip", endpoint.ip), ("--ip6", endpoint.ip6), ("--mac-address", endpoint.mac),
            ("--network-alias", endpoint.aliases),
        )  # fmt: skip
        if told := ", ".join(option for option, value in given if value):
            raise InvalidInput(
                f"conflicting options: {told} and the network {network}",
                hint="make a network of your own: kist network create NAME",
            )


def _is_told(endpoint: Endpoint) -> bool:
    """Whether something is asked for that only an end on a network has."""
    return bool(endpoint.ip or endpoint.ip6 or endpoint.mac)
