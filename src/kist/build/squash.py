"""One layer in place of all that a build has made above its base (``--squash``)."""

from typing import TYPE_CHECKING

import msgspec

from kist.build.result import Result
from kist.spec.image import History

if TYPE_CHECKING:
    from kist.engine.engine import Engine


def squash(engine: "Engine", result: Result, base: Result, mtime: int | None = None) -> Result:
    """The same files in one layer above those of the base; what a step made and a later one removed is in none.

    The history keeps its lines, which have no layers any more, and gets one that has.

    Args:
        engine: has the layers.
        result: of the build.
        base: what it stands on.
        mtime: see ``Images.merge_layers``.
    """
    count = len(result.layers) - len(base.layers)
    if count < 2:
        return result
    merged = engine.catalogue.merge_layers(result.layers, len(base.layers), mtime=mtime)
    told = len(base.history)
    lines = [msgspec.structs.replace(line, empty_layer=True) for line in result.history[told:]]
    squashed = History(
        created=result.created, created_by="kist build --squash", comment=f"{count} layers", empty_layer=merged is None
    )
    layers = base.layers if merged is None else (*base.layers, merged)
    return msgspec.structs.replace(
        result,
        layers=layers,
        chain=layers[-1].chain_id if layers else None,
        history=(*base.history, *lines, squashed),
    )
