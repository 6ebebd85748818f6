"""Python's installed distributions: ``*.dist-info/METADATA``, and the egg-info of before (core metadata, PEP 376)."""

from collections.abc import Iterator

from kist.inventory.text import header
from kist.spec.package import Package

_FIELDS = frozenset({"name", "version", "license", "license-expression"})
_LONGEST_LICENCE = 120  # some put the whole text there


def read(path: str, data: bytes) -> Iterator[Package]:
    """The distribution that a file of metadata is about; nothing where it does not name one."""
    fields = header(data.decode("utf-8", "replace"), _FIELDS)
    name, version = fields.get("name", ""), fields.get("version", "")
    licence = fields.get("license-expression", "") or fields.get("license", "")
    if name and version:
        known = len(licence) <= _LONGEST_LICENCE and licence.upper() != "UNKNOWN"
        yield Package("pypi", name, version, path, licence=licence if known else "")
