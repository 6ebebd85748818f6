"""conda's installed packages: ``conda-meta/NAME-VERSION-BUILD.json`` (conda docs, "conda-meta")."""

from collections.abc import Iterator

from kist.inventory.objects import json_object
from kist.spec.package import Package


def read(path: str, data: bytes) -> Iterator[Package]:
    """The package of a record; ``architecture`` is the platform of its channel (``linux-64``, ``noarch``).

    Raises:
        Unreadable: it is no JSON object.
    """
    fields = json_object(data)
    name, version, licence = (fields.get(key) for key in ("name", "version", "license"))
    if not (isinstance(name, str) and isinstance(version, str) and name and version):
        return
    paths = fields.get("paths_data")
    listed = paths.get("paths") if isinstance(paths, dict) else None
    sizes = [each.get("size_in_bytes") for each in listed or () if isinstance(each, dict)]
    subdir = fields.get("subdir")
    yield Package(
        "conda",
        name,
        version,
        path,
        architecture=subdir if isinstance(subdir, str) else "",
        licence=licence if isinstance(licence, str) else "",
        size=sum(size for size in sizes if isinstance(size, int) and 0 <= size < 1 << 40),
    )
