"""Operations that few containers have: each is in a room of its own, which is imported when a plan has it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def find(name: str) -> Callable[..., None]:
    """The operation of this name."""
    if name == "open_volume":
        from kist.runtime import held  # noqa: PLC0415 - of a volume that is mounted

        return held.open_volume
    if name == "open_layers":
        from kist.runtime import layered  # noqa: PLC0415 - of an image that is mounted

        return layered.open_layers
    if name == "tell_mounts":
        from kist.runtime import ungrouped  # noqa: PLC0415 - of the host's processes and no group

        return ungrouped.tell_mounts
    from kist.runtime import mapped  # noqa: PLC0415 - of a user namespace

    return mapped.OPERATIONS[name]
