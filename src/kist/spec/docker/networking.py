"""A container's network settings in a create body: of HostConfig and of NetworkingConfig (Engine API)."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from kist.errors import InvalidInput
from kist.spec.container import Container
from kist.spec.docker import fields
from kist.spec.network import PREDEFINED
from kist.spec.networking import (
    LARGEST_PORT,
    Endpoint,
    NetworkAttachment,
    Networking,
    PortBinding,
    is_port,
    joins_alone,
    read_exposed,
)

READ = frozenset(
    {"Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Links", "NetworkMode", "PortBindings", "PublishAllPorts"}
)
_ENDPOINT = frozenset({"Aliases", "DriverOpts", "GwPriority", "IPAMConfig", "Links", "MacAddress"})
# What inspect shows of an endpoint: clients send back what they got.
_SHOWN = frozenset(
    {
        "DNSNames", "EndpointID", "Gateway", "GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPAddress", "IPPrefixLen",
        "IPv6Gateway", "NetworkID",
    }
)  # fmt: skip
_ADDRESSES = frozenset({"IPv4Address", "IPv6Address", "LinkLocalIPs"})
_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})


def read_network_mode(body: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    """The network that the container is on."""
    if fields.flag(body, "NetworkDisabled"):
        return "none"
    mode = fields.text(host, "NetworkMode")
    return "bridge" if mode in {"", "default"} else mode


def read_networking(body: Mapping[str, Any], host: Mapping[str, Any], mode: str) -> Networking:
    """Everything else that is told about the network.

    Raises:
        InvalidInput: a field has the wrong type, or a port is none.
        Unsupported: an endpoint is to have what none has here.
    """
    return Networking(
        endpoints=_read_endpoints(body, host, mode),
        links=fields.texts(host, "Links"),
        extra_hosts=fields.texts(host, "ExtraHosts"),
        dns=fields.texts(host, "Dns"),
        dns_search=fields.texts(host, "DnsSearch"),
        dns_options=fields.texts(host, "DnsOptions"),
        ports=tuple(_read_ports(fields.table(host, "PortBindings"))),
        publish_all=fields.flag(host, "PublishAllPorts"),
        exposed_ports=tuple(_check_port(text) for text in fields.table(body, "ExposedPorts")),
    )


def _read_endpoints(body: Mapping[str, Any], host: Mapping[str, Any], mode: str) -> tuple[Endpoint, ...]:
    """The endpoint of the mode's own network first, where anything is told of it, and then the others."""
    told = fields.table(fields.table(body, "NetworkingConfig"), "EndpointsConfig")
    own = {"default", "", host.get("NetworkMode"), mode}
    found = {
        mode if name in own else name: read_endpoint(mode if name in own else name, each) for name, each in told.items()
    }
    if found == {mode: Endpoint(mode)}:
        return ()  # it asks for nothing
    return tuple(found[name] for name in sorted(found, key=lambda name: name != mode))


def read_endpoint(network: str, settings: Any, name: str = "EndpointsConfig") -> Endpoint:
    """What a container is to have on a network (Engine API, EndpointSettings), ``name`` is the field it comes from.

    Raises:
        InvalidInput, Unsupported: as for ``read_networking``.
    """
    found = fields.object_of({} if settings is None else settings, name)
    fields.refuse_unknown(found, _ENDPOINT | _SHOWN, {}, "EndpointsConfig.")
    addresses = fields.table(found, "IPAMConfig")
    fields.refuse_unknown(addresses, _ADDRESSES, {}, "IPAMConfig.")
    return Endpoint(
        network,
        aliases=fields.texts(found, "Aliases"),
        ip=fields.text(addresses, "IPv4Address"),
        ip6=fields.text(addresses, "IPv6Address"),
        link_local_ips=fields.texts(addresses, "LinkLocalIPs"),
        mac=fields.text(found, "MacAddress"),
        links=fields.texts(found, "Links"),
        driver_options=fields.text_table(found, "DriverOpts"),
        priority=fields.number(found, "GwPriority"),
    )


def _read_ports(table: Mapping[str, Any]) -> Iterable[PortBinding]:
    for name, bindings in table.items():
        port, protocol = split_port(name)
        if bindings is not None and not isinstance(bindings, list):
            raise InvalidInput(f"invalid JSON: PortBindings of {name} must be an array")
        # A port without a binding is published on one that is free.
        for value in bindings or [{}]:
            binding = fields.object_of(value, "PortBindings")
            yield PortBinding(port, protocol, fields.text(binding, "HostIp"), fields.text(binding, "HostPort"))


def write_published(container: Container) -> dict[str, list[dict[str, str]] | None]:
    """``Ports`` of inspect: every port that is published or exposed, and where."""
    shown: dict[str, list[dict[str, str]] | None] = dict.fromkeys(sorted(container.config.exposed_ports or {}))
    for each in container.state.ports:
        name = f"{each.port}/{each.protocol}"
        shown[name] = [*(shown.get(name) or ()), {"HostIp": each.host_ip, "HostPort": str(each.host_port)}]
    return shown


