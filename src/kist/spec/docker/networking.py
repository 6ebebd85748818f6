"""A container's network settings in a create body: of HostConfig and of NetworkingConfig (Engine API)."""

from collections.abc import Iterable, Mapping
from typing import Any

from kist.errors import InvalidInput, Unsupported
from kist.spec.container import Container
from kist.spec.docker import fields
from kist.spec.networking import Networking, PortBinding

READ = frozenset(
    {"Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Links", "NetworkMode", "PortBindings", "PublishAllPorts"}
)
_ENDPOINT = frozenset({"Aliases", "DriverOpts", "IPAMConfig", "Links", "MacAddress"})
_ADDRESSES = frozenset({"IPv4Address", "IPv6Address", "LinkLocalIPs"})
_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_LARGEST_PORT = 0xFFFF


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
        Unsupported: a second network.
    """
    endpoint = _endpoint(body, host, mode)
    addresses = fields.table(endpoint, "IPAMConfig")
    fields.refuse_unknown(addresses, _ADDRESSES, {}, "IPAMConfig.")
    return Networking(
        aliases=fields.texts(endpoint, "Aliases"),
        ip=fields.text(addresses, "IPv4Address"),
        ip6=fields.text(addresses, "IPv6Address"),
        link_local_ips=fields.texts(addresses, "LinkLocalIPs"),
        mac=fields.text(endpoint, "MacAddress") or fields.text(body, "MacAddress"),
        links=fields.texts(host, "Links") or fields.texts(endpoint, "Links"),
        extra_hosts=fields.texts(host, "ExtraHosts"),
        dns=fields.texts(host, "Dns"),
        dns_search=fields.texts(host, "DnsSearch"),
        dns_options=fields.texts(host, "DnsOptions"),
        ports=tuple(_read_ports(fields.table(host, "PortBindings"))),
        publish_all=fields.flag(host, "PublishAllPorts"),
        exposed_ports=tuple(_check_port(text) for text in fields.table(body, "ExposedPorts")),
        driver_options=fields.text_table(endpoint, "DriverOpts"),
    )


def _endpoint(body: Mapping[str, Any], host: Mapping[str, Any], mode: str) -> Mapping[str, Any]:
    """The settings of the one network that the container is created on."""
    endpoints = fields.table(fields.table(body, "NetworkingConfig"), "EndpointsConfig")
    own = {"default", "", host.get("NetworkMode"), mode}
    for network in endpoints:
        if network not in own:
            raise Unsupported(
                f"a second network ({network!r}) is not supported yet", hint="name one network with --network"
            )
    found: Mapping[str, Any] = {}
    for settings in endpoints.values():
        found = fields.object_of(settings or {}, "EndpointsConfig")
        fields.refuse_unknown(found, _ENDPOINT, {}, "NetworkingConfig.EndpointsConfig.")
    return found


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
    # An image may hold anything there; what is no number is no port.
    pairs = (port.partition("/")[::2] for port in sorted(container.config.exposed_ports or {}))
    exposed = [(int(number), protocol or "tcp") for number, protocol in pairs if _is_port(number)]
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
    if not _is_port(number):
        raise InvalidInput(f"invalid port {text!r}", hint=f"a port is a number from 1 to {_LARGEST_PORT}")
    if protocol not in _PROTOCOLS:
        raise InvalidInput(f"invalid port {text!r}: unknown protocol {protocol!r}", hint="tcp, udp or sctp")
    return int(number), protocol


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) <= _LARGEST_PORT


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
    return _write_body(networking, mode), host


def _write_body(networking: Networking, mode: str) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if networking.exposed_ports:
        body["ExposedPorts"] = {port: {} for port in networking.exposed_ports}
    addresses = {
        "IPv4Address": networking.ip,
        "IPv6Address": networking.ip6,
        "LinkLocalIPs": list(networking.link_local_ips),
    }
    endpoint = {
        "IPAMConfig": {name: value for name, value in addresses.items() if value} or None,
        "Aliases": list(networking.aliases) or None,
        "MacAddress": networking.mac,
        "DriverOpts": networking.driver_options or None,
    }
    if any(endpoint.values()):
        body["NetworkingConfig"] = {"EndpointsConfig": {mode: endpoint}}
    return body
