"""The filters of clean-ups (Engine API, ContainerPrune, ImagePrune, BuildPrune) and their answers."""

from typing import Any

from kist.errors import InvalidInput
from kist.spec.docker.filters import Filters, read_filters
from kist.spec.docker.times import read_time, write_moment
from kist.spec.json import encode
from kist.spec.prune import CachePruning, Pruning
from kist.spec.usage import Pruned, SystemPruned

_TRUTH = {"1": True, "true": True, "0": False, "false": False}
_COMMON = frozenset({"until", "label", "label!"})
_CACHE = frozenset({
    "until", "id", "unused-for", "type", "inuse", "shared", "private", "description", "parent", "mutable", "immutable",
    "label", "label!",
})  # fmt: skip
_CACHE_FLAGS = frozenset({"inuse", "shared", "private"})
_CACHE_LISTS = frozenset({"id", "label", "label!"})


def read_container_pruning(text: str, now: int) -> Pruning:
    """The ``filters`` of ContainerPrune.

    Raises:
        InvalidInput: a filter is unknown, or its value cannot be right.
    """
    return _pruning(read_filters(text, _COMMON), now)


def read_image_pruning(text: str, now: int) -> tuple[Pruning, bool]:
    """The ``filters`` of ImagePrune; and whether images with a name go too (``dangling=false``)."""
    filters = read_filters(text, _COMMON | {"dangling"})
    wanted = {_truth("dangling", value) for value in filters.get("dangling", ("true",))}
    if len(wanted) != 1:
        raise InvalidInput("invalid filter 'dangling': it is both true and false")
    return _pruning(filters, now), not wanted.pop()


def read_volume_pruning(text: str, now: int) -> tuple[Pruning, bool]:
    """The ``filters`` of VolumePrune; and whether volumes with a name go too (``all=true``)."""
    filters = read_filters(text, (_COMMON - {"until"}) | {"all"})
    wanted = {_truth("all", value) for value in filters.get("all", ())}
    return _pruning(filters, now), wanted == {True}


def read_cache_pruning(
    text: str, now: int, *, every: bool, keep: int = 0, most: int = 0, least_free: int = 0
) -> CachePruning:
    """The ``filters`` and other parameters of BuildPrune.

    Raises:
        InvalidInput: a filter is unknown, has several values, or one that cannot be right.
    """
    for name, size in (("reserved-space", keep), ("max-used-space", most), ("min-free-space", least_free)):
        if size < 0:
            raise InvalidInput(f"invalid {name}: {size}", hint="it is a number of bytes")
    filters = read_filters(text, _CACHE, alone=_CACHE_FLAGS)
    for name in sorted(filters.keys() & {"mutable", "immutable"}):
        raise InvalidInput(f"invalid filter '{name}'", hint="entries of this cache are chosen by until, id, type, "
                           "parent, description, inuse, shared and private")  # fmt: skip
    for name in sorted(filters.keys() - _CACHE_LISTS):
        if len(filters[name]) > 1:
            raise InvalidInput("filters expect only one value", hint=f"name {name} once")
    if "until" in filters and "unused-for" in filters:
        raise InvalidInput('conflicting filters: "until" and "unused-for"')
    return CachePruning(
        every,
        _until(filters, now),
        keep,
        most,
        least_free,
        ids=filters.get("id", ()),
        kinds=filters.get("type", ()),
        parents=filters.get("parent", ()),
        descriptions=filters.get("description", ()),
        shared=_shared(filters),
        labels=filters.get("label", ()),
    )


def _shared(filters: Filters) -> bool | None:
    """Whether entries are to be shared with images, which is also what being in use is here."""
    wanted = {_truth(name, filters[name][0]) for name in ("inuse", "shared") if name in filters}
    if "private" in filters:
        wanted.add(not _truth("private", filters["private"][0]))
    if len(wanted) > 1:
        raise InvalidInput('conflicting filters: "inuse", "shared" and "private"')
    return wanted.pop() if wanted else None


