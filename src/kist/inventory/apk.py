"""apk's database, ``lib/apk/db/installed``: a letter and a colon before each value (apk-package(5))."""

from collections.abc import Iterator

from kist.inventory.text import number
from kist.spec.package import Package

_LETTERS = frozenset("PVAoLI")


def read(path: str, data: bytes) -> Iterator[Package]:
    """The packages that are installed; lines about their files are passed over."""
    fields: dict[str, str] = {}
    for line in (*data.decode("utf-8", "replace").split("\n"), ""):
        if line.strip():
            if line[1:2] == ":" and line[0] in _LETTERS and line[0] not in fields:
                fields[line[0]] = line[2:].strip()
            continue
        name, version = fields.get("P", ""), fields.get("V", "")
        if name and version:
            source = fields.get("o", "")
            yield Package(
                "apk",
                name,
                version,
                path,
                architecture=fields.get("A", ""),
                source=source if source != name else "",
                licence=fields.get("L", ""),
                size=number(fields.get("I", "")),
            )
        fields = {}
