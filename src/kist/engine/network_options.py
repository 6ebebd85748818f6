"""Options of a container's network that cannot be right, alone or together: refused before anything is made."""

from ipaddress import ip_address

from kist.engine import links, publishing
from kist.errors import InvalidInput
from kist.network import files
from kist.spec.container import ContainerOptions
from kist.spec.networking import Networking

_MAC_PARTS = 6
_SHARED = "container:"
_NETWORKS = frozenset({"bridge", "host", "none"})


def check(options: ContainerOptions) -> None:
    """Refuse what cannot be right.

    Raises:
        InvalidInput: names the option, the value, and what is allowed.
    """
    wanted = options.networking
    if options.network not in _NETWORKS and not options.network.startswith(_SHARED):
        # Not NotFound: Docker's client takes a 404 of a create for a missing image, and pulls it.
        raise InvalidInput(
            f"network {options.network} not found", hint="the networks are bridge, host, none and container:NAME"
        )
    publishing.check(options)
    for text in wanted.extra_hosts:
        files.read_extra_host(text)
    for server in wanted.dns:
        _check_address(server, "--dns")
    for link in wanted.links:
        links.read_link(link)
    if wanted.ip:
        _check_address(wanted.ip, "--ip")
    if wanted.ip6:
        raise InvalidInput(f"--ip6 {wanted.ip6}: the default network has no IPv6 addresses", hint="leave --ip6 out")
    if wanted.link_local_ips:
        raise InvalidInput("--link-local-ip: the default network takes none", hint="leave it out")
    if wanted.aliases and options.network == "bridge":
        raise InvalidInput(
            f"--network-alias {wanted.aliases[0]}: network-scoped aliases are only supported for user-defined networks",
            hint="on the default network, link the containers: --link NAME:ALIAS",
        )
    if wanted.mac:
        _check_mac(wanted.mac)
    if options.network.startswith(_SHARED):
        _check_shared(options, wanted)
    elif options.network != "bridge":
        _check_without_bridge(options.network, wanted)


def warnings(options: ContainerOptions) -> tuple[str, ...]:
    """What of these options has no effect, in Docker's words."""
    if options.network == "host" and options.networking.ports:
        return ("Published ports are discarded when using host network mode",)
    return ()


def _check_address(text: str, option: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise InvalidInput(f"invalid value {text!r} for {option}: it is no IP address") from None


def _check_mac(text: str) -> None:
    parts = text.replace("-", ":").split(":")
    try:
        good = len(parts) == _MAC_PARTS and all(len(part) == 2 and int(part, 16) >= 0 for part in parts)
    except ValueError:
        good = False
    if not good:
        raise InvalidInput(f"invalid MAC address: {text!r}", hint="write six bytes, as 02:42:ac:11:00:02")
    if int(parts[0], 16) & 1:
        raise InvalidInput(f"invalid MAC address: {text!r}: it is one of a group", hint="make its first byte even")


def _check_shared(options: ContainerOptions, wanted: Networking) -> None:
    """Docker's words: whoever shares a network has its names, ports and addresses too."""
    conflicts = (
        (options.hostname, "hostname and the network mode"),
        (wanted.dns or wanted.dns_search or wanted.dns_options, "dns and the network mode"),
        (wanted.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (wanted.links, "links and the network mode"),
        (wanted.mac or wanted.ip, "mac-address, ip and the network mode"),
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
    if wanted.ip or wanted.mac:
        raise InvalidInput(f"conflicting options: --ip, --mac-address and the network {network}")
