"""Base images from a distribution's signed archive, the same again from a lock (ring 2, as ``kist.build``)."""

from kist.bootstrap.bootstrap import bootstrap
from kist.bootstrap.keep import lock_of

__all__ = ["bootstrap", "lock_of"]
