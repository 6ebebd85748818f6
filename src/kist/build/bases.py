"""The images that a build begins with or copies from."""

from typing import TYPE_CHECKING

from kist.build.locking import Locking
from kist.build.result import Result
from kist.engine.image_names import find_reference
from kist.errors import InvalidInput, NotFound
from kist.spec.digest import Digest, chain_ids
from kist.spec.image import ImageConfig
from kist.spec.platform import Platform
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_FEWEST_DIGITS = 12


class Bases:
    """Finds images by the names that a Dockerfile uses; asks for each once, so that a build sees one and the same."""

    def __init__(self, engine: "Engine", host: Platform, locking: Locking) -> None:
        self._engine = engine
        self._host = host
        self._locking = locking
        self._images: dict[tuple[str, str], Image] = {}

    @property
    def used(self) -> tuple[tuple[str, Image], ...]:
        """The images that were asked for so far, with the names that a Dockerfile uses, sorted by these."""
        return tuple((name, image) for (name, _), image in sorted(self._images.items()))

    def platform_of(self, name: str, wanted: Platform) -> Platform | None:
        """The platform of the image that was asked for by this name for a platform; None where none was."""
        image = self._images.get((name, str(wanted))) or self._images.get((name, ""))
        return None if image is None else image.config.platform

    def image(self, name: str, platform: str = "") -> Image:
        """The image of this name for a platform, where it has one for that, else the one that it names.

        Args:
            name: as in the Dockerfile.
            platform: that is wanted; empty for this machine's.

        Raises:
            NotFound: it is not here; says how to get one.
            Conflict: it has to be in the lock, and is not.
        """
        key = (name, platform)
        if key not in self._images:
            self._images[key] = self._locking.image(name, platform) or self._now(name, platform)
            self._locking.note_image(name, platform, self._images[key])
        return self._images[key]

    def _now(self, name: str, platform: str) -> Image:
        wanted = Platform.parse(platform) if platform else self._host
        try:
            image = self._engine.catalogue.to_run(name)
            _check_digits(name, image)
            return self._engine.catalogue.for_platform(image, name, wanted) or image
        except NotFound as error:
            raise NotFound(
                error.message, hint=f"{error.hint}{' Or ' if error.hint.endswith('?') else '; '}{_way_to(name)}"
            ) from error

    def config(self, name: str, platform: Platform | None, exact: bool) -> ImageConfig:
        """The config of an image, checked for its platform.

        Args:
            name: as in the Dockerfile.
            platform: what FROM or the build asked for.
            exact: no other platform will do.

        Raises:
            InvalidInput: the image is for another platform.
        """
        config = self.image(name, str(platform or "")).config
        found = config.platform
        if exact and platform is not None and not _is(found, platform):
            raise InvalidInput(
                f"image {name} was found but does not match the specified platform: wanted {platform}, actual {found}",
                hint=f"load it for both (kist load --platform {found} --platform {platform}), name one for {platform}, "
                "or leave --platform out",
            )
        return config

    def at_hand(self, name: str, platform: str = "") -> Result | None:
        """The same as ``result``, where its layers are unpacked already."""
        image = self.image(name, platform)
        chain = next(reversed(chain_ids(image.config.rootfs.diff_ids)), None)
        return self._result(image, chain) if chain is None or self._engine.store.snapshots.exists(chain) else None

    def result(self, name: str, platform: str = "") -> Result:
        """The image as something to build on; its layers are unpacked where they are not yet."""
        image = self.image(name, platform)
        return self._result(image, self._engine.catalogue.chain(image))

    def _result(self, image: Image, chain: Digest | None) -> Result:
        return Result(
            identity=chain or "",
            chain=chain,
            layers=self._engine.catalogue.layers(image),
            history=image.config.history,
            created=image.config.created,
        )


def _check_digits(name: str, image: Image) -> None:
    """Refuse few digits of an id: a stage's name that is mistyped may be the beginning of one.

    Raises:
        NotFound: as if there were no such image.
    """
    digits = name.removeprefix("sha256:")
    if len(digits) < _FEWEST_DIGITS and image.id.hex.startswith(digits) and not find_reference(image, name):
        raise NotFound(
            f"No such image: {name}",
            hint=f"if the image of the id {image.id.short} is meant, write {_FEWEST_DIGITS} digits or more of it",
        )


def _is(found: Platform, wanted: Platform) -> bool:
    same = (found.os, found.architecture) == (wanted.os, wanted.architecture)
    return same and ("" in {wanted.usual.variant, found.usual.variant} or wanted.usual == found.usual)


def _way_to(name: str) -> str:
    base = name.partition(":")[0].rpartition("/")[2]
    if base == "debian":
        return f"make it with: kist bootstrap {name if ':' in name else 'debian:12'}"
    return "bring it here with kist load or kist import, or make a base image with kist bootstrap debian:12"
