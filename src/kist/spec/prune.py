"""What a clean-up is limited to."""

import msgspec


class Pruning(msgspec.Struct, frozen=True):
    """Which containers or images may go.

    Attributes:
        until: only those made before this moment, in nanoseconds since the epoch; 0 for any.
        labels: only those that have all of these (``KEY`` or ``KEY=VALUE``).
        not_labels: not those that have any of these.
    """

    until: int = 0
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()


class CachePruning(msgspec.Struct, frozen=True):
    """Which entries of the build cache may go.

    Attributes:
        every: also those whose layer is in an image, which gives nothing back.
        until: only those that were not used since this moment, in nanoseconds since the epoch; 0 for any.
        keep: stop when the cache is down to so many bytes.
        ids: only those whose key begins so.
    """

    every: bool = False
    until: int = 0
    keep: int = 0
    ids: tuple[str, ...] = ()


EVERYTHING = Pruning()
UNUSED_CACHE = CachePruning()
