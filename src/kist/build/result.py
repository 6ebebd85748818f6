"""What a step left behind: layers, and the history that goes with them."""

from collections.abc import Sequence
from typing import Self

import msgspec

from kist.build.cache import Made
from kist.spec.digest import Digest, chain_id
from kist.spec.image import CachedStep, ContainerConfig, History, ImageConfig, Layer, RootFS
from kist.spec.platform import Platform


class Result(msgspec.Struct, frozen=True):
    """A file tree with its history.

    Attributes:
        identity: what the next step's cache key stands on.
        layers: from the lowest up.
        chain: the snapshot to build on; None for an empty tree.
        created: when the newest step was made (RFC 3339); empty when unknown.
        steps: those that have made it, by the keys that the cache has them under; none of a base image.
    """

    identity: str
    chain: Digest | None = None
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    created: str = ""
    steps: tuple[CachedStep, ...] = ()

    def with_made(self, made: Made, created_by: str, unchanged: str) -> Self:
        """After a step that may have changed files; ``unchanged`` is the new identity when it did not."""
        layer = made.layer
        entry = History(created=made.created, created_by=created_by, empty_layer=layer is None)
        above = msgspec.structs.replace(self, history=(*self.history, entry), created=max(self.created, made.created))
        if layer is None:
            return msgspec.structs.replace(above, identity=unchanged)
        return msgspec.structs.replace(
            above,
            identity=layer.chain_id,
            chain=layer.chain_id,
            layers=(*self.layers, layer),
        )

    def under(self, layer: Layer) -> Layer:
        """A layer that was made elsewhere, as one on top of this."""
        return msgspec.structs.replace(layer, chain_id=chain_id(self.chain, layer.diff_id))

    def known_by(self, keys: Sequence[str], made: Made) -> Self:
        """With the keys of the step that has made it."""
        layer = len(self.layers) - 1 if made.layer is not None else None
        return msgspec.structs.replace(
            self, steps=(*self.steps, *(CachedStep(key, made.created, layer) for key in keys))
        )

    def configured(self, created_by: str) -> Self:
        """After a step that changed the config alone.

        It gets the time of the step below: such a step does nothing, so building it again must not make another image.
        """
        if not created_by:
            return self
        entry = History(created=self.created, created_by=created_by, empty_layer=True)
        return msgspec.structs.replace(self, history=(*self.history, entry))

    def as_image(self, config: ContainerConfig, platform: Platform, author: str) -> ImageConfig:
        """The configuration of an image of these layers."""
        return ImageConfig(
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            rootfs=RootFS(tuple(layer.diff_id for layer in self.layers)),
            created=self.created,
            author=author,
            config=config,
            history=self.history,
        )


EMPTY = Result(identity="scratch")
"""``FROM scratch``."""
