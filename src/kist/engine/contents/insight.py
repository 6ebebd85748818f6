"""What an engine tells of what is in its images."""

from collections.abc import Sequence

from kist.engine.contents.attaching import Attaching
from kist.engine.contents.comparing import file_differences, package_differences
from kist.engine.contents.contents import Contents
from kist.engine.contents.lineage import named, tree
from kist.engine.contents.searching import why
from kist.engine.contents.slimming import slim
from kist.engine.images import Images
from kist.errors import InvalidInput
from kist.inventory.query import parse_query
from kist.spec.insight import ImageDifference, ImageTree, Slim, Why
from kist.spec.package import ImagePackages
from kist.spec.summary import Image
from kist.store import Store

MOST = 10_000
"""Of each list, as many are told at most."""


class Insight:
    """Answers about images that the caller sees. Safe from many threads.

    Args:
        store: has the layers, and keeps what is found in them.
        images: gives the layers of one.

    Attributes:
        contents: packages and files of images.
        attaching: documents about images.
    """

    def __init__(self, store: Store, images: Images) -> None:
        self.contents = Contents(store, images.layers)
        self.attaching = Attaching(store, self.contents)

    def packages(self, image: Image) -> ImagePackages:
        """All packages of an image."""
        return self.contents.packages(image)

    def why(self, asked: str, images: Sequence[Image]) -> Why:
        """Which of these images have a package.

        Raises:
            ParseError, InvalidInput: it is no package that could be asked for.
        """
        query = parse_query(asked)
        return why(query, images, self.contents.all_packages(images))

    def tree(self, images: Sequence[Image]) -> ImageTree:
        """Which of these images stand on which."""
        return tree(images)

    def difference(self, first: Image, second: Image, *, packages: bool, files: bool) -> ImageDifference:
        """What is different between two images."""
        added, removed, changed = None, None, None
        if packages:
            added, removed, changed = package_differences(*self.contents.all_packages([first, second]))
        told = file_differences(self.contents.files(first), self.contents.files(second)) if files else None
        return ImageDifference(named(first), named(second), added, removed, changed, told)

    def slim(self, image: Image, most: int) -> Slim:
        """What takes the space in an image; of each list the ``most`` largest.

        Raises:
            InvalidInput: that is no number of them.
        """
        if not 1 <= most <= MOST:
            raise InvalidInput(f"{most} of each are not told", hint=f"between 1 and {MOST} are")
        return slim(image, self.contents.files(image), self.contents.packages(image), most)
