"""``kist port``."""

from kist.cli.common import inspect_container
from kist.cli.option import Command
from kist.cli.usage import UsageError
from kist.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kist.cli.context import Context
    from kist.cli.option import Arguments


def run(context: "Context", arguments: "Arguments") -> int:
    """Print where the ports, or the one that is asked for, are published."""
    name, *wanted = arguments.operands
    port = _normal(wanted[0]) if wanted else ""
    published = inspect_container(context, name)["NetworkSettings"]["Ports"] or {}
    if port:
        lines = list(_addresses(published.get(port)))
        if not lines:
            raise NotFound(f"no public port '{port}' published for {name}", hint=f"'kist port {name}' lists all")
    else:
        lines = [
            f"{inside} -> {address}"
            for inside in sorted(published, key=_order)
            for address in _addresses(published[inside])
        ]
    for line in lines:
        context.say(line)
    return 0


def _normal(text: str) -> str:
    port, slash, protocol = text.partition("/")
    if not (port.isascii() and port.isdigit()) or (slash and protocol not in {"tcp", "udp", "sctp"}):
        raise UsageError(f"invalid port {text!r}: it is PORT, PORT/tcp, PORT/udp or PORT/sctp")
    return f"{int(port)}/{protocol or 'tcp'}"


def _order(port: str) -> "tuple[int, str]":
    number, _, protocol = port.partition("/")
    return int(number), protocol


def _addresses(bindings: "list[dict[str, Any]] | None") -> "Iterator[str]":
    for binding in bindings or ():
        address = binding["HostIp"]
        yield f"[{address}]:{binding['HostPort']}" if ":" in address else f"{address}:{binding['HostPort']}"


COMMAND = Command(
    "port",
    run,
    "CONTAINER [PORT[/tcp|udp|sctp]]",
    least=1,
    most=2,
    examples=("kist port web", "kist port web 80/tcp"),
)
