"""Networks in Docker's JSON (Engine API, NetworkCreate, NetworkInspect, NetworkConnect …) and filters of their list."""

from collections.abc import Iterable, Mapping
from typing import Any

from kist.errors import InvalidInput, Unsupported
from kist.spec.docker import fields
from kist.spec.docker.filters import Filters, match_labels, read_filters, read_truth
from kist.spec.docker.networking import endpoint_id, read_endpoint, write_endpoint
from kist.spec.docker.times import write_time
from kist.spec.network import Member, Network, NetworkOptions, Subnet, SubnetUsage
from kist.spec.networking import Endpoint

_KNOWN = frozenset(
    {
        "Attachable", "CheckDuplicate", "Driver", "EnableIPv4", "EnableIPv6", "IPAM", "Internal", "Labels", "Name",
        "Options", "Scope",
    }
)  # fmt: skip
_FILTERS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_TYPES = ("builtin", "custom")
_MOST = 2**64 - 1


def read_create(body: Mapping[str, Any]) -> NetworkOptions:
    """The body of NetworkCreate.

    Raises:
        InvalidInput: a field is of the wrong kind.
        Unsupported: it asks for what is not done (networks of a cluster).
    """
    fields.refuse_unknown(body, _KNOWN, {})
    scope = fields.text(body, "Scope")
    if scope not in {"", "local"}:
        raise Unsupported(f"networks of the scope {scope!r} are not supported", hint="a network is of this machine")
    ipam = fields.table(body, "IPAM")
    if fields.text(ipam, "Driver") not in {"", "default"}:
        raise Unsupported(f"the IPAM driver {ipam['Driver']!r} is not supported", hint="leave it out: it is default")
    subnets = [_read_subnet(entry) for entry in fields.items(ipam, "Config")]
    asks_for_ipv6 = any(subnet.subnet and subnet.version == 6 for subnet in subnets)
    return NetworkOptions(
        name=fields.text(body, "Name"),
        driver=fields.text(body, "Driver") or "bridge",
        subnets=tuple(subnets),
        ipv4=fields.flag(body, "EnableIPv4") if body.get("EnableIPv4") is not None else True,
        ipv6=fields.flag(body, "EnableIPv6") if body.get("EnableIPv6") is not None else asks_for_ipv6,
        internal=fields.flag(body, "Internal"),
        attachable=fields.flag(body, "Attachable"),
        options=fields.text_table(body, "Options"),
        labels=fields.text_table(body, "Labels"),
        ipam_options=fields.text_table(ipam, "Options"),
    )


def _read_subnet(entry: Any) -> Subnet:
    found = fields.object_of(entry, "IPAM.Config")
    # Docker 20.10 and older write the long word; the definition has AuxiliaryAddresses, the code AuxAddress.
    reserved = fields.text_table(found, "AuxiliaryAddresses") or fields.text_table(found, "AuxAddress")
    return Subnet(
        subnet=fields.text(found, "Subnet"),
        gateway=fields.text(found, "Gateway"),
        ip_range=fields.text(found, "IPRange"),
        reserved=reserved,
    )


def write_create(options: NetworkOptions) -> dict[str, Any]:
    """What ``read_create`` reads back."""
    return {
        "Name": options.name,
        "Driver": options.driver,
        "EnableIPv4": options.ipv4,
        "EnableIPv6": options.ipv6,
        "IPAM": _write_ipam(options.subnets, options.ipam_options),
        "Internal": options.internal,
        "Attachable": options.attachable,
        "Options": options.options,
        "Labels": options.labels,
    }


def _write_ipam(subnets: Iterable[Subnet], options: Mapping[str, str]) -> dict[str, Any]:
    config = []
    for subnet in subnets:
        written: dict[str, Any] = {"Subnet": subnet.subnet}
        written |= {"IPRange": subnet.ip_range} if subnet.ip_range else {}
        written |= {"Gateway": subnet.gateway} if subnet.gateway else {}
        written |= {"AuxiliaryAddresses": subnet.reserved} if subnet.reserved else {}
        config.append(written)
    return {"Driver": "default", "Options": dict(options) or None, "Config": config}


