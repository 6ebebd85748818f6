"""A connected network namespace that outlives the process that it was made for."""

import os
from collections.abc import Mapping

from kist.kernel import netns, rtnetlink
from kist.kernel.netlink import Socket
from kist.spec.networking import Endpoint, NetworkAttachment
from kist.spec.owner import Owner


class Connected:
    """A network namespace for a command; the first one's process makes it.

    Attributes:
        holder: the id that has the addresses, and that the cables are called by.
        kind: what a command wants that can have it, and whose it is.
        attachments: its ends.
        network: a descriptor of it; -1 until it is made.
        names: descriptors of the sockets of its name server.
    """

    def __init__(self, holder: str, kind: tuple[tuple[Endpoint, ...], Owner | None]) -> None:
        self.holder = holder
        self.kind = kind
        self.attachments: tuple[NetworkAttachment, ...] = ()
        self.network = -1
        self.names: Mapping[str, int] = {}
        self._inside: Socket | None = None

    def take(self, network: int, names: Mapping[str, int]) -> None:
        """It has been made and connected; the descriptors are its own."""
        self.network, self.names = network, names

    def is_as_new(self) -> bool:
        """Whether nothing has been sent in it since it was connected."""
        if self.network < 0:
            return False
        try:
            if self._inside is None:
                self._inside = netns.socket_inside(self.network)
            return not rtnetlink.sent_packets(self._inside)
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it."""
        if self._inside is not None:
            self._inside.close()
        for descriptor in (self.network, *self.names.values()):
            if descriptor >= 0:
                os.close(descriptor)
        self.network, self.names = -1, {}
