"""Which images have a package, by which of their layers, and who has it from them. Pure."""

from collections.abc import Mapping, Sequence

from kist.engine.contents.lineage import named, parents
from kist.inventory.query import Query
from kist.spec.digest import Digest
from kist.spec.insight import Holder, Match, Why
from kist.spec.package import FoundPackage, ImagePackages, Package, Skipped
from kist.spec.summary import Image

_Key = tuple[str, str, str, str]


def why(query: Query, images: Sequence[Image], contents: Sequence[ImagePackages]) -> Why:
    """The answer to a query.

    Args:
        query: what is asked for.
        images: all that are looked at.
        contents: of each of these.
    """
    above = parents(images)
    inside = {image.id: found for image, found in zip(images, contents, strict=True)}
    matching: dict[_Key, dict[Digest, FoundPackage]] = {}
    for image in images:
        for found in inside[image.id].packages:
            if query.means(found.package):
                # The same package at several paths is told once for an image, with the layer that had it first.
                first = matching.setdefault(found.package.identity, {}).setdefault(image.id, found)
                if found.layer < first.layer:
                    matching[found.package.identity][image.id] = found
    by_id = {image.id: image for image in images}
    matches = tuple(_match(where, by_id, above, inside) for _, where in sorted(matching.items()))
    skipped: dict[str, Skipped] = {each.path: each for found in contents for each in found.skipped}
    told = tuple(skipped[path] for path in sorted(skipped))
    return Why(query.text, matches, len(images), told, () if matches else _others(query, contents))


def _others(query: Query, contents: Sequence[ImagePackages]) -> tuple[Package, ...]:
    """Packages of another version than was asked for."""
    any_version = query._replace(relations=())
    found = (each.package for image in contents for each in image.packages if any_version.means(each.package))
    known = {package.identity: package for package in found}
    return tuple(known[identity] for identity in sorted(known))


def _match(
    where: Mapping[Digest, FoundPackage],
    images: Mapping[Digest, Image],
    above: Mapping[Digest, Image],
    inside: Mapping[Digest, ImagePackages],
) -> Match:
    """The images of one package; those that have it from another image here are its heirs."""
    heirs: dict[Digest, list[Digest]] = {}
    for identity, found in where.items():
        heirs.setdefault(_source(identity, found.layer, where, above), []).append(identity)
    holders = []
    for identity, all_of_them in heirs.items():
        found = where[identity]
        step = inside[identity].layers[found.layer - 1]
        below = sorted(
            (named(images[each]) for each in all_of_them if each != identity), key=lambda each: (each.names, each.id)
        )
        holders.append(Holder(named(images[identity]), step, tuple(below)))
    first = next(iter(where.values()))
    ordered = sorted(holders, key=lambda each: (not each.image.names, each.image.names, each.image.id))
    return Match(first.package, first.purl, tuple(ordered))


def _source(
    identity: Digest, layer: int, where: Mapping[Digest, FoundPackage], above: Mapping[Digest, Image]
) -> Digest:
    """The lowest image that an image stands on and that has the package by the same layer."""
    while (parent := above.get(identity)) is not None:
        if len(parent.config.rootfs.diff_ids) < layer or parent.id not in where or where[parent.id].layer != layer:
            break
        identity = parent.id
    return identity
