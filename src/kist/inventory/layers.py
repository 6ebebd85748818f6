"""The layers of an image put on one another: which packages there are in the end, and with which layer each came."""

import posixpath
from collections.abc import Iterable, Sequence

import msgspec

from kist.spec.package import Package, Skipped


class LayerPackages(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one layer says of packages.

    Attributes:
        files: each file that tells of packages, and what it tells; of one that could not be read, nothing.
        skipped: what could not be read.
        removed: paths that the layer deletes from those below (whiteouts).
        emptied: directories of which nothing below is seen (opaque).
        release: the text of os-release; empty where the layer has none.
    """

    files: dict[str, tuple[Package, ...]] = {}
    skipped: tuple[Skipped, ...] = ()
    removed: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    release: str = ""


class Placed(msgspec.Struct, frozen=True):
    """A package, and the number (from 1) of the layer that it came with."""

    package: Package
    layer: int


class Merged(msgspec.Struct, frozen=True):
    """All layers together: the packages, what could not be read, and ``ID VERSION_ID`` of the os-release."""

    packages: tuple[Placed, ...]
    skipped: tuple[Skipped, ...] = ()
    distribution: str = ""


def merge(layers: Iterable[LayerPackages]) -> Merged:
    """The packages of a stack of layers, from the lowest up.

    A database is written anew as a whole: a package that was in it before came with the layer that had it first and
    has had it ever since.
    """
    files: dict[str, tuple[Package, ...]] = {}
    skipped: dict[str, Skipped] = {}
    since: dict[tuple[str, ...], int] = {}
    release = ""
    for number, layer in enumerate(layers, 1):
        if layer.removed or layer.emptied:
            for path in [path for path in {**files, **skipped} if _is_hidden(path, layer)]:
                files.pop(path, None)
                skipped.pop(path, None)
        for path in layer.files:
            skipped.pop(path, None)
        files.update(layer.files)
        skipped.update({each.path: each for each in layer.skipped})
        release = layer.release or release
        here = {_place(package) for packages in files.values() for package in packages}
        since = {place: since.get(place, number) for place in here}
    placed = {
        (*package.identity, package.path): Placed(package, since[_place(package)])
        for packages in files.values()
        for package in packages
    }
    ordered = tuple(placed[key] for key in sorted(placed))
    return Merged(ordered, tuple(skipped[path] for path in sorted(skipped)), distribution(release))


def distribution(release: str) -> str:
    """``ID VERSION_ID`` of an os-release(5), the latter where there is one; empty where it names none."""
    fields = dict(line.partition("=")[::2] for line in release.split("\n") if "=" in line)
    name, version = (fields.get(key, "").strip().strip("\"'") for key in ("ID", "VERSION_ID"))
    return f"{name} {version}".strip() if name else ""


def changed(
    before: Sequence[Package], after: Sequence[Package]
) -> tuple[tuple[Package, ...], tuple[Package, ...], tuple[tuple[Package, Package], ...]]:
    """What is different between two sets of packages: added, removed, and those whose version is another one.

    A package of which several versions are there before or after is added and removed, and not changed.
    """
    old, new = {each.identity: each for each in before}, {each.identity: each for each in after}
    added = {key: package for key, package in new.items() if key not in old}
    removed = {key: package for key, package in old.items() if key not in new}
    by_name: dict[tuple[str, str, str], list[list[Package]]] = {}
    for side, packages in ((0, removed), (1, added)):
        for package in packages.values():
            by_name.setdefault((package.type, package.name, package.architecture), [[], []])[side].append(package)
    pairs = tuple((was[0], now[0]) for was, now in by_name.values() if len(was) == len(now) == 1)
    paired = {each.identity for pair in pairs for each in pair}
    return (
        tuple(added[key] for key in sorted(added) if key not in paired),
        tuple(removed[key] for key in sorted(removed) if key not in paired),
        tuple(sorted(pairs, key=lambda pair: pair[0].identity)),
    )


def _place(package: Package) -> tuple[str, ...]:
    """What makes a package of one layer the same as one of the next, and that is also where it lies."""
    return (*package.identity, package.path)


def _is_hidden(path: str, layer: LayerPackages) -> bool:
    """Whether a layer hides what those below have at a path."""
    outer = path.partition("!/")[0]
    if outer in layer.removed:
        return True
    above = posixpath.dirname(outer)
    while above:
        if above in layer.removed or above in layer.emptied:
            return True
        above = posixpath.dirname(above)
    return "" in layer.emptied