def write_created(network: Network) -> dict[str, str]:
    """The answer of NetworkCreate."""
    return {"Id": network.id, "Warning": ""}


def write_network(network: Network) -> dict[str, Any]:
    """The answer of NetworkInspect."""
    members = {each.container: _write_member(network, each) for each in network.members}
    written = write_summary(network) | {"Containers": members}
    return written | {"Status": _write_status(network.usage)} if network.usage else written


def _write_status(usage: Iterable[SubnetUsage]) -> dict[str, Any]:
    """Counts are at most what 64 bits hold, as the definition says: a /64 of IPv6 has one more."""
    subnets = {
        each.subnet: {"IPsInUse": min(each.in_use, _MOST), "DynamicIPsAvailable": min(each.available, _MOST)}
        for each in usage
    }
    return {"IPAM": {"Subnets": subnets}}


def write_summary(network: Network) -> dict[str, Any]:
    """One entry of NetworkList."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": write_time(network.created_at),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": _write_ipam(network.subnets, network.ipam_options),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Options": network.options,
        "Labels": network.labels,
    }


def _write_member(network: Network, member: Member) -> dict[str, str]:
    return {
        "Name": member.name,
        "EndpointID": endpoint_id(member.container, network.id),
        "MacAddress": member.mac,
        "IPv4Address": member.address,
        "IPv6Address": member.address6,
    }


def write_list(networks: Iterable[Network]) -> list[dict[str, Any]]:
    """The answer of NetworkList."""
    return [write_summary(network) for network in networks]


def read_connect(body: Mapping[str, Any], network: str) -> tuple[str, Endpoint]:
    """The body of NetworkConnect: the container, and what it is to have on the network.

    Raises:
        InvalidInput, Unsupported: as for ``read_create``; no container is named.
    """
    fields.refuse_unknown(body, frozenset({"Container", "EndpointConfig"}), {})
    return _container(body), read_endpoint(network, body.get("EndpointConfig"), "EndpointConfig")


def write_connect(container: str, endpoint: Endpoint) -> dict[str, Any]:
    """What ``read_connect`` reads back."""
    return {"Container": container, "EndpointConfig": write_endpoint(endpoint)}


def read_disconnect(body: Mapping[str, Any]) -> tuple[str, bool]:
    """The body of NetworkDisconnect: the container, and whether by force."""
    fields.refuse_unknown(body, frozenset({"Container", "Force"}), {})
    return _container(body), fields.flag(body, "Force")


def _container(body: Mapping[str, Any]) -> str:
    name = fields.text(body, "Container").removeprefix("/")
    if not name:
        raise InvalidInput("no container is named", hint="set Container to its name or id")
    return name


def read_network_filters(text: str) -> Filters:
    """The filters of NetworkList.

    Raises:
        InvalidInput: a filter is unknown, or its value cannot be right.
    """
    filters = read_filters(text, _FILTERS)
    _dangling(filters)
    for value in filters.get("type", ()):
        if value not in _TYPES:
            raise InvalidInput(f"invalid filter 'type={value}'", hint="a network is builtin or custom")
    return filters


def _dangling(filters: Filters) -> set[bool]:
    return {read_truth("dangling", value, "no container is on it") for value in filters.get("dangling", ())}


def match_network(network: Network, filters: Filters, *, used: bool) -> bool:
    """Whether a network passes all filters: one value of each, and all labels; ``used``: a container is on it."""
    wanted = _dangling(filters)
    if wanted and (network.predefined or (not used) not in wanted):
        return False
    kind = "builtin" if network.predefined else "custom"
    exact = {"driver": network.driver, "scope": "local", "type": kind}
    for name, value in exact.items():
        if name in filters and value not in filters[name]:
            return False
    for name, value in (("id", network.id), ("name", network.name)):
        if name in filters and not any(part in value for part in filters[name]):
            return False
    return match_labels(network.labels, filters.get("label", ()))
