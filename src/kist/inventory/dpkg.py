"""dpkg's database: ``status``, and ``status.d`` of images without dpkg (dpkg(1), deb-control(5))."""

from collections.abc import Iterator

from kist.inventory.text import number, paragraphs
from kist.spec.package import Package

_FIELDS = frozenset({"package", "status", "version", "architecture", "source", "installed-size"})
_GONE = frozenset({"not-installed", "config-files"})


def read(path: str, data: bytes) -> Iterator[Package]:
    """The packages of a status file; those that were removed are none, even if their configuration is kept."""
    for fields in paragraphs(data.decode("utf-8", "replace"), _FIELDS):
        name, version = fields.get("package", ""), fields.get("version", "")
        state = fields.get("status", "install ok installed").split()
        if not name or not version or (state and state[-1] in _GONE):
            continue
        source, _, rest = fields.get("source", "").partition("(")
        yield Package(
            "deb",
            name,
            version,
            path,
            architecture=fields.get("architecture", ""),
            source=source.strip() if source.strip() != name else "",
            source_version=rest.rstrip(") ").strip(),
            size=number(fields.get("installed-size", ""), 1024),
        )
