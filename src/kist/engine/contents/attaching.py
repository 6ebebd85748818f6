"""Documents about images, attached to them as OCI referrers: no image changes by that, and none has another digest."""

import sqlite3
from typing import Any

import msgspec

from kist import __version__
from kist.engine.contents.contents import Contents, name_of
from kist.errors import InvalidInput, NotFound
from kist.inventory import cyclonedx, spdx
from kist.inventory.bills import Subject
from kist.spec import json
from kist.spec.artifact import CYCLONEDX, EMPTY, SPDX, Artifact, Referrer, artifact_of
from kist.spec.digest import Digest
from kist.spec.image import Descriptor, parse_manifest
from kist.spec.summary import Image
from kist.store import Store

FORMATS = {"spdx": (SPDX, spdx.document), "cyclonedx": (CYCLONEDX, cyclonedx.document)}
"""Forms of a bill of materials: media type, and what writes it."""

_CREATED = "org.opencontainers.image.created"
_TITLE = "org.opencontainers.image.title"
_MAKER = "kist.version"
LARGEST = 256 << 20


class Attaching:
    """Writes bills of materials, and keeps what is attached to images. Safe from many threads.

    Args:
        store: has the blobs and the rows.
        contents: knows what is in images.
    """

    def __init__(self, store: Store, contents: Contents) -> None:
        self._store = store
        self._contents = contents

    def bill(self, image: Image, form: str) -> bytes:
        """The bill of materials of an image; of the same image it is always the same.

        Raises:
            InvalidInput: there is no such form.
        """
        if form not in FORMATS:
            raise InvalidInput(f"unknown form of a bill of materials: {form!r}", hint="it is spdx or cyclonedx")
        subject = Subject(
            name_of(image) or image.id, image.manifest, image.config.created, self._contents.packages(image)
        )
        return pretty(FORMATS[form][1](subject))

    def attach_bill(self, image: Image, form: str) -> tuple[Referrer, bytes]:
        """The same, attached to the image."""
        document = self.bill(image, form)
        return self.attach(image, FORMATS[form][0], document, f"bill of materials ({form})"), document

    def attach(self, image: Image, kind: str, document: bytes, title: str) -> Referrer:
        """Attach a document; the same one again changes nothing, and an earlier one that Kist has made goes.

        Args:
            image: to which.
            kind: the document's media type.
            document: its bytes.
            title: what it is, for people; documents of one kind and title take each other's place.

        Raises:
            NotFound: the image has been removed meanwhile.
        """
        store = self._store
        annotations = {_CREATED: image.config.created} if image.config.created else {}
        annotations |= {_TITLE: title, _MAKER: __version__}
        with store.writing():
            content = store.blobs.put(document)
            store.blobs.put(EMPTY)
            artifact = artifact_of(kind, content, len(document), self._subject(image), annotations)
            data = json.encode(artifact)
            made = self._keep(image, artifact, store.blobs.put(data), len(data))
        for each in self.referrers(image):
            same = (each.artifact_type, each.annotations.get(_TITLE)) == (kind, title) and _MAKER in each.annotations
            if same and each.digest != made.digest:
                store.referrers.remove(image.id, each.digest)
        return made

    def _keep(self, image: Image, made: Artifact, manifest: Digest, size: int) -> Referrer:
        """Note an artifact whose blobs are here; the caller is ``writing``."""
        try:
            self._store.referrers.put(image.id, made, manifest, size)
        except sqlite3.IntegrityError:
            raise NotFound(f"No such image: {image.id}", hint="it was removed just now") from None
        return next(each for each in self.referrers(image) if each.digest == manifest)

    def _subject(self, image: Image) -> Descriptor:
        data = self._store.blobs.read(image.manifest)
        return Descriptor(parse_manifest(data).media_type, image.manifest, len(data))

    def referrers(self, image: Image) -> tuple[Referrer, ...]:
        """What is attached to an image, by type and digest."""
        return tuple(each for subject, each in self._store.referrers.of(image.id) if subject == image.manifest)

    def referrer(self, image: Image, digest: str) -> tuple[Referrer, bytes]:
        """One of these, by its digest or the beginning of it, and what it holds.

        Raises:
            NotFound: there is none.
            InvalidInput: several begin so.
        """
        bare = digest.removeprefix("sha256:")
        found = [each for each in self.referrers(image) if bare and each.digest.hex.startswith(bare)]
        if not found:
            raise NotFound(
                f"nothing with the digest {digest} is attached to {name_of(image) or image.id.short}",
                hint="kist image referrers lists what is",
            )
        if len(found) > 1:
            raise InvalidInput(f"several referrers begin with {digest}", hint="write more digits of the digest")
        return found[0], self._store.blobs.read(found[0].content, LARGEST)

    def remove(self, image: Image, digest: str) -> Referrer:
        """Detach one of these; its space is given back by the next collection.

        Raises:
            NotFound, InvalidInput: as ``referrer``.
        """
        found, _ = self.referrer(image, digest)
        self._store.referrers.remove(image.id, found.digest)
        self._store.collect()
        return found


def pretty(value: dict[str, Any]) -> bytes:
    """JSON for people and for comparison: a line for each value, in the order of the fields."""
    return msgspec.json.format(json.encode_replaced(value), indent=2) + b"\n"
