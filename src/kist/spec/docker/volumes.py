"""Volumes in Docker's JSON (Engine API, VolumeCreate, VolumeList, VolumeInspect) and the filters of their list."""

from collections.abc import Iterable, Mapping
from typing import Any

from kist.spec.docker import fields
from kist.spec.docker.filters import Filters, match_labels, read_filters, read_truth
from kist.spec.docker.times import write_time
from kist.spec.usage import VolumeUsage
from kist.spec.volume import Volume, VolumeOptions

ANONYMOUS = "com.docker.volume.anonymous"
_SECOND = 1_000_000_000
_FILTERS = frozenset({"dangling", "driver", "label", "name"})
_KNOWN = frozenset({"Name", "Driver", "DriverOpts", "Labels"})


def read_create(body: Mapping[str, Any]) -> VolumeOptions:
    """The body of VolumeCreate.

    Raises:
        InvalidInput: a field is of the wrong kind.
        Unsupported: it asks for what is not done (volumes of a cluster).
    """
    fields.refuse_unknown(body, _KNOWN, {})
    return VolumeOptions(
        name=fields.text(body, "Name"),
        driver=fields.text(body, "Driver") or "local",
        labels=fields.text_table(body, "Labels"),
        options=fields.text_table(body, "DriverOpts"),
    )


def write_create(options: VolumeOptions) -> dict[str, Any]:
    """What ``read_create`` reads back."""
    return {
        "Name": options.name,
        "Driver": options.driver,
        "DriverOpts": options.options,
        "Labels": options.labels,
    }


def labels_of(volume: Volume) -> dict[str, str]:
    """A volume's labels; one that nobody named has Docker's mark of that."""
    return {**volume.labels, ANONYMOUS: ""} if volume.anonymous else volume.labels


def write_volume(volume: Volume) -> dict[str, Any]:
    """The answer of VolumeInspect."""
    return {
        "CreatedAt": write_time(volume.created_at // _SECOND * _SECOND),
        "Driver": volume.driver,
        "Labels": labels_of(volume) or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": "local",
    }


def write_list(volumes: Iterable[Volume]) -> dict[str, Any]:
    """The answer of VolumeList."""
    return {"Volumes": [write_volume(volume) for volume in volumes], "Warnings": None}


def write_used(used: VolumeUsage) -> dict[str, Any]:
    """A volume with the space that it takes and how many containers have it."""
    return write_volume(used.volume) | {"UsageData": {"Size": used.size, "RefCount": used.containers}}


def read_volume_filters(text: str) -> Filters:
    """The filters of VolumeList.

    Raises:
        InvalidInput: a filter is unknown, or its value cannot be right.
    """
    filters = read_filters(text, _FILTERS)
    _dangling(filters)
    return filters


def _dangling(filters: Filters) -> set[bool]:
    return {read_truth("dangling", value, "no container has it") for value in filters.get("dangling", ())}


def match_volume(volume: Volume, filters: Filters, *, used: bool) -> bool:
    """Whether a volume passes all filters: one value of each, and all labels; ``used``: a container has it."""
    wanted = _dangling(filters)
    if wanted and (not used) not in wanted:
        return False
    if "driver" in filters and volume.driver not in filters["driver"]:
        return False
    if "name" in filters and not any(value in volume.name for value in filters["name"]):
        return False
    return match_labels(labels_of(volume), filters.get("label", ()))
