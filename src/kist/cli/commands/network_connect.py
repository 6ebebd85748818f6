"""``kist network connect`` and ``kist network disconnect``."""

from kist.cli import values
from kist.cli.common import network_path
from kist.cli.option import REPEAT, Command, Option
from kist.cli.words import addresses, networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def connect(context: "Context", arguments: "Arguments") -> int:
    """Put a container on a network."""
    network, container = arguments.operands
    body = {"Container": container, "EndpointConfig": _endpoint(arguments)}
    context.wire.call("POST", network_path(network, "connect"), value=body)
    return 0


def _endpoint(arguments: "Arguments") -> "dict[str, Any]":
    fixed = {
        "IPv4Address": arguments.text("ip"),
        "IPv6Address": arguments.text("ip6"),
        "LinkLocalIPs": arguments.all("link_local_ip"),
    }
    found: dict[str, Any] = {
        "Aliases": arguments.all("alias"),
        "DriverOpts": dict(arguments.all("driver_opt")),
        "Links": arguments.all("link"),
        "GwPriority": arguments.get("gw_priority", 0),
        "MacAddress": arguments.text("mac_address"),
        "IPAMConfig": {name: value for name, value in fixed.items() if value},
    }
    return {name: value for name, value in found.items() if value}


def disconnect(context: "Context", arguments: "Arguments") -> int:
    """Take a container off a network."""
    network, container = arguments.operands
    body = {"Container": container, "Force": arguments.flag("force")}
    context.wire.call("POST", network_path(network, "disconnect"), value=body)
    return 0


COMMAND = Command(
    "network connect",
    connect,
    "NETWORK CONTAINER",
    least=2,
    most=2,
    options=(
        Option("--alias", "Further name of the container on the network", "NAME", kind=REPEAT),
        Option("--driver-opt", "Option of the network's driver for this container", "NAME=VALUE", kind=REPEAT,
               parse=values.pair),
        Option("--gw-priority", "What leaves goes by the network with the highest number (default: 0)", "NUMBER",
               parse=networks.priority),
        Option("--ip", "IPv4 address on the network", "ADDRESS", parse=addresses.ipv4),
        Option("--ip6", "IPv6 address on the network", "ADDRESS", parse=addresses.ipv6),
        Option("--link", "Another container there, and what it is called by this one", "CONTAINER[:ALIAS]",
               kind=REPEAT, parse=addresses.link),
        Option("--link-local-ip", "Further address, of the link alone", "ADDRESS", kind=REPEAT,
               parse=addresses.address),
        Option("--mac-address", "Hardware address on the network", "ADDRESS", parse=addresses.mac),
    ),
    examples=("kist network connect --alias db lab postgres",),
    about="A container that runs gets a further device at once; one that does not gets it when it starts.",
)  # fmt: skip
DISCONNECT = Command(
    "network disconnect",
    disconnect,
    "NETWORK CONTAINER",
    least=2,
    most=2,
    options=(Option("-f --force", "A container that is not on the network is no error"),),
)
