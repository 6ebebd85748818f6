"""What both forms of a bill of materials say of an image."""

import hashlib
from typing import NamedTuple
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from kist import __version__
from kist.spec.digest import Digest
from kist.spec.package import FoundPackage, ImagePackages

TOOL = "kist"
VERSION = __version__
_BEGINNING = "1970-01-01T00:00:00Z"  # for an image that does not say when it was made


class Subject(NamedTuple):
    """The image that a bill is about.

    Attributes:
        name: its name, for people; its id where it has none.
        manifest: the digest of its manifest.
        created: when it was made (RFC 3339); empty where it does not say.
        found: its packages.
    """

    name: str
    manifest: Digest
    created: str
    found: ImagePackages

    @property
    def moment(self) -> str:
        """When the bill was made, as both forms write it: when the image was, so that it is always the same."""
        date, _, rest = self.created.partition("T")
        time = rest[:8]
        return f"{date}T{time}Z" if len(date) == 10 and len(time) == 8 and time.count(":") == 2 else _BEGINNING

    @property
    def purl(self) -> str:
        """Its package URL (purl-spec, "oci")."""
        path = self.name.partition("@")[0]
        last = path.rpartition("/")[2]
        repository = path[: len(path) - len(last)] + last.partition(":")[0]
        name = repository.rpartition("/")[2].lower()
        tag = last.partition(":")[2]
        version = quote(self.manifest, safe="")
        if not name or self.name.startswith("sha256:"):
            return f"pkg:oci/image@{version}"
        return f"pkg:oci/{quote(name)}@{version}" + (f"?tag={quote(tag)}" if tag else "")


def key(found: FoundPackage) -> str:
    """What a package is called in a bill: the same for the same package at the same place."""
    text = "\0".join((*found.package.identity, found.package.path))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def expression(licence: str) -> str:
    """A licence as an expression of SPDX; empty where it is none."""
    try:
        return str(canonicalize_license_expression(licence)) if licence else ""
    except InvalidLicenseExpression:
        return ""
