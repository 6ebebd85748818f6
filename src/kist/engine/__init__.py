"""The one composer of the mechanisms: containers, images, networks, exec (ring 2).

``Engine`` is imported when it is first used: what must be done before there are threads comes before it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist.engine.engine import Engine as Engine

__all__ = ["Engine"]


def __getattr__(name: str) -> object:
    """Import what ``kist.engine.NAME`` stands for."""
    if name != "Engine":
        raise AttributeError(f"module 'kist.engine' has no attribute {name!r}")
    from kist.engine.engine import Engine  # noqa: PLC0415 - see above

    return Engine
