"""The images that a build begins with or copies from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kist.build.locking import Locking
from kist.build.result import Result
from kist.errors import InvalidInput, NotFound
from kist.spec.image import ImageConfig
from kist.spec.platform import Platform
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine


class Bases:
    """Finds images by the names that a Dockerfile uses; asks for each once, so that a build sees one and the same."""

    def __init__(self, engine: "Engine", host: Platform, locking: Locking) -> None:
        self._engine = engine
        self._host = host
        self._locking = locking
        self._images: dict[str, Image] = {}

    @property
    def used(self) -> Mapping[str, Image]:
        """The images that were asked for so far, by the names that a Dockerfile uses."""
        return self._images

    def image(self, name: str) -> Image:
        """The image of this name.

        Raises:
            NotFound: it is not here; says how to get one.
            Conflict: it has to be in the lock, and is not.
        """
        if name not in self._images:
            self._images[name] = self._locking.image(name) or self._now(name)
            self._locking.note_image(name, self._images[name])
        return self._images[name]

    def _now(self, name: str) -> Image:
        try:
            return self._engine.catalogue.to_run(name)
        except NotFound as error:
            raise NotFound(
                error.message, hint=f"{error.hint}{' Or ' if error.hint.endswith('?') else '; '}{_way_to(name)}"
            ) from error

    def config(self, name: str, platform: Platform | None, executable: bool) -> ImageConfig:
        """The config of an image, checked for its platform.

        Args:
            name: as in the Dockerfile.
            platform: what FROM asked for.
            executable: its programs will run here.

        Raises:
            InvalidInput: the image is for another platform.
        """
        config = self.image(name).config
        found = config.platform
        if platform is not None and not _is(found, platform):
            raise InvalidInput(
                f"image {name} was found but does not match the specified platform: wanted {platform}, actual {found}",
                hint="load the image of that platform, or leave --platform out",
            )
        if executable and not found.runs_on(self._host):
            raise InvalidInput(
                f"image {name} is for {found}, and this machine is {self._host}: its programs cannot run here",
                hint=f"use an image for {self._host}",
            )
        return config

    def result(self, name: str) -> Result:
        """The image as something to build on; its layers are unpacked where they are not yet."""
        image = self.image(name)
        chain = self._engine.catalogue.chain(image)
        return Result(
            identity=chain or "",
            chain=chain,
            layers=self._engine.catalogue.layers(image),
            history=image.config.history,
            created=image.config.created,
        )


def _is(found: Platform, wanted: Platform) -> bool:
    same = (found.os, found.architecture) == (wanted.os, wanted.architecture)
    return same and (not wanted.variant or not found.variant or wanted.variant == found.variant)


def _way_to(name: str) -> str:
    base = name.partition(":")[0].rpartition("/")[2]
    if base == "debian":
        return f"make it with: kist bootstrap {name if ':' in name else 'debian:12'}"
    return "bring it here with kist load or kist import, or make a base image with kist bootstrap debian:12"
