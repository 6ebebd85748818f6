"""Packet rules of published ports that nobody publishes any more: what is left where all were killed who had them."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from kist.kernel import listeners, port_elements
from kist.kernel.listeners import Listener

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
    rules = port_elements.Rules()
    try:
        told = rules.all()
    finally:
        rules.close()
    if not told:
        return []
    held = listeners.listening()
    ours = {identifier[:12] for identifier in present}
    return list(_unheld(told, held, ours))


def remove(found: Sequence[Stray]) -> None:
    """Remove them, and the tables when nothing else is in them."""
    rules = port_elements.Rules()
    try:
        rules.remove([stray.element for stray in found])
    finally:
        rules.close()


def _unheld(told: Sequence[tuple[str, Element]], held: Sequence[Listener], ours: Collection[str]) -> Iterator[Stray]:
    ports = {(each.protocol, each.address, each.port) for each in held}
    for container, element in told:
        port = port_elements.port_of(element)
        if port not in ports and container not in ours:
            protocol, address, number = port
            shown = f"[{address}]" if ":" in address else address
            yield Stray(f"{shown}:{number}/{protocol}", element)
