"""What a build step's command sees besides its snapshot, of what is the engine's own or nowhere on the host."""

from collections.abc import Mapping
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


NO_MOUNTS = StepMounts()
