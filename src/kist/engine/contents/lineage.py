"""Which image stands on which: by their layers. Pure."""

from collections.abc import Sequence

from kist.spec.digest import Digest
from kist.spec.insight import ImageName, ImageTree, Kin
from kist.spec.reference import Reference
from kist.spec.summary import Image


def named(image: Image) -> ImageName:
    """An image as people are told of it."""
    return ImageName(image.id, tuple(Reference.parse(name).familiar for name in image.references))


def parents(images: Sequence[Image]) -> dict[Digest, Image]:
    """The image that each one stands on: of those whose layers are the beginning of its own, the nearest.

    Of images with the same layers, one stands on the other where its history is the beginning of the other's: it
    was only configured. What has no layers is nobody's parent.
    """
    by_layers: dict[tuple[Digest, ...], list[Image]] = {}
    for image in images:
        by_layers.setdefault(image.config.rootfs.diff_ids, []).append(image)
    found = {}
    for image in images:
        diff_ids = image.config.rootfs.diff_ids
        for count in range(len(diff_ids), 0, -1):
            above = [each for each in by_layers.get(diff_ids[:count], ()) if _is_below(each, image)]
            if above:
                found[image.id] = max(above, key=lambda each: (len(each.config.history), -each.created_at, each.id))
                break
    return found


def _is_below(one: Image, other: Image) -> bool:
    mine, theirs = one.config.history, other.config.history
    if len(one.config.rootfs.diff_ids) == len(other.config.rootfs.diff_ids):
        return len(mine) < len(theirs) and theirs[: len(mine)] == mine
    return True


def tree(images: Sequence[Image]) -> ImageTree:
    """All images, each after the one that it stands on, and those on one by name."""
    above = parents(images)
    children: dict[str, list[Image]] = {}
    for image in images:
        parent = above.get(image.id)
        children.setdefault(parent.id if parent else "", []).append(image)
    found: list[Kin] = []
    todo = [*reversed(_ordered(children.get("", ())))]
    while todo:
        image = todo.pop()
        found.append(_kin(image, above.get(image.id)))
        todo += reversed(_ordered(children.get(image.id, ())))
    return ImageTree(tuple(found), _size(images))


def _ordered(images: Sequence[Image]) -> list[Image]:
    return sorted(images, key=lambda each: (not each.references, named(each).names, -each.created_at, each.id))


def _kin(image: Image, parent: Image | None) -> Kin:
    layers = len(image.config.rootfs.diff_ids) - (len(parent.config.rootfs.diff_ids) if parent else 0)
    return Kin(
        named(image),
        size=image.size,
        own=max(0, image.size - (parent.size if parent else 0)),
        layers=layers,
        created_at=image.created_at,
        parent=parent.id if parent else "",
    )


def _size(images: Sequence[Image]) -> int:
    """Bytes of all layers, each counted once; those that several share are nobody's own, but of one of them.

    An image adds what it has above the longest beginning that an image before it has.
    """
    total = 0
    known: dict[tuple[Digest, ...], int] = {}
    for image in sorted(images, key=lambda each: len(each.config.rootfs.diff_ids)):
        diff_ids = image.config.rootfs.diff_ids
        if diff_ids in known:
            continue
        below = next((known[diff_ids[:count]] for count in range(len(diff_ids), 0, -1) if diff_ids[:count] in known), 0)
        total += max(0, image.size - below)
        known[diff_ids] = image.size
    return total
