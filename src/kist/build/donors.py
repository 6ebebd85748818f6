"""The steps of images that a build may take for its own (``cachefrom``): those that were made by the same history.

An image that was brought here has no records in the step cache, but a history: where all of it so far, and all layers,
are those of the build, a step of the same words has made what this one would. COPY's words do not say which files it
copied: it is copied anew, and where its layer is the image's, the steps after it are found again. An image that was
built with its cache in it (``type=inline``) tells the keys of its steps, COPY's too.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kist.build.cache import Made
from kist.build.result import Result
from kist.errors import NotFound
from kist.spec.image import History
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine


class Donors:
    """The images that steps are taken from.

    Attributes:
        missing: of the names, those that no image here has.

    Raises:
        Forbidden: a name was given by somebody else, whom nobody has to trust.
    """

    def __init__(self, engine: "Engine", names: Sequence[str]) -> None:
        self._catalogue = engine.catalogue
        self._images: list[Image] = []
        self.missing: list[str] = []
        for name in names:
            try:
                self._images.append(self._catalogue.to_run(name))
            except NotFound:
                self.missing.append(name)

    def find(self, below: Result, key: str, created_by: str) -> Made | None:
        """What a step made on top of ``below`` in one of the images; None where there is none.

        Args:
            below: what the step stands on.
            key: of the step: images that were built with ``--cache-to type=inline`` tell the keys of theirs.
            created_by: the step's words, by which it is found in others; empty where they do not say it all.
        """
        for image in self._images:
            if made := self._by_key(image, below, key) or self._by_words(image, below, created_by):
                return made
        return None

    def _by_key(self, image: Image, below: Result, key: str) -> Made | None:
        step = next((step for step in image.config.build_cache if step.key == key), None)
        if step is None:
            return None
        if step.layer is None:
            return Made(step.created)
        layers = self._catalogue.layers(image)
        depth = len(below.layers)
        if step.layer != depth or len(layers) <= depth or layers[:depth] != below.layers:
            return None
        return Made(step.created, layers[depth]) if self._catalogue.has_layers(layers[: depth + 1]) else None

    def _by_words(self, image: Image, below: Result, created_by: str) -> Made | None:
        steps = image.config.history
        done = len(below.history)
        if len(steps) <= done or not created_by or steps[done].created_by != created_by:
            return None
        if [_words(step) for step in steps[:done]] != [_words(step) for step in below.history]:
            return None
        layers = self._catalogue.layers(image)
        if layers[: len(below.layers)] != below.layers:
            return None
        if steps[done].empty_layer:
            return Made(steps[done].created)
        layer = layers[len(below.layers)] if len(layers) > len(below.layers) else None
        if layer is None or not self._catalogue.has_layers((*below.layers, layer)):
            return None
        return Made(steps[done].created, layer)


def _words(step: History) -> tuple[str, bool]:
    return step.created_by, step.empty_layer
