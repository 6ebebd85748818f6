"""What is attached to an image (OCI image specification 1.1, manifest.md, "Guidelines for Artifact Usage")."""

import msgspec

from kist.spec.digest import Digest
from kist.spec.image import OCI_MANIFEST, Descriptor

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
SPDX = "application/spdx+json"
CYCLONEDX = "application/vnd.cyclonedx+json"
IN_TOTO = "application/vnd.in-toto+json"


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A manifest with a subject: something about an image, that is no part of it."""

    schema_version: int
    media_type: str
    artifact_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor
    annotations: dict[str, str] = {}


class Referrer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is attached to an image here.

    Attributes:
        digest: of its manifest.
        size: bytes of its manifest.
        artifact_type: what it is: a media type.
        content: the digest of what it holds (its only layer).
        content_size: bytes of that.
        annotations: of its manifest.
    """

    digest: Digest
    size: int
    artifact_type: str
    content: Digest
    content_size: int
    annotations: dict[str, str] = {}


def artifact_of(kind: str, content: Digest, size: int, subject: Descriptor, annotations: dict[str, str]) -> Artifact:
    """The manifest of a document about an image."""
    return Artifact(
        schema_version=2,
        media_type=OCI_MANIFEST,
        artifact_type=kind,
        config=Descriptor(EMPTY_TYPE, Digest.of(EMPTY), len(EMPTY)),
        layers=(Descriptor(kind, content, size),),
        subject=msgspec.structs.replace(subject, annotations={}, platform=None),
        annotations=annotations,
    )


def fallback_tag(subject: Digest) -> str:
    """The tag under which referrers are listed where nobody keeps a list (distribution specification 1.1)."""
    return f"{subject.algorithm}-{subject.hex}"


def subject_of(tag: str) -> Digest | None:
    """The digest that such a tag names; None for any other."""
    algorithm, dash, digits = tag.partition("-")
    known = dash and algorithm == "sha256" and len(digits) == 64 and set(digits) <= set("0123456789abcdef")
    return Digest(f"sha256:{digits}") if known else None
