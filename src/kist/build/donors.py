"""The steps of images, and of caches in registries, that a build may take for its own (``cachefrom``).

A cache tells the keys of its steps. An image that was brought here has no records in the step cache, but a history:
where all of it so far, and all layers, are those of the build, a step of the same words has made what this one would.
COPY's words do not say which files it copied: it is copied anew, and where its layer is the image's, the steps after it
are found again. An image that was built with its cache in it (``type=inline``) tells the keys of its steps, COPY's too.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kist.build.cache import Made
from kist.build.result import Result
from kist.engine.stop import Stop
from kist.errors import NotFound
from kist.spec.build_cache import Source, read_sources, spells_registry
from kist.spec.credentials import Logins
from kist.spec.image import History
from kist.spec.interface import Progress
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.build.registry_caches import RemoteSteps
    from kist.engine.engine import Engine


class Donors:
    """The images and the caches that steps are taken from; a context manager, which closes the latter.

    Args:
        engine: has the images.
        texts: of ``cachefrom``: names, and caches in registries.

    Attributes:
        missing: of the names, those that no image here has, and that spell no registry.

    Raises:
        Forbidden: a name was given by somebody else, whom nobody has to trust.
    """

    def __init__(self, engine: "Engine", texts: Sequence[str]) -> None:
        self._engine = engine
        self._catalogue = engine.catalogue
        self._images: list[Image] = []
        self._elsewhere: list[Source] = []
        self._remotes: list[RemoteSteps] = []
        self.missing: list[str] = []
        for source in read_sources(texts):
            try:
                if not source.is_remote:
                    self._images.append(self._catalogue.to_run(source.ref))
                    continue
            except NotFound:
                if not spells_registry(source.ref):
                    self.missing.append(source.ref)
                    continue
            self._elsewhere.append(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for remote in self._remotes:
            remote.close()

    def open_remotes(self, logins: Logins, progress: Progress) -> None:
        """Ask registries for what is in them; that something is not to be had is a warning.

        Raises:
            Forbidden: who builds may not have them asked.
            InvalidInput: a name is none.
        """
        if self._elsewhere:
            from kist.build.registry_caches import opened  # noqa: PLC0415 - TLS, for who asks for it

            self._remotes = opened(self._engine, self._elsewhere, logins, progress)

    @property
    def lost(self) -> list[str]:
        """What is to be told of caches that gave no more at some time."""
        return [f"no more steps are taken from {remote.name}: {remote.lost}" for remote in self._remotes if remote.lost]

    def find(self, below: Result, key: str, created_by: str, stop: Stop) -> Made | None:
        """What a step made on top of ``below`` in one of them, its layer here by then; None where there is none.

        Args:
            below: what the step stands on.
            key: of the step: images that were built with ``--cache-to type=inline`` tell the keys of theirs.
            created_by: the step's words, by which it is found in others; empty where they do not say it all.
            stop: ends what is fetched for it.
        """
        for image in self._images:
            if made := self._by_key(image, below, key) or self._by_words(image, below, created_by):
                return made
        for remote in self._remotes:
            if made := remote.find(below, key, stop):
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
