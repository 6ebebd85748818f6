"""SPDX 2.3 in JSON (ISO/IEC 5962 and its successor: spdx.github.io/spdx-spec/v2.3).

The document contains the image, the image its layers, and each layer the packages that came with it. Two documents of
one image are the same to the byte: the namespace is made of the image's digest, and the time is the image's.
"""

import hashlib
import re
from typing import Any

from kist.inventory.bills import TOOL, VERSION, Subject, expression, key
from kist.spec.package import FoundPackage, Step

_NOTHING = "NOASSERTION"
_PURPOSES = {"deb": "LIBRARY", "apk": "LIBRARY", "rpm": "LIBRARY"}


def document(subject: Subject) -> dict[str, Any]:
    """The document, as the objects of its JSON."""
    found = subject.found
    texts: dict[str, str] = {}
    packages = [_image(subject), *map(_layer, found.layers)]
    packages += [_package(each, texts) for each in found.packages]
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image")]
    relations += [_relation("SPDXRef-Image", "CONTAINS", _layer_id(step.number)) for step in found.layers]
    relations += [_relation(_layer_id(each.layer), "CONTAINS", _package_id(each)) for each in found.packages]
    name = f"{subject.name}@{subject.manifest}"
    told = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://spdx.org/spdxdocs/{TOOL}-{_namespace(subject)}",
        "creationInfo": {"created": subject.moment, "creators": [f"Tool: {TOOL}-{VERSION}"]},
        "documentDescribes": ["SPDXRef-Image"],
        "packages": packages,
        "relationships": relations,
    }
    if texts:
        told["hasExtractedLicensingInfos"] = [
            {"licenseId": identity, "name": text[:80], "extractedText": text}
            for identity, text in sorted(texts.items())
        ]
    if found.skipped:
        told["comment"] = "Could not be read: " + "; ".join(f"{each.path} ({each.why})" for each in found.skipped)
    return told


def _namespace(subject: Subject) -> str:
    """One for each image, name and version of what writes it: another of these is another document."""
    return hashlib.sha256(f"{VERSION} {subject.name} {subject.manifest}".encode()).hexdigest()


def _image(subject: Subject) -> dict[str, Any]:
    return {
        "SPDXID": "SPDXRef-Image",
        "name": subject.name,
        "versionInfo": str(subject.manifest),
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "supplier": _NOTHING,
        "copyrightText": _NOTHING,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _NOTHING,
        "checksums": [{"algorithm": "SHA256", "checksumValue": subject.manifest.hex}],
        "externalRefs": [_purl(subject.purl)],
    }


def _layer(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {
        "SPDXID": _layer_id(step.number),
        "name": f"layer {step.number}",
        "versionInfo": str(step.diff_id),
        "primaryPackagePurpose": "ARCHIVE",
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "copyrightText": _NOTHING,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _NOTHING,
        "checksums": [{"algorithm": "SHA256", "checksumValue": step.diff_id.hex}],
    }
    if step.created_by or step.place:
        told["comment"] = ": ".join(filter(None, (step.place, step.created_by)))
    return told


def _package(found: FoundPackage, texts: dict[str, str]) -> dict[str, Any]:
    package = found.package
    told: dict[str, Any] = {
        "SPDXID": _package_id(found),
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": _NOTHING,
        "filesAnalyzed": False,
        "supplier": _NOTHING,
        "copyrightText": _NOTHING,
        "licenseConcluded": _NOTHING,
        "licenseDeclared": _licence(package.licence, texts),
        "sourceInfo": f"read from {package.path}"
        + (f"; built from {package.source} {package.source_version}".rstrip() if package.source else ""),
        "externalRefs": [_purl(found.purl)],
    }
    if package.type in _PURPOSES:
        told["primaryPackagePurpose"] = _PURPOSES[package.type]
    return told


def _licence(text: str, texts: dict[str, str]) -> str:
    """An expression of SPDX, or a reference to the package's own words."""
    if not text:
        return _NOTHING
    known = expression(text)
    if known:
        return known
    reference = "LicenseRef-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    texts[reference] = text
    return reference


def _package_id(found: FoundPackage) -> str:
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", found.package.name)[:60]
    return f"SPDXRef-{found.package.type}-{name}-{key(found)}"


def _layer_id(number: int) -> str:
    return f"SPDXRef-Layer-{number}"


def _relation(left: str, kind: str, right: str) -> dict[str, str]:
    return {"spdxElementId": left, "relationshipType": kind, "relatedSpdxElement": right}


def _purl(purl: str) -> dict[str, str]:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
