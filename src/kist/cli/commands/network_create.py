"""``kist network create``."""

from kist.cli.commands.volume_create import option
from kist.cli.option import REPEAT, Command, Option
from kist.cli.usage import UsageError
from kist.cli.words import addresses, subnets
from kist.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Make it and print its id."""
    for name in ("config_from", "config_only", "ingress"):
        if arguments.get(name):
            raise Unsupported(f"--{name.replace('_', '-')}: there is no swarm", hint="leave it out")
    context.say(context.wire.call("POST", "/networks/create", value=_body(arguments))["Id"])
    return 0


def _body(arguments: "Arguments") -> "dict[str, Any]":
    try:
        config = subnets.together(
            arguments.all("subnet"), arguments.all("gateway"), arguments.all("ip_range"), arguments.all("aux_address")
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    body: dict[str, Any] = {
        "Name": arguments.operands[0],
        "Driver": arguments.text("driver") or "bridge",
        "Scope": arguments.text("scope"),
        "IPAM": {
            "Driver": arguments.text("ipam_driver") or "default",
            "Options": dict(arguments.all("ipam_opt")),
            "Config": config,
        },
        "Internal": arguments.flag("internal"),
        "Attachable": arguments.flag("attachable"),
        "Options": dict(arguments.all("opt")),
        "Labels": dict(arguments.all("label")),
    }
    for key, field in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if key in arguments.values:
            body[field] = arguments.flag(key)
    return body


COMMAND = Command(
    "network create",
    run,
    "NETWORK",
    least=1,
    most=1,
    options=(
        Option("--attachable", "As Docker: every container may be on it anyway"),
        Option("--aux-address", "Address of a subnet that no container gets, and who has it", "NAME=ADDRESS",
               kind=REPEAT, parse=subnets.reserved),
        Option("--config-from", "Of networks of a cluster (not supported)", "NETWORK", hidden=True),
        Option("--config-only", "Of networks of a cluster (not supported)", hidden=True),
        Option("-d --driver", "bridge, macvlan or ipvlan (default: bridge)", "DRIVER"),
        Option("--gateway", "Address of a subnet that what leaves goes to (default: the first)", "ADDRESS",
               kind=REPEAT, parse=addresses.address),
        Option("--ingress", "Of networks of a cluster (not supported)", hidden=True),
        Option("--internal", "Let nothing in or out"),
        Option("--ip-range", "Part of a subnet that containers get addresses of", "SUBNET", kind=REPEAT,
               parse=subnets.subnet),
        Option("--ipam-driver", "Who gives addresses (default)", "DRIVER"),
        Option("--ipam-opt", "Option of who gives addresses", "NAME=VALUE", kind=REPEAT, parse=option),
        Option("--ipv4", "IPv4 addresses (default: true)"),
        Option("--ipv6", "IPv6 addresses"),
        Option("--label", "Label of the network", "NAME[=VALUE]", kind=REPEAT, parse=option),
        Option("-o --opt", "Option of the driver, in Docker's names: com.docker.network.driver.mtu=1400", "NAME=VALUE",
               kind=REPEAT, parse=option),
        Option("--scope", "local", "SCOPE", hidden=True),
        Option("--subnet", "Its addresses; one of IPv4 and one of IPv6 (default: one that is free)", "SUBNET",
               kind=REPEAT, parse=subnets.subnet),
    ),
    examples=(
        "kist network create lab",
        "kist network create --subnet 10.100.0.0/24 --ip-range 10.100.0.128/25 --ipv6 lab",
        "kist network create --internal --opt com.docker.network.bridge.enable_icc=false closed",
        "kist network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 --gateway 192.168.1.1 lan",
    ),
)  # fmt: skip
