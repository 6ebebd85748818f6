"""Package URLs (purl-spec, and its types)."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from kist.spec.package import Package

_SAFE = ".-_~:"
# Vendors of rpm and apk packages are named by their distribution; purl's definitions have these words for two.
_NAMESPACES = {"opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse"}
_USUAL = {"deb": "debian", "apk": "alpine", "rpm": "redhat"}


def purl(package: Package, distribution: str = "") -> str:
    """The URL of a package.

    Args:
        package: which.
        distribution: ``ID VERSION_ID`` of the os-release beside it; empty where there is none.
    """
    kind, name, version = package.type, package.name, package.version
    distro, _, release = distribution.partition(" ")
    qualifiers: dict[str, str] = {}
    namespace = ""
    if kind in _USUAL:
        namespace = _NAMESPACES.get(distro, distro) or _USUAL[kind]
        epoch, colon, rest = version.partition(":")
        if kind == "rpm" and colon:
            version, qualifiers["epoch"] = rest, epoch
        qualifiers["arch"] = package.architecture
        qualifiers["distro"] = f"{distro}-{release}" if distro and release else ""
    elif kind == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    elif kind == "npm":
        namespace, _, name = name.rpartition("/")
    elif kind == "maven":
        namespace, _, name = name.rpartition(":")
    elif kind == "conda":
        qualifiers["subdir"] = package.architecture
    path = "/".join(quote(part, safe=_SAFE) for part in (kind, namespace, name) if part)
    return f"pkg:{path}@{quote(version, safe=_SAFE)}{_query(qualifiers)}"


def _query(qualifiers: Mapping[str, str]) -> str:
    pairs = [f"{key}={quote(value, safe=_SAFE)}" for key, value in sorted(qualifiers.items()) if value]
    return "?" + "&".join(pairs) if pairs else ""
