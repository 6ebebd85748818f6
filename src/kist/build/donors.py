"""The steps of images, and of caches in registries, that a build may take for its own (``cachefrom``).

A cache tells the keys of its steps. An image that was brought here has no records in the step cache, but a history:
where all of it so far, and all layers, are those of the build, a step of the same words has made what this one would.
COPY's words do not say which files it copied: it is copied anew, and where its layer is the image's, the steps after it
are found again. An image that was built with its cache in it (``type=inline``) tells the keys of its steps, COPY's too.
All that holds for an image in a registry, too, of which a layer is fetched when a step wants it.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kist.build.cache import Made
from kist.build.image_steps import step_of
from kist.build.result import Result
from kist.engine.stop import Stop
from kist.errors import NotFound
from kist.spec.build_cache import Source, read_sources, spells_registry
from kist.spec.credentials import Logins
from kist.spec.interface import Progress
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.build.registry_steps import RemoteCache
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
        self._remotes: list[RemoteCache] = []
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
        told = (f"no more steps are taken from {remote.name}: {remote.lost}" for remote in self._remotes if remote.lost)
        return list(dict.fromkeys(told))

    def find(self, below: Result, key: str, words: str, stop: Stop) -> Made | None:
        """What a step made on top of ``below`` in one of them, its layer here by then; None where there is none.

        Args:
            below: what the step stands on.
            key: of the step: images that were built with ``--cache-to type=inline`` tell the keys of theirs.
            words: of the step, by which it is found in other images; empty where they do not say it all.
            stop: ends what is fetched for it.
        """
        for image in self._images:
            if made := self._in_image(image, below, key, words):
                return made
        for remote in self._remotes:
            if made := remote.find(below, key, words, stop):
                return made
        return None

    def _in_image(self, image: Image, below: Result, key: str, words: str) -> Made | None:
        step = step_of(image.config, below, key, words)
        if step is None or step.layer is None:
            return None if step is None else Made(step.created)
        layer = below.under(self._catalogue.layers(image)[step.layer])
        return Made(step.created, layer) if self._catalogue.has_layers((*below.layers, layer)) else None
