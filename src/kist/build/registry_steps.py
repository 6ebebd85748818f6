"""The steps of a cache, or of an image, in a registry, as a build takes them: each layer when a step wants it."""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import msgspec

from kist.build.cache import Made, stands_on
from kist.build.image_steps import step_of
from kist.build.result import Result
from kist.engine.stop import Stop
from kist.errors import Corrupt, InvalidInput, KistError
from kist.image.compression import plain
from kist.registry.client import Registry, Repository
from kist.spec.digest import Digest
from kist.spec.image import OCI_LAYER, Descriptor, ImageConfig, Layer
from kist.spec.reference import Reference

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_CHUNK = 1 << 20


class Place(NamedTuple):
    """Something in a registry."""

    reference: Reference
    registry: Registry
    repository: Repository

    @property
    def name(self) -> str:
        """The tag or digest."""
        return str(self.reference.digest or self.reference.tag)


class _Layers:
    """The layers that a place has. Safe from many threads.

    Args:
        engine: takes layers in.
        place: where they are.
        packed: as they are there, by the digests of the plain ones.

    Attributes:
        lost: why no more are given; None while they are.
    """

    def __init__(self, engine: "Engine", place: Place, packed: Mapping[Digest, Descriptor]) -> None:
        self._engine = engine
        self._place = place
        self._packed = packed
        self._locks = {digest: threading.Lock() for digest in packed}
        self.lost: KistError | None = None

    def bring(self, below: Result, own: Digest, limit: int | None, stop: Stop) -> bool:
        """Take a layer in, and unpack it on top of ``below``; False where it is not to be had.

        Args:
            below: what it stands on.
            own: its digest, plain.
            limit: the most bytes that it may have, where they are known.
            stop: ends it.
        """
        if self.lost is not None:
            return False
        try:
            self._fetch(own, limit, stop)
            return self._engine.catalogue.has_layers((*below.layers, self.layer(below, own)))
        except KistError as error:
            stop.check()
            self.lost = error
            return False

    def layer(self, below: Result, own: Digest) -> Layer:
        """A layer that is here, on top of ``below``."""
        described = Descriptor(OCI_LAYER, own, self._engine.store.blobs.size(own))
        return below.under(Layer(described, own, own))

    def _fetch(self, own: Digest, limit: int | None, stop: Stop) -> None:
        """Take a layer in.

        Raises:
            Corrupt: it is another one than it is called, or larger than told.
            NotFound, Unavailable: it is not to be had.
        """
        if own not in self._packed:
            raise InvalidInput(f"the cache does not say where the layer {own} is")
        packed, blobs = self._packed[own], self._engine.store.blobs
        with self._locks[own], stop.heard_by(self._place.registry.interrupt):
            if own in blobs:
                return
            with self._place.repository.open_blob(packed.digest, packed.size) as blob, blobs.writer(own) as writer:
                raw = cast("BinaryIO", blob)
                source = raw if packed.digest == own else plain(raw)
                while data := source.read(_CHUNK):
                    stop.check()
                    if limit is not None and writer.size + len(data) > limit:
                        raise Corrupt(f"the layer {own} has more than its {limit} bytes")
                    writer.write(data)
                writer.commit()


class RemoteSteps:
    """The steps of one cache in a registry. Safe from many threads.

    Args:
        engine: takes layers in.
        place: where it is.
        steps: by their keys.
        layers: as they are there, by the digests of the plain ones.

    Attributes:
        name: of the cache.
    """

    def __init__(
        self, engine: "Engine", place: Place, steps: Mapping[str, Made], layers: Mapping[Digest, Descriptor]
    ) -> None:
        self.name = place.reference.familiar
        self._engine = engine
        self._place = place
        self._steps = steps
        self._layers = _Layers(engine, place, layers)

    @property
    def lost(self) -> KistError | None:
        """Why it gives no more; None while it does."""
        return self._layers.lost

    def find(self, below: Result, key: str, words: str, stop: Stop) -> Made | None:
        """What a step made on top of ``below``, its layer here by then; None where it is not to be had.

        A cache has keys and no words.
        """
        del words
        made = self._steps.get(key)
        if made is None or made.layer is None:
            return made
        if self.lost is not None or not stands_on(made.layer, below.layers):
            return None
        if self._engine.catalogue.has_layers((*below.layers, made.layer)):
            return made
        own = made.layer.diff_id
        if not self._layers.bring(below, own, made.layer.descriptor.size, stop):
            return None
        return msgspec.structs.replace(made, layer=self._layers.layer(below, own))

    def close(self) -> None:
        """Close connections."""
        self._place.registry.close()


class RemoteImage:
    """The steps that have made an image in a registry. Safe from many threads.

    Args:
        engine: takes layers in.
        place: where it is.
        config: of the image.
        layers: as they are there, from the lowest up.

    Attributes:
        name: of the image.

    Raises:
        Corrupt: the config speaks of other layers.
    """

    def __init__(self, engine: "Engine", place: Place, config: ImageConfig, layers: Sequence[Descriptor]) -> None:
        self.name = place.reference.familiar
        self._place = place
        self._config = config
        self._diff_ids = config.rootfs.diff_ids
        if len(self._diff_ids) != len(layers):
            raise Corrupt(f"{self.name} has {len(layers)} layers, and its config {len(self._diff_ids)}")
        self._layers = _Layers(engine, place, dict(zip(self._diff_ids, layers, strict=True)))

    @property
    def lost(self) -> KistError | None:
        """Why it gives no more; None while it does."""
        return self._layers.lost

    def find(self, below: Result, key: str, words: str, stop: Stop) -> Made | None:
        """What a step made on top of ``below``, its layer here by then; None where it is not to be had."""
        step = step_of(self._config, below, key, words)
        if step is None or step.layer is None:
            return None if step is None else Made(step.created)
        own = self._diff_ids[step.layer]
        if not self._layers.bring(below, own, None, stop):
            return None
        return Made(step.created, self._layers.layer(below, own))

    def close(self) -> None:
        """Close connections."""
        self._place.registry.close()


RemoteCache = RemoteSteps | RemoteImage
