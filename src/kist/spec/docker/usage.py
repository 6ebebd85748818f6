"""What takes space, as ``/system/df`` tells it (Engine API, SystemDataUsage)."""

from collections.abc import Callable
from typing import Any

from kist.spec.docker.containers import write_summaries
from kist.spec.docker.images import write_summary as write_image
from kist.spec.docker.times import write_time
from kist.spec.docker.volumes import write_used
from kist.spec.usage import CacheUsage, ContainerUsage, DiskUsage, ImageUsage, Limits, OtherUsage

KINDS = ("container", "image", "volume", "build-cache")
_SECOND = 1_000_000_000


def write_usage(usage: DiskUsage, kinds: set[str], *, now: int, version: tuple[int, int]) -> dict[str, Any]:
    """The answer of SystemDataUsage.

    The fields ``ImageUsage`` and so on are those of API 1.52; they have exact totals, of the space on the disk, which
    clients otherwise make up from the lists. ``Size`` in the lists is that of the files, as everywhere in the API.
    ``DiskSize``, ``DiskShared``, ``SizeLog``, ``OtherUsage``, ``TotalSize`` and ``Ceilings`` (by the
    names of these fields) are Kist's own.

    Args:
        usage: what was measured.
        kinds: which of ``KINDS`` are asked for.
        now: nanoseconds since the epoch, for the containers' ages.
        version: of the API.
    """
    writers: dict[str, Callable[[], dict[str, Any]]] = {
        "image": lambda: _images(usage, version),
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
            written |= write()
    return written


def _totals(total: int, active: int, size: int, reclaimable: int) -> dict[str, int]:
    return {"TotalCount": total, "ActiveCount": active, "TotalSize": size, "Reclaimable": reclaimable}


def _images(usage: DiskUsage, version: tuple[int, int]) -> dict[str, Any]:
    active = sum(bool(each.containers) for each in usage.images)
    return {
        "LayersSize": usage.images_size,
        "Images": [_image(each, version) for each in usage.images],
        "ImageUsage": _totals(len(usage.images), active, usage.images_size, usage.images_reclaimable),
    }


def _image(each: ImageUsage, version: tuple[int, int]) -> dict[str, Any]:
    return write_image(each.image, each.containers, version=version) | {
        "SharedSize": each.shared,
        "DiskSize": each.disk,
        "DiskShared": each.disk_shared,
    }


def _ceilings(limits: Limits) -> tuple[tuple[str, int | None], ...]:
    return ("ImageUsage", limits.images), ("BuildCacheUsage", limits.cache), ("packages", limits.packages)


def _other(each: OtherUsage) -> dict[str, Any]:
    return {"Kind": each.kind, "Size": each.size, "Reclaimable": each.reclaimable}


def _containers(usage: DiskUsage, now: int) -> dict[str, Any]:
    active = sum(each.container.state.running for each in usage.containers)
    size, reclaimable = usage.containers_size, usage.containers_reclaimable
    summaries = write_summaries((each.container for each in usage.containers), now)
    return {
        "Containers": [one | write_sizes(each) for one, each in zip(summaries, usage.containers, strict=True)],
        "ContainerUsage": _totals(len(usage.containers), active, size, reclaimable),
    }


def write_sizes(each: ContainerUsage) -> dict[str, int]:
    """What lists and ``inspect`` tell of a container's space when they are asked (``size=1``)."""
    return {"SizeRw": each.written, "SizeRootFs": each.root, "SizeLog": each.log, "DiskSize": each.disk}


def _volumes(usage: DiskUsage) -> dict[str, Any]:
    active = sum(bool(each.containers) for each in usage.volumes)
    return {
        "Volumes": [write_used(each) for each in usage.volumes],
        "VolumeUsage": _totals(len(usage.volumes), active, usage.volumes_size, usage.volumes_reclaimable),
    }


def _cache(usage: DiskUsage) -> dict[str, Any]:
    active = sum(each.shared for each in usage.cache)
    return {
        "BuildCache": [_entry(each) for each in usage.cache],
        "BuilderSize": usage.cache_size,
        "BuildCacheUsage": _totals(len(usage.cache), active, usage.cache_size, usage.cache_size),
    }


def _entry(each: CacheUsage) -> dict[str, Any]:
    moment = write_time(each.used_at * _SECOND)
    return {
        "ID": each.key.rpartition(":")[2],
        "Type": "regular",
        "Description": each.key.partition(":")[0],
        "InUse": each.shared,
        "Shared": each.shared,
        "Size": each.size,
        "CreatedAt": moment,
        "LastUsedAt": moment,
        "UsageCount": 1,
    }
