"""npm's installed packages: ``node_modules/NAME/package.json`` (npm docs, package.json)."""

from collections.abc import Iterator
from typing import Any

from kist.inventory.objects import json_object
from kist.spec.package import Package


def read(path: str, data: bytes) -> Iterator[Package]:
    """The package that a package.json is about.

    Nothing where it is about none: what lies below a package for its own use has no version.

    Raises:
        Unreadable: it is no JSON object.
    """
    fields = json_object(data)
    name, version = fields.get("name"), fields.get("version")
    if isinstance(name, str) and isinstance(version, str) and name and version:
        yield Package("npm", name, version, path, licence=_licence(fields))


def _licence(fields: dict[str, Any]) -> str:
    """``license`` as it is written today, or as it was: an object, or a list of them."""
    value = fields.get("license", fields.get("licenses"))
    values = value if isinstance(value, list) else [value]
    names = [each.get("type") if isinstance(each, dict) else each for each in values]
    return " OR ".join(name for name in names if isinstance(name, str))
