"""What takes space, as ``kist system df`` lists it, from the JSON of ``GET /system/df``: all sizes on the disk."""

from kist.cli.listing import Noun
from kist.cli.nouns.container import CONTAINER
from kist.cli.nouns.image import IMAGE
from kist.cli.table import one_line
from kist.cli.units import ago, epoch, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kist.cli.listing import Row, View

_KINDS = (
    ("Images", "ImageUsage"),
    ("Containers", "ContainerUsage"),
    ("Local Volumes", "VolumeUsage"),
    ("Build Cache", "BuildCacheUsage"),
)
_OTHERS = {
    "packages": "Package Cache",
    "database": "Database",
    "leftovers": "Leftovers",
    "rest": "Other Files",
}
_ABOUT = {
    "packages": "what bootstraps have downloaded",
    "database": "the records, with their log",
    "leftovers": "being made just now, or needed by nobody: any prune takes it",
    "rest": "locks, mount points, directories",
}
_UNCOUNTED = "-"
_WIDEST = 60  # characters of a description in a table


def kinds(found: "dict[str, Any]") -> "list[dict[str, Any]]":
    """A row for each kind of object, with its totals, and one for each of the rest."""
    ceilings = found["Ceilings"]
    counted = [{"Type": name, "Ceiling": ceilings.get(field), **found[field]} for name, field in _KINDS]
    others = [
        {"Type": _OTHERS[each["Kind"]], "TotalSize": each["Size"], "Ceiling": ceilings.get(each["Kind"]), **each}
        for each in found["OtherUsage"]
    ]
    return counted + others


def _reclaimable(row: "Row", _view: "View") -> str:
    total, part = row["TotalSize"], row["Reclaimable"]
    return f"{size(part)} ({100 * part // total}%)" if total else size(part)


def _count(name: str) -> "Any":
    return lambda row, _view: str(row.get(name, _UNCOUNTED))


KIND = Noun(
    "a kind of object",
    {
        "Type": ("TYPE", lambda row, _view: row["Type"]),
        "TotalCount": ("TOTAL", _count("TotalCount")),
        "Active": ("ACTIVE", _count("ActiveCount")),
        "Size": ("SIZE", lambda row, _view: size(row["TotalSize"])),
        "Reclaimable": ("RECLAIMABLE", _reclaimable),
        "Ceiling": ("CEILING", lambda row, _view: _UNCOUNTED if row["Ceiling"] is None else size(row["Ceiling"])),
    },
    ("Type", "TotalCount", "Active", "Size", "Reclaimable", "Ceiling"),
)

IMAGE_SPACE = Noun(
    IMAGE.name,
    {
        **IMAGE.fields,
        "Size": ("SIZE", lambda row, _view: size(row["DiskSize"])),
        "SharedSize": ("SHARED SIZE", lambda row, _view: size(row["DiskShared"])),
        "UniqueSize": ("UNIQUE SIZE", lambda row, _view: size(row["DiskSize"] - row["DiskShared"])),
    },
    ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"),
)


def _volumes(row: "Row", _view: "View") -> str:
    return str(sum(mount.get("Type") == "volume" for mount in row.get("Mounts") or ()))


CONTAINER_SPACE = Noun(
    CONTAINER.name,
    {
        **CONTAINER.fields,
        "LocalVolumes": ("LOCAL VOLUMES", _volumes),
        "Size": ("SIZE", lambda row, _view: size(row["DiskSize"])),
        "LogSize": ("LOG SIZE", lambda row, _view: size(row.get("SizeLog", 0))),
        "Created": ("CREATED", lambda row, view: ago(view.now - row["Created"])),
    },
    ("ID", "Image", "Command", "LocalVolumes", "Size", "LogSize", "Created", "Status", "Names"),
)
VOLUME_SPACE = Noun(
    "a volume",
    {
        "Name": ("VOLUME NAME", lambda row, _view: row["Name"]),
        "Links": ("LINKS", lambda row, _view: str(row["UsageData"]["RefCount"])),
        "Size": ("SIZE", lambda row, _view: size(row["UsageData"]["Size"])),
    },
    ("Name", "Links", "Size"),
    identity="Name",
)


def _cache_id(row: "Row", view: "View") -> str:
    return str(row["ID"]) if view.whole_text else str(row["ID"])[:12]


def _described(row: "Row", view: "View") -> str:
    """The instruction that an entry is of, as far as a table has room for it."""
    text = one_line(row.get("Description") or "")
    return text if view.whole_text or len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


CACHE_SPACE = Noun(
    "an entry of the build cache",
    {
        "ID": ("CACHE ID", _cache_id),
        "CacheType": ("CACHE TYPE", lambda row, _view: row["Type"]),
        "Description": ("DESCRIPTION", _described),
        "Size": ("SIZE", lambda row, _view: size(row["Size"])),
        "LastUsedSince": ("LAST USED", lambda row, view: ago(view.now - epoch(row["LastUsedAt"]))),
        "Shared": ("SHARED", lambda row, _view: str(row["Shared"]).lower()),
    },
    ("ID", "CacheType", "Size", "LastUsedSince", "Shared", "Description"),
)
OTHER_SPACE = Noun(
    "something else",
    {
        "Type": ("WHAT", lambda row, _view: _OTHERS[row["Kind"]]),
        "Size": ("SIZE", lambda row, _view: size(row["Size"])),
        "About": ("", lambda row, _view: _ABOUT[row["Kind"]]),
    },
    ("Type", "Size", "About"),
    identity="Type",
)
