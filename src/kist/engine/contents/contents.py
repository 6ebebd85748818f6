"""What is in the images of one data root: looked at once for each layer, and kept."""

from collections.abc import Callable, Iterable, Sequence

from kist.engine.contents.index import FORMAT, Files, LayerFiles, pack, unpack_files, unpack_packages
from kist.engine.contents.scanning import scan
from kist.inventory.layers import LayerPackages, Merged, merge
from kist.inventory.purl import purl
from kist.spec.digest import Digest
from kist.spec.image import History, Layer
from kist.spec.package import FoundPackage, ImagePackages, Package, Step
from kist.spec.reference import Reference
from kist.spec.summary import Image
from kist.store import Store


class Contents:
    """Goes through layers, and keeps what it finds. Safe from many threads.

    A layer is gone through as its blob, whatever storage has its files, and where it is not unpacked too. Two threads
    that want the same one at once both go through it, and find the same.

    Args:
        store: has the blobs, and keeps what is found.
        layers: of an image.
    """

    def __init__(self, store: Store, layers: Callable[[Image], tuple[Layer, ...]]) -> None:
        self._store = store
        self._layers = layers

    def packages(self, image: Image) -> ImagePackages:
        """All packages of an image, each with the layer that it came with."""
        return self.all_packages([image])[0]

    def all_packages(self, images: Sequence[Image]) -> tuple[ImagePackages, ...]:
        """The same of several; what layers they share is read once."""
        known: dict[Digest, LayerPackages] = {}
        return tuple(self._packages(image, known) for image in images)

    def _packages(self, image: Image, known: dict[Digest, LayerPackages]) -> ImagePackages:
        diff_ids = image.config.rootfs.diff_ids
        missing = [diff_id for diff_id in diff_ids if diff_id not in known]
        if missing:
            known.update(self._packages_of(self._layers(image), missing))
        merged = merge(known[diff_id] for diff_id in diff_ids)
        found = tuple(
            FoundPackage(each.package, each.layer, purl(each.package, merged.distribution)) for each in merged.packages
        )
        steps = self.steps(image)
        return ImagePackages(image.id, name_of(image), merged.distribution, steps, found, merged.skipped)

    def of_layers(self, layers: Sequence[Layer]) -> Merged:
        """The packages of a stack of layers, from the lowest up, of which there need be no image."""
        known = self._packages_of(layers, [layer.diff_id for layer in layers])
        return merge(known[layer.diff_id] for layer in layers)

    def brought(self, below: Sequence[Layer], layer: Layer) -> tuple[Package, ...]:
        """The packages that a layer adds to those below it, also in another version.

        What is below is looked at only where the layer says anything of packages.
        """
        own = self._packages_of([layer], [layer.diff_id])[layer.diff_id]
        if not own.files:
            return ()
        before = {each.package.identity for each in self.of_layers(below).packages}
        after = self.of_layers((*below, layer)).packages
        return tuple(each.package for each in after if each.package.identity not in before)

    def _packages_of(self, layers: Sequence[Layer], diff_ids: Sequence[Digest]) -> dict[Digest, LayerPackages]:
        kept = self._store.inventories.packages(diff_ids, FORMAT)
        found = {diff_id: unpack_packages(data) for diff_id, data in kept.items()}
        for layer in layers:
            if layer.diff_id in diff_ids and layer.diff_id not in found:
                found[layer.diff_id] = self._scanned(layer)[0]
        return found

    def files(self, image: Image) -> Files:
        """All files of an image, and those that its layers carry and hide."""
        layers = self._layers(image)
        kept = self._store.inventories.files([layer.diff_id for layer in layers], FORMAT)
        return Files(
            unpack_files(kept[layer.diff_id]) if layer.diff_id in kept else self._scanned(layer)[1] for layer in layers
        )

    def _scanned(self, layer: Layer) -> tuple[LayerPackages, LayerFiles]:
        with self._store.blobs.open(layer.descriptor.digest) as blob:
            found = scan(blob, f"layer {layer.diff_id.short}", self._store.blobs.temporary)
        self._store.inventories.put(layer.diff_id, FORMAT, pack(found.packages), pack(found.files))
        return found.packages, found.files

    def steps(self, image: Image) -> tuple[Step, ...]:
        """The layers of an image by what made them."""
        diff_ids = image.config.rootfs.diff_ids
        makers = layer_makers(image.config.history)
        words = makers if len(makers) == len(diff_ids) else [""] * len(diff_ids)
        places = self._store.places.of(image.id)
        return tuple(
            Step(number, diff_id, word, places.get(number, ""))
            for number, (diff_id, word) in enumerate(zip(diff_ids, words, strict=True), 1)
        )


def layer_makers(history: Iterable[History]) -> list[str]:
    """The line of each layer, from the lowest up."""
    return [entry.created_by or entry.comment for entry in history if not entry.empty_layer]


def name_of(image: Image) -> str:
    """How people call an image: its first name; empty where it has none."""
    return Reference.parse(image.references[0]).familiar if image.references else ""
