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
        keep: so many bytes of the cache stay, whatever else is asked for; 0 for none.
        most: stop when the cache is down to so many bytes; 0 for no such end.
        least_free: stop when so many bytes of the disk are free; 0 for no such end.
        ids: only those whose key begins so.
        kinds, parents, descriptions: only those of which one of these is told (``BuildCache`` of the API).
        shared: only those whose layer an image has (True), or has not (False).
        labels: only those that have all of these, and no entry has any. What has a label may stay is so of none.
    """

    every: bool = False
    until: int = 0
    keep: int = 0
    most: int = 0
    least_free: int = 0
    ids: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    shared: bool | None = None
    labels: tuple[str, ...] = ()

    def leaves(self, used: int, free: int) -> int:
        """How many of the ``used`` bytes of the cache stay, where ``free`` ones of the disk are free; 0 for none.

        With nothing but ``keep``, it is down to that that entries go; with an end, no further than that takes.
        """
        if not (self.most or self.least_free):
            return self.keep
        down_to = min(used, self.most or used)
        if self.least_free > free:
            down_to = min(down_to, used - (self.least_free - free))
        return max(down_to, self.keep, 0)


EVERYTHING = Pruning()
UNUSED_CACHE = CachePruning()
