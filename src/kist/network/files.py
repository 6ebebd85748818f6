"""The files that tell a container about its network: resolv.conf(5), hosts(5) and hostname(5), as texts; all pure."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from kist.errors import InvalidInput
from kist.spec.networking import NOTHING, Networking

RESOLV_CONF = "/etc/resolv.conf"
UPSTREAM_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
HOST_GATEWAY = "host-gateway"


def name_servers(resolv_conf: str) -> list[str]:
    """All name servers of a resolv.conf, in order."""
    return _values(resolv_conf, "nameserver")


def host_resolvers(resolv_conf: str) -> list[str]:
    """The name servers of a resolv.conf that a container can reach: all but the host's loopback ones."""
    return [server for server in _values(resolv_conf, "nameserver") if _reachable(server)]


def resolv_file(host: str, upstream: str = "", wanted: Networking = NOTHING, resolver: str = "") -> str:
    """A container's /etc/resolv.conf.

    Args:
        host: the text of the host's /etc/resolv.conf.
        upstream: the text of ``UPSTREAM_RESOLV_CONF`` where it exists: what systemd-resolved itself asks. It counts
            where the host's has loopback servers only.
        wanted: ``dns``, ``dns_search`` and ``dns_options``, each in place of what the host has.
        resolver: a name server on the network that asks the host's, for a host whose own are all loopback ones.
    """
    if resolver and not host_resolvers(host):
        return _resolv_text(wanted.dns or [resolver], host, wanted)
    source = host if host_resolvers(host) or not host_resolvers(upstream) else upstream
    return _resolv_text(wanted.dns or host_resolvers(source), source, wanted)


def served_resolv_file(host: str, address: str, wanted: Networking = NOTHING) -> str:
    """The /etc/resolv.conf of a container that has a name server of its own.

    Args:
        host: the text of the host's.
        address: of the name server.
        wanted: ``dns_search`` and ``dns_options``, each in place of what the host has; a loopback address of ``dns`` is
            one in the container, so the container asks it itself.
    """
    own = [server for server in wanted.dns if not _reachable(server)]
    others = len(own) < len(wanted.dns) or not own
    # A name without a dot is a container's more often than it lacks its domain.
    return _resolv_text([*own, *[address] * others], host, wanted, dots="ndots:0")


def servers_outside(servers: Iterable[str]) -> list[str]:
    """Those of these name servers that the container's own asks: all but loopback ones, which are in the container."""
    return [server for server in servers if _reachable(server)]


def host_resolv_file(host: str, wanted: Networking) -> str:
    """The /etc/resolv.conf of a container in the host's network: the host's own, unless something is asked for."""
    if not (wanted.dns or wanted.dns_search or wanted.dns_options):
        return host
    return _resolv_text(wanted.dns or _values(host, "nameserver"), host, wanted)


def _resolv_text(servers: Iterable[str], source: str, wanted: Networking, dots: str = "") -> str:
    """The lines of a resolv.conf; ``dots`` is an option that is there unless another of its name is."""
    lines = [f"nameserver {server}" for server in servers] or ["# The host has no name server that can be reached"]
    # "." alone asks for no search domain at all, as in Docker.
    search = [] if wanted.dns_search == (".",) else [" ".join(wanted.dns_search)] * bool(wanted.dns_search)
    lines += [f"search {value}" for value in (search if wanted.dns_search else _lines(source, "search"))]
    options = [" ".join(wanted.dns_options)] if wanted.dns_options else _lines(source, "options")
    if dots and not any(word.startswith("ndots:") for value in options for word in value.split()):
        options = [" ".join([dots, *options[:1]]), *options[1:]]
    lines += [f"options {value}" for value in options]
    return "\n".join(lines) + "\n"


def hosts_file(
    hostname: str, addresses: Iterable[str] = (), domainname: str = "", extra: Iterable[tuple[str, str]] = ()
) -> str:
    """A container's /etc/hosts (hosts(5)); without an address, on no network, its name is a loopback one.

    Args:
        hostname: of the container.
        addresses: its own, with or without their prefix lengths.
        domainname: the rest of its full name.
        extra: addresses and names, which stand before the container's own.
    """
    own = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    names = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet",
        "ff00::\tip6-mcastprefix",
        "ff02::1\tip6-allnodes",
        "ff02::2\tip6-allrouters",
        *(f"{other}\t{name}" for other, name in extra),
        *(f"{address.partition('/')[0]}\t{own}" for address in tuple(addresses) or ("127.0.1.1",)),
    ]
    return "\n".join(names) + "\n"


def hostname_file(hostname: str) -> str:
    """A container's /etc/hostname."""
    return hostname + "\n"


def read_extra_host(text: str, gateway: str = "") -> tuple[str, str]:
    """``NAME:ADDRESS`` or ``NAME=ADDRESS`` as address and name; ``host-gateway`` stands for ``gateway``.

    Raises:
        InvalidInput: it is not of that form, or the address is none.
    """
    name, colon, address = text.partition("=") if "=" in text else text.partition(":")
    address = address.removeprefix("[").removesuffix("]")
    if not name or not colon or not address or set(name) & set(" \t\n#"):
        raise InvalidInput(f"bad format for add-host: {text!r}", hint="write NAME:ADDRESS, or NAME:host-gateway")
    if address == HOST_GATEWAY:
        return gateway, name
    try:
        return str(ip_address(address)), name
    except ValueError:
        raise InvalidInput(
            f"invalid IP address in add-host: {address!r}", hint="write NAME:ADDRESS, or NAME:host-gateway"
        ) from None


def _lines(resolv_conf: str, keyword: str) -> list[str]:
    # resolv.conf(5): a keyword at the start of the line, then white space; ; and # begin a comment line.
    split = (line.split(None, 1) for line in resolv_conf.splitlines() if not line[:1].isspace())
    return [parts[1].strip() for parts in split if len(parts) == 2 and parts[0] == keyword]


def _values(resolv_conf: str, keyword: str) -> list[str]:
    return [value.split()[0] for value in _lines(resolv_conf, keyword)]


@lru_cache(maxsize=16)
def _reachable(server: str) -> bool:
    try:
        address = ip_address(server.partition("%")[0])
    except ValueError:
        return False
    # A zone (fe80::1%eth0) names a device that the container does not have.
    return not (address.is_loopback or address.is_unspecified or address.is_link_local)
