"""What a build says of its image: a bill of materials, and where it comes from; attached to it as OCI referrers."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kist.build.bases import Bases
from kist.build.contents import digest
from kist.build.places import line_of
from kist.build.plan import Checkout, CopyFiles, Download, Plan
from kist.build.repository import shown
from kist.build.result import Result
from kist.build.selection import select
from kist.build.tree import Tree
from kist.engine.contents.attaching import pretty
from kist.engine.contents.contents import name_of
from kist.errors import Forbidden
from kist.inventory.provenance import Facts, MadeLayer, Material, statement
from kist.spec.artifact import IN_TOTO
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import Dockerfile
from kist.spec.dockerfile.scope import PREDEFINED
from kist.spec.interface import Progress
from kist.spec.progress import Warned
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

TITLE = "provenance (SLSA v1)"


class Attesting:
    """Says what was asked for of one build, once it is done.

    Args:
        options: of the build.
        dockerfile: what was built.
        plan: how.
        bases: of which images.
        context: what COPY and ADD saw.
        began: when the build did.
    """

    def __init__(
        self,
        options: BuildOptions,
        dockerfile: Dockerfile,
        plan: Plan,
        bases: Bases,
        context: Tree,
        began: datetime,
    ) -> None:
        self._options = options
        self._dockerfile = dockerfile
        self._plan = plan
        self._bases = bases
        self._context = context
        self._began = began

    def attest(
        self,
        engine: "Engine",
        image: Image,
        results: Mapping[str, Result],
        fetched: Mapping[Download | Checkout, str],
        progress: Progress,
    ) -> None:
        """Attach what was asked for to the image; who may not is told, for the image is built all the same.

        Args:
            engine: keeps it.
            image: what was built.
            results: what the steps of its plan made.
            fetched: what ADD has asked for, and what it was.
            progress: told of what could not be done.
        """
        if not (self._options.sbom or self._options.provenance):
            return
        try:
            engine.catalogue.check_own(image)
        except Forbidden as error:
            progress(Warned(f"nothing is attached to the image: {error.message}"))
            return
        attaching = engine.insight.attaching
        if self._options.sbom:
            attaching.attach_bill(image, "spdx")
        if self._options.provenance:
            attaching.attach(image, IN_TOTO, pretty(statement(self._facts(image, results, fetched))), TITLE)

    def _facts(self, image: Image, results: Mapping[str, Result], fetched: Mapping[Download | Checkout, str]) -> Facts:
        times = (_moment(self._began), _moment(datetime.now(UTC)))
        is_reproducible = "SOURCE_DATE_EPOCH" in self._options.build_args
        return Facts(
            name=name_of(image),
            manifest=image.manifest,
            parameters=self._parameters(),
            materials=tuple(self._materials(fetched)),
            layers=tuple(self._layers(results)),
            times=None if is_reproducible else times,
        )

    def _parameters(self) -> dict[str, Any]:
        text = "\n".join(self._dockerfile.source.lines)
        data = text.encode("utf-8", "replace")
        told: dict[str, Any] = {
            "dockerfile": {
                "path": self._options.dockerfile,
                "digest": {"sha256": hashlib.sha256(data).hexdigest()},
            },
            "platform": str(self._plan.platform),
        }
        if self._options.target:
            told["target"] = self._options.target
        # A proxy is no part of what is made, as in the history, and often has a password in it.
        arguments = {name: value for name, value in self._options.build_args.items() if name not in PREDEFINED}
        for name, values in (("buildArgs", arguments), ("labels", self._options.labels)):
            if values:
                told[name] = dict(sorted(values.items()))
        return told

    def _materials(self, fetched: Mapping[Download | Checkout, str]) -> Iterator[Material]:
        for name, image in self._bases.used:
            uri = f"pkg:docker/{_purl(name)}?platform={quote(str(image.config.platform), safe='')}"
            yield Material({"sha256": image.manifest.hex}, uri)
        for wanted, identity in fetched.items():
            found = identity.partition(" ")[0]
            algorithm, colon, digits = found.partition(":")
            if isinstance(wanted, Download):
                yield Material({algorithm: digits}, shown(wanted.url))
            elif not colon:
                yield Material({"gitCommit": found}, f"git+{shown(wanted.repository.address)}")
        selected = [
            each
            for step in self._plan.steps
            if isinstance(step.action, CopyFiles) and not step.action.origin
            for each in select(step.action, self._context)
        ]
        if selected:
            yield Material({"sha256": digest(self._context, selected)}, name="context")

    def _layers(self, results: Mapping[str, Result]) -> Iterator[MadeLayer]:
        for step in reversed([*line_of(self._plan)]):
            if step.requires:
                own, below = results[step.id].layers, results[step.requires[0]].layers
                if len(own) > len(below):
                    yield MadeLayer(own[-1].diff_id, step.place, step.title)


def _purl(name: str) -> str:
    """A name as package URLs have it: ``debian@12``."""
    head, at, digest_ = name.partition("@")
    repository, colon, tag = head.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = head, ""
    version = digest_ if at else tag
    return quote(repository) + (f"@{quote(version, safe='')}" if version else "")


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
