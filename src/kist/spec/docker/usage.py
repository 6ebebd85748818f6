"""What takes space, as ``/system/df`` tells it (Engine API, SystemDataUsage)."""

import re
from collections.abc import Callable
from typing import Any

from kist.spec.docker.containers import write_summaries
from kist.spec.docker.images import write_summary as write_image
from kist.spec.docker.times import write_time
from kist.spec.docker.volumes import write_used
from kist.spec.usage import CacheUsage, ContainerUsage, DiskUsage, ImageUsage, Limits, OtherUsage

KINDS = ("container", "image", "volume", "build-cache")
_SECOND = 1_000_000_000
_Part = tuple[dict[str, Any], list[dict[str, Any]]]


def write_usage(usage: DiskUsage, kinds: set[str], *, now: int, verbose: bool = False) -> dict[str, Any]:
    """The answer of SystemDataUsage.

    The fields ``ImageUsage`` and so on are those of API 1.52; they have exact totals, of the space on the disk, which
    clients otherwise make up from the lists. ``Size`` in the lists is that of the files, as everywhere in the API.
    The lists are ``Items`` of these where the client asked for them (``verbose``), else beside them, as Docker has it
    for clients that do not know the new fields.
    ``DiskSize``, ``DiskShared``, ``SizeLog``, ``OtherUsage``, ``TotalSize`` and ``Ceilings`` (by the
    names of these fields) are Kist's own.

    Args:
        usage: what was measured.
        kinds: which of ``KINDS`` are asked for.
        now: nanoseconds since the epoch, for the containers' ages.
        verbose: whether the client knows where to look for the lists, and wants them.
    """
    writers: dict[str, Callable[[], _Part]] = {
        "image": lambda: _images(usage),
        "container": lambda: _containers(usage, now),
        "volume": lambda: _volumes(usage),
        "build-cache": lambda: _cache(usage),
    }
    written: dict[str, Any] = {
        "OtherUsage": [_other(each) for each in usage.others],
        "TotalSize": usage.total,
        "Ceilings": {name: size for name, size in _ceilings(usage.limits) if size is not None},
    }
    for kind, write in writers.items():
        if kind in kinds:
            totals, items = write()
            name, old = _FIELDS[kind]
            written |= {name: totals | {"Items": items}} if verbose else {name: totals, old: items}
    if "image" in kinds and not verbose:
        written["LayersSize"] = usage.images_size
    return written


# The field of a kind from API 1.52 on, and that of its list before.
_FIELDS = {
    "image": ("ImageUsage", "Images"),
    "container": ("ContainerUsage", "Containers"),
    "volume": ("VolumeUsage", "Volumes"),
    "build-cache": ("BuildCacheUsage", "BuildCache"),
}


def _totals(total: int, active: int, size: int, reclaimable: int) -> dict[str, int]:
    return {"TotalCount": total, "ActiveCount": active, "TotalSize": size, "Reclaimable": reclaimable}


def _images(usage: DiskUsage) -> _Part:
    active = sum(bool(each.containers) for each in usage.images)
    totals = _totals(len(usage.images), active, usage.images_size, usage.images_reclaimable)
    return totals, [_image(each) for each in usage.images]


def _image(each: ImageUsage) -> dict[str, Any]:
    written = write_image(each.image, each.containers, each.shared)
    return written | {"DiskSize": each.disk, "DiskShared": each.disk_shared}


def _ceilings(limits: Limits) -> tuple[tuple[str, int | None], ...]:
    return ("ImageUsage", limits.images), ("BuildCacheUsage", limits.cache), ("packages", limits.packages)


def _other(each: OtherUsage) -> dict[str, Any]:
    return {"Kind": each.kind, "Size": each.size, "Reclaimable": each.reclaimable}


def _containers(usage: DiskUsage, now: int) -> _Part:
    active = sum(each.container.state.running for each in usage.containers)
    size, reclaimable = usage.containers_size, usage.containers_reclaimable
    summaries = write_summaries((each.container for each in usage.containers), now)
    items = [one | write_sizes(each) for one, each in zip(summaries, usage.containers, strict=True)]
    return _totals(len(usage.containers), active, size, reclaimable), items


def write_sizes(each: ContainerUsage) -> dict[str, int]:
    """What lists and ``inspect`` tell of a container's space when they are asked (``size=1``)."""
    return {"SizeRw": each.written, "SizeRootFs": each.root, "SizeLog": each.log, "DiskSize": each.disk}


def _volumes(usage: DiskUsage) -> _Part:
    active = sum(bool(each.containers) for each in usage.volumes)
    totals = _totals(len(usage.volumes), active, usage.volumes_size, usage.volumes_reclaimable)
    return totals, [write_used(each) for each in usage.volumes]


def _cache(usage: DiskUsage) -> _Part:
    active = sum(each.shared for each in usage.cache)
    totals = _totals(len(usage.cache), active, usage.cache_size, usage.cache_size)
    return totals, [_entry(each) for each in usage.cache]


CACHE_MOUNT = "mount "
"""What is before a cache mount's name in its key, behind whose it is; after it is a colon and a digest."""


KEPT_CONTEXT = "context "
"""The same of a build's context that came to the engine: before its name; after it is a colon and a digest."""


_OF_A_CONTEXT = re.compile(rf"(?:\d+/)?{KEPT_CONTEXT}")


def is_kept_context(key: str) -> bool:
    """Whether an entry of the build cache is a context, by its key."""
    return bool(_OF_A_CONTEXT.match(key))


def describe_cache(key: str, about: str = "") -> tuple[str, str]:
    """The type and the description of an entry of the build cache, by its key and what the builder says of it."""
    head = key.rpartition(":")[0]
    if is_kept_context(key):
        return "source.local", f"local source for {head.partition(KEPT_CONTEXT)[2] or 'a context'}"
    _, mount, name = head.partition(CACHE_MOUNT)
    return ("exec.cachemount", f"cached mount {name}") if mount else ("regular", about or key.partition(":")[0])


def _entry(each: CacheUsage) -> dict[str, Any]:
    moment = write_time(each.used_at * _SECOND)
    kind, description = describe_cache(each.key, each.about)
    return {
        "ID": each.key.rpartition(":")[2],
        "Type": kind,
        "Description": description,
        "InUse": each.shared,
        "Shared": each.shared,
        "Size": each.size,
        "CreatedAt": moment,
        "LastUsedAt": moment,
        "UsageCount": 1,
    }
