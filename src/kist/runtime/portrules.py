"""A container's published ports in the host's packet rules: put in when it starts, taken away at its end.

The sockets of ``kist.runtime.ports`` stay beside them: they hold the ports against others, serve what the rules leave
alone (loopback, the container's own bridge), and take over where somebody has flushed the rules.

Imported only by the monitors of containers whose ports the kernel is to carry.
"""

from __future__ import annotations

from kist.kernel.port_elements import Rules, element, port_of, target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kist.kernel.port_elements import Element


class PortRules:
    """The rules of one container; ``container`` is its id, which is shown with them."""

    def __init__(self, container: str) -> None:
        self._container = container
        self._rules: Rules | None = None

    def put(self, carried: Iterable[tuple[str, str, int, str, int]], settings: dict[str, Any]) -> None:
        """Have the kernel carry these ports.

        Args:
            carried: ``(host address, protocol, port, container's address, port)`` of each.
            settings: ``bridges``, the devices that the container is on; ``structure``, messages that make the tables,
                in hexadecimal; ``fresh``, whether they were missing when this was written.

        Raises:
            OSError: it carries none of them.
        """
        elements = _elements(carried)
        if elements:
            structure = bytes.fromhex(settings["structure"])
            self._way().put(elements, self._container[:12], settings["bridges"], structure, fresh=settings["fresh"])

    def remove(self, carried: Iterable[tuple[str, str, int, str, int]]) -> None:
        """Have the kernel carry none of these ports any more.

        Raises:
            OSError: the kernel refuses.
        """
        known = list(carried)
        self._way().remove(_elements(known))
        self._forget_flows({(address, port) for _, protocol, _, address, port in known if protocol == "udp"})

    def remove_all(self) -> None:
        """The same where nobody has noted which ports they are.

        Raises:
            OSError: the kernel refuses.
        """
        elements = self._way().of(self._container[:12])
        self._way().remove(elements)
        self._forget_flows({target_of(each) for each in elements if port_of(each)[0] == "udp"})

    def _forget_flows(self, targets: set[tuple[str, int]]) -> None:
        if targets:
            from kist.kernel import conntrack  # noqa: PLC0415 - for those that publish udp

            conntrack.forget(self._way().connection, targets)

    def _way(self) -> Rules:
        # Never closed: the end of this process does that, when nobody waits for it.
        if self._rules is None:
            self._rules = Rules()
        return self._rules


def _elements(carried: Iterable[tuple[str, str, int, str, int]]) -> list[Element]:
    found = (element(*each) for each in carried)
    return [each for each in found if each is not None]
