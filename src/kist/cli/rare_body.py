"""The parts of a create body that few containers have: ports, networks, devices, health, attaching.

``kist.cli.create_body`` imports this when such an option was given, so that nobody else pays for it.
"""

from kist.cli.usage import UsageError
from kist.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.option import Arguments

_HEALTH = {
    "health_interval": "Interval",
    "health_timeout": "Timeout",
    "health_start_period": "StartPeriod",
    "health_start_interval": "StartInterval",
    "health_retries": "Retries",
}
_PAIRS = {"annotation": "Annotations", "storage_opt": "StorageOpt", "sysctl": "Sysctls"}


def add_rare(body: "dict[str, Any]", host: "dict[str, Any]", arguments: "Arguments") -> None:
    """Add what the options say.

    Raises:
        UsageError: two of them exclude each other.
        Unsupported: ``--use-api-socket``.
    """
    if arguments.flag("use_api_socket"):
        raise Unsupported(
            "--use-api-socket is not supported: it would give the container the whole engine",
            hint="-v with the engine's socket gives it that, if you mean it",
        )
    for key, field in _PAIRS.items():
        if pairs := arguments.all(key):
            host[field] = dict(pairs)
    _add_streams(body, arguments)
    _add_ports(body, host, arguments)
    _add_networks(body, host, arguments)
    _add_devices(host, arguments)
    _add_health(body, arguments)
    _add_security(host, arguments)
    _add_log(host, arguments)


def _add_streams(body: "dict[str, Any]", arguments: "Arguments") -> None:
    """``-a``: what it does not name is not attached."""
    if streams := arguments.all("attach"):
        body |= {f"Attach{name.capitalize()}": name in streams for name in ("stdin", "stdout", "stderr")}
        body["StdinOnce"] = body["AttachStdin"] and arguments.flag("interactive")


def _add_ports(body: "dict[str, Any]", host: "dict[str, Any]", arguments: "Arguments") -> None:
    exposed: dict[str, dict[str, str]] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for group in arguments.all("publish"):
        for port, address, host_port in group:
            exposed[port] = {}
            bindings.setdefault(port, []).append({"HostIp": address, "HostPort": host_port})
    for ports in arguments.all("expose"):
        exposed |= {port: {} for port in ports}
    if exposed:
        body["ExposedPorts"] = exposed
    if bindings:
        host["PortBindings"] = bindings


def _add_networks(body: "dict[str, Any]", host: "dict[str, Any]", arguments: "Arguments") -> None:
    """The first network takes the settings of ``--ip`` and its kin; each may have its own in words."""
    networks = _named_networks(arguments)
    mode = next(iter(networks), "default")
    common = _common_endpoint(arguments, mode)
    first = networks.setdefault(mode, {})
    _refuse_twice(first, common)
    first |= common
    if "network" in arguments.values:
        host["NetworkMode"] = mode
    if links := arguments.all("link"):
        host["Links"] = links
    if any(networks.values()) or len(networks) > 1:
        body["NetworkingConfig"] = {"EndpointsConfig": networks}


def _named_networks(arguments: "Arguments") -> "dict[str, dict[str, Any]]":
    networks: dict[str, dict[str, Any]] = {}
    for name, endpoint in arguments.all("network"):
        if name in networks:
            raise UsageError(f"network {name!r} is specified multiple times in --network")
        networks[name] = dict(endpoint)
    if len(networks) > 1:
        from kist.cli.words.networks import is_joined_alone  # noqa: PLC0415 - for several networks only

        if alone := next(filter(is_joined_alone, networks), None):
            raise UsageError(f"conflicting options: --network {alone} goes with no other network")
    return networks


def _common_endpoint(arguments: "Arguments", mode: str) -> "dict[str, Any]":
    endpoint: dict[str, Any] = {}
    if aliases := arguments.all("network_alias"):
        endpoint["Aliases"] = aliases
    if links := arguments.all("link"):
        from kist.cli.words.networks import is_made_by_users  # noqa: PLC0415 - for links only

        endpoint |= {"Links": links} if is_made_by_users(mode) else {}
    addresses = {
        "IPv4Address": arguments.text("ip"),
        "IPv6Address": arguments.text("ip6"),
        "LinkLocalIPs": arguments.all("link_local_ip"),
    }
    if given := {name: value for name, value in addresses.items() if value}:
        endpoint["IPAMConfig"] = given
    if mac := arguments.get("mac_address"):
        endpoint["MacAddress"] = mac
    return endpoint


_OPTION_OF = {
    "Aliases": "--network-alias and alias=",
    "IPAMConfig": "--ip, --ip6 or --link-local-ip and an address",
    "MacAddress": "--mac-address and mac-address=",
}


def _refuse_twice(own: "dict[str, Any]", common: "dict[str, Any]") -> None:
    for field in own:
        if field in common:
            raise UsageError(f"conflicting options: {_OPTION_OF[field]} in --network")


def _add_devices(host: "dict[str, Any]", arguments: "Arguments") -> None:
    nodes = [each for each in arguments.all("device") if isinstance(each, dict)]
    names = [each for each in arguments.all("device") if isinstance(each, str)]
    requests = arguments.all("gpus")
    if names:
        requests = [*requests, {"Driver": "cdi", "DeviceIDs": names}]
    if nodes:
        host["Devices"] = nodes
    if requests:
        host["DeviceRequests"] = requests


def _add_health(body: "dict[str, Any]", arguments: "Arguments") -> None:
    check = {field: arguments.values[key] for key, field in _HEALTH.items() if arguments.get(key)}
    if command := arguments.text("health_cmd"):
        check["Test"] = ["CMD-SHELL", command]
    if arguments.flag("no_healthcheck"):
        if check:
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        check = {"Test": ["NONE"]}
    if check:
        body["Healthcheck"] = check


def _add_security(host: "dict[str, Any]", arguments: "Arguments") -> None:
    """``systempaths=unconfined`` is the client's word for lists of paths that are empty."""
    options = arguments.all("security_opt")
    if "systempaths=unconfined" in options:
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
        options = [option for option in options if option != "systempaths=unconfined"]
    if options:
        host["SecurityOpt"] = options


def _add_log(host: "dict[str, Any]", arguments: "Arguments") -> None:
    driver, options = arguments.text("log_driver"), dict(arguments.all("log_opt"))
    if driver == "none" and options:
        raise UsageError("invalid logging opts for driver none", hint="leave --log-opt out: nothing is kept")
    if driver or options:
        host["LogConfig"] = {"Type": driver, "Config": options}
