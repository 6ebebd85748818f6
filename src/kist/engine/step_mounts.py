"""What a build step's command sees besides its snapshot, of what is the engine's own or nowhere on the host."""

import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

from kist.spec.mount import Mount
from kist.spec.volume import VolumeSource


class StepMounts(NamedTuple):
    """The mounts of one step; whoever made them lets go of them when it has ended.

    Attributes:
        mounts: each of type ``volume``, or a tmpfs; its source names one of ``sources``.
        sources: what they are of.
        files: targets that are no directories.
        held: descriptors of what is mounted nowhere (``kist.kernel.mount_holders``), by the names in ``sources``.
    """

    mounts: tuple[Mount, ...] = ()
    sources: Mapping[str, VolumeSource] = {}
    held: Mapping[str, int] = {}
    files: frozenset[str] = frozenset()

    def points(self) -> tuple[tuple[str, bool], ...]:
        """The mount points that the step's tree is to have, and whether each is a directory."""
        return tuple((mount.target, mount.target not in self.files) for mount in self.mounts if mount.target)


class Terminal(NamedTuple):
    """A terminal of a client's for a command of a build.

    Attributes:
        stream: what is typed and shown, raw; whoever runs the command takes a duplicate.
        watch_size: has its argument called with height and width, as they are and whenever they change, from any
            thread; with None, no more.
        check: raises where the client has gone.
    """

    stream: socket.socket
    watch_size: Callable[[Callable[[int, int], None] | None], None]
    check: Callable[[], None]


NO_MOUNTS = StepMounts()
