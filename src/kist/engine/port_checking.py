"""Packet rules of published ports: those that nobody publishes any more, and containers that have not theirs."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from kist.engine.port_paths import Target
from kist.kernel import listeners, port_elements
from kist.kernel.listeners import Listener
from kist.spec.container import Container
from kist.spec.networking import PublishedPort

Element = tuple[str, str, bytes, bytes]  # as kist.kernel.port_elements makes them


class Stray(NamedTuple):
    """A rule that leads to a container that is gone; ``words`` are for people."""

    words: str
    element: Element


def strays(present: Collection[str]) -> list[Stray]:
    """All that are in this network namespace.

    Whoever publishes a port holds it first, and lets it go last, so a rule for a port that nobody holds is nobody's.

    Args:
        present: ids of containers that run, or are taken over by another monitor just now.
    """
    with contextlib.closing(port_elements.Rules()) as rules:
        told = rules.all()
    if not told:
        return []
    held = listeners.listening()
    ours = {identifier[:12] for identifier in present}
    return list(_unheld(told, held, ours))


def mistaken(container: Container, target: Target, told: Collection[str], *, by_kernel: bool) -> str:
    """What is wrong with who carries the published ports of a container that runs; empty for nothing.

    Args:
        container: with its state.
        target: where its ports lead.
        told: the comments of all rules that there are.
        by_kernel: whether the kernel is to carry ports now.
    """
    has_rules = container.id[:12] in told
    if has_rules and not by_kernel:
        return "its published ports are carried past the host's firewall, which was switched on after its start"
    if by_kernel and not has_rules and any(_for_kernel(port, target) for port in container.state.ports):
        return "its published ports are not carried by the kernel, which could: packet rules were flushed"
    return ""


def comments() -> frozenset[str]:
    """The comments of all rules of published ports: the beginnings of their containers' ids."""
    with contextlib.closing(port_elements.Rules()) as rules:
        return frozenset(comment for comment, _ in rules.all())


def _for_kernel(port: PublishedPort, target: Target) -> bool:
    address = target.address6 if ":" in port.host_ip else target.address
    made = port_elements.element(port.host_ip, port.protocol, port.host_port, address, port.port) if address else None
    return made is not None


def remove(found: Sequence[Stray]) -> None:
    """Remove them, and the tables when nothing else is in them."""
    with contextlib.closing(port_elements.Rules()) as rules:
        rules.remove([stray.element for stray in found])


def _unheld(told: Sequence[tuple[str, Element]], held: Sequence[Listener], ours: Collection[str]) -> Iterator[Stray]:
    ports = {(each.protocol, each.address, each.port) for each in held}
    for container, element in told:
        port = port_elements.port_of(element)
        if port not in ports and container not in ours:
            protocol, address, number = port
            shown = f"[{address}]" if ":" in address else address
            yield Stray(f"{shown}:{number}/{protocol}", element)
