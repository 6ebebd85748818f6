"""Provenance of an image: a statement of in-toto (v1) with SLSA's predicate (slsa.dev/provenance/v1)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kist import __version__
from kist.spec import json
from kist.spec.digest import Digest

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:kist:build:dockerfile:v1"
"""Parameters: ``dockerfile`` (path and text), ``target``, ``platform``, ``buildArgs``, ``labels``; see the guide."""
BUILDER = "urn:kist:builder"


class Material(NamedTuple):
    """Something that a build was made of.

    Attributes:
        digest: by algorithm: ``{"sha256": "…"}``.
        uri: where it is from; empty for none.
        name: what it is, where there is no address.
    """

    digest: Mapping[str, str]
    uri: str = ""
    name: str = ""

    def told(self) -> dict[str, Any]:
        """As a resource descriptor of in-toto."""
        return {key: value for key, value in zip(("uri", "name"), (self.uri, self.name), strict=True) if value} | {
            "digest": dict(self.digest)
        }


class MadeLayer(NamedTuple):
    """A layer that a build has made: which, by which line and instruction."""

    diff_id: Digest
    place: str
    instruction: str


class Facts(NamedTuple):
    """What there is to say of a build.

    Attributes:
        name: of the image; empty for none.
        manifest: the digest of its manifest.
        parameters: what was asked for, as it is told.
        materials: what it was made of.
        layers: what it has made, from the lowest up.
        times: begin and end (RFC 3339); None where they are not to be told.
    """

    name: str
    manifest: Digest
    parameters: Mapping[str, Any]
    materials: Sequence[Material]
    layers: Sequence[MadeLayer]
    times: tuple[str, str] | None = None


def statement(facts: Facts) -> dict[str, Any]:
    """The statement, as the objects of its JSON; without times, of the same build always the same."""
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": dict(facts.parameters),
        "resolvedDependencies": [each.told() for each in facts.materials],
    }
    metadata = {"invocationId": hashlib.sha256(json.encode([definition, facts.times])).hexdigest()}
    if facts.times:
        metadata |= {"startedOn": facts.times[0], "finishedOn": facts.times[1]}
    return {
        "_type": STATEMENT,
        "subject": [{"name": facts.name or str(facts.manifest), "digest": {"sha256": facts.manifest.hex}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": definition,
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"kist": __version__}},
                "metadata": metadata,
                "byproducts": [
                    {
                        "name": "layer",
                        "digest": {"sha256": each.diff_id.hex},
                        "annotations": {"place": each.place, "instruction": each.instruction},
                    }
                    for each in facts.layers
                ],
            },
        },
    }
