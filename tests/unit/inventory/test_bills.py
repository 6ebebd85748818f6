"""Bills of materials: valid by the schema and the rules of their makers, and always the same."""

import json
from typing import Any

import msgspec

from kist.inventory import cyclonedx, spdx
from kist.inventory.bills import Subject
from kist.spec.digest import Digest
from kist.spec.json import encode
from kist.spec.package import FoundPackage, ImagePackages, Package, Skipped, Step

ID, MANIFEST = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
LAYERS = (
    Step(1, Digest("sha256:" + "3" * 64), "Imported from -"),
    Step(2, Digest("sha256:" + "4" * 64), "RUN pip install requests", "Dockerfile:3"),
)
PACKAGES = (
    FoundPackage(Package("deb", "libssl3", "3.0.11-1", "var/lib/dpkg/status", "amd64", "openssl"), 1,
                 "pkg:deb/debian/libssl3@3.0.11-1"),
    FoundPackage(
        Package("maven", "org.x:y", "1", "a.jar!/y.jar", licence="The Best Licence"), 2, "pkg:maven/org.x/y@1"
    ),
    FoundPackage(Package("npm", "@b/c", "7.1.0", "node_modules/@b/c/package.json", licence="MIT OR ISC"), 2,
                 "pkg:npm/%40b/c@7.1.0"),
    FoundPackage(Package("npm", "@b/c", "7.1.0", "app/node_modules/@b/c/package.json", licence="mit"), 2,
                 "pkg:npm/%40b/c@7.1.0"),
    FoundPackage(Package("pypi", "naïve", "1", "x.dist-info/METADATA"), 2, "pkg:pypi/na%C3%AFve@1"),
)  # fmt: skip
FOUND = ImagePackages(ID, "localhost:5000/team/app:1", "debian 12", LAYERS, PACKAGES, (Skipped("b.jar", "damaged"),))
SUBJECT = Subject("localhost:5000/team/app:1", MANIFEST, "2026-01-02T03:04:05.678901Z", FOUND)


def faults_of_spdx(text: bytes) -> tuple[Any, list[str]]:
    """The document as the makers' library reads it, and what is wrong with it by their rules."""
    # Late, as below: these libraries take seconds, and each process that shares the tests reads this file.
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = JsonLikeDictParser().parse(json.loads(text))
    return document, [str(each) for each in validate_full_spdx_document(document)]


def fault_of_cyclonedx(text: bytes) -> str | None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.decode())
    return None if fault is None else str(fault)


def rendered(document: dict[str, Any]) -> bytes:
    return msgspec.json.format(encode(document), indent=2)


def test_an_spdx_document_is_valid_and_has_each_package_in_its_layer() -> None:
    document, faults = faults_of_spdx(rendered(spdx.document(SUBJECT)))
    assert faults == []
    contained = {
        (each.spdx_element_id, str(each.related_spdx_element_id))
        for each in document.relationships
        if each.relationship_type.name == "CONTAINS"
    }
    assert ("SPDXRef-Image", "SPDXRef-Layer-2") in contained
    in_layers = {
        package.name: next(left for left, right in contained if right == package.spdx_id)
        for package in document.packages
        if package.external_references and package.spdx_id != "SPDXRef-Image"
    }
    assert in_layers == {
        "libssl3": "SPDXRef-Layer-1", "org.x:y": "SPDXRef-Layer-2", "@b/c": "SPDXRef-Layer-2",
        "naïve": "SPDXRef-Layer-2",
    }  # fmt: skip
    assert document.creation_info.created.isoformat() == "2026-01-02T03:04:05"


def test_licences_that_are_no_expressions_are_referred_to() -> None:
    document = spdx.document(SUBJECT)
    declared = {each["name"]: each["licenseDeclared"] for each in document["packages"]}
    [known] = document["hasExtractedLicensingInfos"]
    assert declared["org.x:y"] == known["licenseId"]
    assert known["extractedText"] == "The Best Licence"
    assert declared["@b/c"] == "MIT"
    assert declared["libssl3"] == "NOASSERTION"


def test_a_cyclonedx_document_is_valid_and_tells_layers() -> None:
    text = rendered(cyclonedx.document(SUBJECT))
    assert fault_of_cyclonedx(text) is None
    document = json.loads(text)
    [system, libssl, *_] = document["components"]
    assert (system["type"], system["name"], system["version"]) == ("operating-system", "debian", "12")
    told = {each["name"]: each["value"] for each in libssl["properties"]}
    assert told["kist:layer"] == "1"
    assert told["kist:layer:diff-id"] == LAYERS[0].diff_id
    assert document["metadata"]["component"]["purl"] == f"pkg:oci/app@sha256%3A{'2' * 64}?tag=1"


def test_an_image_of_nothing_has_valid_documents_too() -> None:
    subject = Subject(ID, MANIFEST, "", ImagePackages(ID, "", "", (), ()))
    assert fault_of_cyclonedx(rendered(cyclonedx.document(subject))) is None
    assert faults_of_spdx(rendered(spdx.document(subject)))[1] == []


def test_two_documents_of_one_image_are_the_same_and_of_two_images_are_not() -> None:
    other = SUBJECT._replace(manifest=ID)
    for form in (spdx, cyclonedx):
        assert rendered(form.document(SUBJECT)) == rendered(form.document(SUBJECT))
    assert spdx.document(SUBJECT)["documentNamespace"] != spdx.document(other)["documentNamespace"]
    assert cyclonedx.document(SUBJECT)["serialNumber"] != cyclonedx.document(other)["serialNumber"]
