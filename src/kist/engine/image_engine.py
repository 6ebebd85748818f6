"""What callers ask the engine of images, and which of its parts answers; the rest is ``engine.engine``'s."""

from collections.abc import Sequence
from typing import BinaryIO

from kist.engine.images import Tell
from kist.engine.parts import Parts
from kist.errors import NotFound
from kist.spec.artifact import Referrer
from kist.spec.image import ContainerConfig
from kist.spec.insight import ImageDifference, ImageTree, Slim, Why
from kist.spec.package import ImagePackages
from kist.spec.platform import Platform
from kist.spec.summary import Image, LoadedImage, RemovedImage


class ImageEngine(Parts):
    """The half of an engine that is about images; ``kist.spec.interface`` describes what all engines have."""

    # images

    def images(self) -> tuple[Image, ...]:
        """All images, the newest first."""
        return self.catalogue.list()

    def image(self, name: str | Image) -> Image:
        """The image of this reference, id or unique beginning of an id."""
        return self.catalogue.get(name)

    def tag(self, name: str | Image, reference: str) -> None:
        """Give an image one more name."""
        self.catalogue.tag(name, reference)

    def remove_image(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """Take a name away, and the image with its last one."""
        return self.catalogue.remove(name, force=force, running=self._runs)

    def image_removal(self, name: str | Image, *, force: bool = False) -> RemovedImage:
        """What ``remove_image`` would do; nothing is done."""
        return self.catalogue.removal(name, force=force, running=self._runs)

    def _runs(self, identifier: str) -> bool:
        try:
            return self._containers.get(identifier).state.running
        except NotFound:
            return False

    def import_image(
        self,
        source: BinaryIO,
        reference: str = "",
        *,
        config: ContainerConfig | None = None,
        message: str = "",
        platform: str = "",
    ) -> Image:
        """Make an image of one layer from a tar of a file system."""
        chosen = Platform.parse(platform) if platform else None
        return self.catalogue.import_tar(source, reference, config or ContainerConfig(), message, chosen)

    def load(self, source: BinaryIO, *, platform: str | Sequence[str] = "") -> tuple[Image, ...]:
        """Take in the images of a docker-save or OCI archive."""
        return tuple(each.image for each in self.load_named(source, platform=platform))

    def load_named(
        self, source: BinaryIO, *, platform: str | Sequence[str] = "", tell: Tell | None = None
    ) -> tuple[LoadedImage, ...]:
        """The same, with the names that the images bear in the archive; ``tell`` hears how far new layers are."""
        named = [platform] if isinstance(platform, str) else platform
        return self.catalogue.load_named(source, [Platform.parse(each) for each in named if each], tell)

    def save(self, names: Sequence[str | Image], target: BinaryIO, *, platform: str | Sequence[str] = "") -> None:
        """Write images as an archive that both Docker and OCI tools read."""
        named = [platform] if isinstance(platform, str) else platform
        self.catalogue.save(names, target, [Platform.parse(each) for each in named if each])

    # what is in images

    def packages(self, name: str | Image) -> ImagePackages:
        """All packages of an image, each with the layer that it came with."""
        return self.insight.packages(self.image(name))

    def sbom(self, name: str | Image, form: str = "spdx", *, attach: bool = False) -> bytes:
        """The bill of materials of an image, as ``spdx`` or ``cyclonedx``; with ``attach`` it is a referrer of it."""
        image = self.image(name)
        if not attach:
            return self.insight.attaching.bill(image, form)
        self.catalogue.check_own(image)
        return self.insight.attaching.attach_bill(image, form)[1]

    def referrers(self, name: str | Image) -> tuple[Referrer, ...]:
        """What is attached to an image."""
        return self.insight.attaching.referrers(self.image(name))

    def referrer(self, name: str | Image, digest: str) -> bytes:
        """What one of these holds."""
        return self.insight.attaching.referrer(self.image(name), digest)[1]

    def remove_referrer(self, name: str | Image, digest: str) -> Referrer:
        """Detach one of these."""
        image = self.image(name)
        self.catalogue.check_own(image)
        return self.insight.attaching.remove(image, digest)

    def why(self, package: str) -> Why:
        """Which images have a package (``NAME[RELATION VERSION]``), by which layer, and which have it from them."""
        return self.insight.why(package, self.images())

    def image_tree(self) -> ImageTree:
        """Which images stand on which, by their layers."""
        return self.insight.tree(self.images())

    def image_difference(
        self, first: str | Image, second: str | Image, *, packages: bool = True, files: bool = True
    ) -> ImageDifference:
        """What is different between two images."""
        return self.insight.difference(self.image(first), self.image(second), packages=packages, files=files)

    def slim(self, name: str | Image, *, most: int = 20) -> Slim:
        """What takes the space in an image; of each list the ``most`` largest."""
        return self.insight.slim(self.image(name), most)