def _pruning(filters: Filters, now: int) -> Pruning:
    return Pruning(_until(filters, now), filters.get("label", ()), filters.get("label!", ()))


def _until(filters: Filters, now: int) -> int:
    values = (*filters.get("until", ()), *filters.get("unused-for", ()))
    if len(values) > 1:
        raise InvalidInput("more than one until filter specified", hint="one moment is enough")
    return read_time(values[0], now=now, what="until") if values else 0


def _truth(name: str, value: str) -> bool:
    if value.lower() not in _TRUTH:
        raise InvalidInput(f"invalid filter '{name}={value}'", hint=f"write {name}=true or {name}=false")
    return _TRUTH[value.lower()]


def write_pruning(pruning: Pruning, **flags: bool) -> list[tuple[str, str | int | None]]:
    """The query parameters that ``read_container_pruning`` and its kin read back; ``flags`` are further filters."""
    filters = {name: [str(wanted).lower()] for name, wanted in flags.items()}
    if moment := write_moment(pruning.until):
        filters["until"] = [moment]
    if pruning.labels:
        filters["label"] = list(pruning.labels)
    if pruning.not_labels:
        filters["label!"] = list(pruning.not_labels)
    return [("filters", encode(filters).decode())]


def write_cache_pruning(pruning: CachePruning) -> list[tuple[str, str | int | None]]:
    """The query parameters that ``read_cache_pruning`` reads back."""
    moment = write_moment(pruning.until)
    filters = {"until": [moment]} if moment else {}
    lists = {
        "id": pruning.ids,
        "type": pruning.kinds,
        "parent": pruning.parents,
        "description": pruning.descriptions,
        "label": pruning.labels,
    }
    filters |= {name: list(values) for name, values in lists.items() if values}
    if pruning.shared is not None:
        filters["shared"] = [str(pruning.shared).lower()]
    return [
        ("all", int(pruning.every)),
        ("reserved-space", pruning.keep or None),
        ("max-used-space", pruning.most or None),
        ("min-free-space", pruning.least_free or None),
        ("filters", encode(filters).decode()),
    ]


def write_pruned_containers(pruned: Pruned) -> dict[str, Any]:
    """The answer of ContainerPrune."""
    return {"ContainersDeleted": list(pruned.deleted) or None, "SpaceReclaimed": pruned.size}


def write_pruned_images(pruned: Pruned) -> dict[str, Any]:
    """The answer of ImagePrune."""
    changes = [{"Untagged": name} for name in pruned.untagged] + [{"Deleted": name} for name in pruned.deleted]
    return {"ImagesDeleted": changes or None, "SpaceReclaimed": pruned.size}


def write_pruned_cache(pruned: Pruned) -> dict[str, Any]:
    """The answer of BuildPrune."""
    return {"CachesDeleted": list(pruned.deleted) or None, "SpaceReclaimed": pruned.size}


def write_pruned_volumes(pruned: Pruned) -> dict[str, Any]:
    """The answer of VolumePrune."""
    return {"VolumesDeleted": list(pruned.deleted) or None, "SpaceReclaimed": pruned.size}


def write_pruned_networks(pruned: Pruned) -> dict[str, Any]:
    """The answer of NetworkPrune, and that nothing is reclaimed."""
    return {"NetworksDeleted": list(pruned.deleted) or None, "SpaceReclaimed": pruned.size}


def write_unused(found: SystemPruned) -> dict[str, Any]:
    """The answers of all clean-ups in one object."""
    return {
        "ContainersDeleted": list(found.containers) or None,
        "NetworksDeleted": list(found.networks) or None,
        "VolumesDeleted": list(found.volumes) or None,
        "ImagesDeleted": write_pruned_images(found.images)["ImagesDeleted"],
        "CachesDeleted": list(found.cache) or None,
        "SpaceReclaimed": found.size,
    }
