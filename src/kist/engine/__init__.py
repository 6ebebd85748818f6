"""The one composer of the mechanisms: containers, images, networks, exec (ring 2)."""

from kist.engine.engine import Engine

__all__ = ["Engine"]
