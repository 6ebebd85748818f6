"""CycloneDX 1.6 in JSON (ECMA-424).

Layers have no word of their own there: each component has properties that say which layer it came with. Two documents
of one image are the same to the byte: the serial number is made of the image's digest, and the time is the image's.
"""

import uuid
from typing import Any

from kist.inventory.bills import TOOL, VERSION, Subject, expression, key
from kist.spec.package import FoundPackage, Step

_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122, appendix C: names that are URLs


def document(subject: Subject) -> dict[str, Any]:
    """The document, as the objects of its JSON."""
    found = subject.found
    steps = {step.number: step for step in found.layers}
    name = f"{subject.purl} {TOOL} {VERSION} {subject.name}"
    about: dict[str, Any] = {
        "type": "container",
        "bom-ref": "image",
        "name": subject.name,
        "version": str(subject.manifest),
        "hashes": [{"alg": "SHA-256", "content": subject.manifest.hex}],
        "purl": subject.purl,
        "properties": [property_ for step in found.layers for property_ in _layer(step)],
    }
    system = _system(found.distribution)
    components = ([system] if system else []) + [_component(each, steps[each.layer]) for each in found.packages]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, name)}",
        "version": 1,
        "metadata": {
            "timestamp": subject.moment,
            "tools": {"components": [{"type": "application", "name": TOOL, "version": VERSION}]},
            "component": about,
            "properties": [_property("skipped", f"{each.path}: {each.why}") for each in found.skipped],
        },
        "components": components,
        "dependencies": [{"ref": "image", "dependsOn": sorted(each["bom-ref"] for each in components)}],
    }


def _layer(step: Step) -> list[dict[str, str]]:
    told = [_property(f"layer:{step.number}:diff-id", step.diff_id)]
    if step.created_by:
        told.append(_property(f"layer:{step.number}:created-by", step.created_by))
    if step.place:
        told.append(_property(f"layer:{step.number}:place", step.place))
    return told


def _system(distribution: str) -> dict[str, Any] | None:
    name, _, version = distribution.partition(" ")
    if not name:
        return None
    told: dict[str, Any] = {"type": "operating-system", "bom-ref": "operating-system", "name": name}
    return told | ({"version": version} if version else {})


def _component(found: FoundPackage, step: Step) -> dict[str, Any]:
    package = found.package
    told: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"{package.type}-{key(found)}",
        "name": package.name,
        "version": package.version,
    }
    if package.type == "maven" and ":" in package.name:
        told["group"], _, told["name"] = package.name.rpartition(":")
    if package.licence:
        known = expression(package.licence)
        told["licenses"] = [{"expression": known} if known else {"license": {"name": package.licence}}]
    told["purl"] = found.purl
    properties = [
        _property("layer", str(found.layer)),
        _property("layer:diff-id", step.diff_id),
        _property("path", package.path),
    ]
    if package.source:
        properties.append(_property("source", f"{package.source} {package.source_version}".strip()))
    told["properties"] = properties
    return told


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"kist:{name}", "value": str(value)}