def write_port_list(container: Container) -> list[dict[str, Any]]:
    """``Ports`` of the list."""
    if not container.state.running:
        return []
    published = {(each.port, each.protocol) for each in container.state.ports}
    exposed = read_exposed(sorted(container.config.exposed_ports or {}))
    shown: list[dict[str, Any]] = [
        {"PrivatePort": port, "Type": protocol} for port, protocol in exposed if (port, protocol) not in published
    ]
    return shown + [
        {"IP": each.host_ip, "PrivatePort": each.port, "PublicPort": each.host_port, "Type": each.protocol}
        for each in container.state.ports
    ]


def split_port(text: str) -> tuple[int, str]:
    """``80/tcp`` as its parts; the protocol is tcp where none is named.

    Raises:
        InvalidInput: the port is no number from 1 to 65535, or the protocol unknown.
    """
    number, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if not is_port(number):
        raise InvalidInput(f"invalid port {text!r}", hint=f"a port is a number from 1 to {LARGEST_PORT}")
    if protocol not in _PROTOCOLS:
        raise InvalidInput(f"invalid port {text!r}: unknown protocol {protocol!r}", hint="tcp, udp or sctp")
    return int(number), protocol


def _check_port(text: str) -> str:
    port, protocol = split_port(text)
    return f"{port}/{protocol}"


def write_networking(networking: Networking, mode: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the body, and those of HostConfig; the readers give them back."""
    ports: dict[str, list[dict[str, str]]] = {}
    for each in networking.ports:
        bindings = ports.setdefault(f"{each.port}/{each.protocol}", [])
        bindings.append({"HostIp": each.host_ip, "HostPort": each.host_port})
    host = {
        "NetworkMode": mode,
        "PortBindings": ports,
        "PublishAllPorts": networking.publish_all,
        "Dns": list(networking.dns),
        "DnsOptions": list(networking.dns_options),
        "DnsSearch": list(networking.dns_search),
        "ExtraHosts": list(networking.extra_hosts) or None,
        "Links": list(networking.links) or None,
    }
    body: dict[str, Any] = {}
    if networking.exposed_ports:
        body["ExposedPorts"] = {port: {} for port in networking.exposed_ports}
    if networking.endpoints:
        endpoints = {each.network: write_endpoint(each) for each in networking.endpoints}
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    return body, host


def write_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """What is asked for on a network; ``read_endpoint`` gives it back."""
    addresses = {
        "IPv4Address": endpoint.ip,
        "IPv6Address": endpoint.ip6,
        "LinkLocalIPs": list(endpoint.link_local_ips),
    }
    return {
        "IPAMConfig": {name: value for name, value in addresses.items() if value} or None,
        "Links": list(endpoint.links) or None,
        "Aliases": list(endpoint.aliases) or None,
        "MacAddress": endpoint.mac,
        "DriverOpts": endpoint.driver_options or None,
        "GwPriority": endpoint.priority,
    }


def write_endpoints(container: Container) -> dict[str, Any]:
    """``Networks`` of inspect: what is asked for on each, and what the container has there while it runs."""
    endpoints = container.options.networking.endpoints
    if not endpoints:
        mode = container.options.network
        return {mode: _write_attached(Endpoint(mode), None, container)} if joins_alone(mode) else {}
    held = {each.network: each for each in container.networks}
    return {each.network: _write_attached(each, held.get(each.network), container) for each in endpoints}


def _write_attached(endpoint: Endpoint, attachment: NetworkAttachment | None, container: Container) -> dict[str, Any]:
    found = attachment or NetworkAttachment(endpoint.network)
    address, _, length = found.address.partition("/")
    address6, _, length6 = found.address6.partition("/")
    return write_endpoint(endpoint) | {
        "MacAddress": found.mac if attachment else endpoint.mac,
        "NetworkID": found.network_id,
        "EndpointID": endpoint_id(container.id, found.network_id) if attachment else "",
        "Gateway": found.gateway,
        "IPAddress": address,
        "IPPrefixLen": int(length or 0),
        "IPv6Gateway": found.gateway6,
        "GlobalIPv6Address": address6,
        "GlobalIPv6PrefixLen": int(length6 or 0),
        "DNSNames": list(names_on(container, endpoint)) or None,
    }


def names_on(container: Container, endpoint: Endpoint) -> tuple[str, ...]:
    """What others on a network call a container: nothing on the default one."""
    if endpoint.network in PREDEFINED:
        return ()
    names = (container.name, *endpoint.aliases, container.id[:12], container.options.hostname)
    return tuple(dict.fromkeys(name for name in names if name))


def endpoint_id(container: str, network: str) -> str:
    """The id of a container's end on a network: 64 hexadecimal digits that follow from both ids."""
    return hashlib.sha256(f"{container}/{network}".encode()).hexdigest()
