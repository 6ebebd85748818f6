"""What is attached to images: rows; the manifests and what they hold are blobs.

They go with their image; a collection keeps their blobs as long as they have a row.
"""

from kist.spec import json
from kist.spec.artifact import EMPTY, Artifact, Referrer
from kist.spec.digest import Digest
from kist.store.database import Database


class Referrers:
    """The referrers of one data root. Safe from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, image: Digest, artifact: Artifact, manifest: Digest, size: int) -> None:
        """Attach an artifact, whose blobs are here, to an image that is; one that is attached already stays so.

        Raises:
            sqlite3.IntegrityError: the image is gone.
        """
        [content] = artifact.layers
        kept = Referrer(
            digest=manifest,
            size=size,
            artifact_type=artifact.artifact_type,
            content=content.digest,
            content_size=content.size,
            annotations=artifact.annotations,
        )
        values = (image, manifest, artifact.subject.digest, json.encode(kept))
        with self._database.transaction(durable=True) as db:
            db.execute("INSERT OR REPLACE INTO referrers (image, manifest, subject, value) VALUES (?, ?, ?, ?)", values)

    def of(self, image: Digest) -> tuple[tuple[Digest, Referrer], ...]:
        """What is attached to an image, by type and digest; each with the digest of the image's manifest then."""
        rows = self._database.rows("SELECT subject, value FROM referrers WHERE image = ?", image)
        found = [(Digest(subject), json.decode(value, Referrer, what="referrer")) for subject, value in rows]
        return tuple(sorted(found, key=lambda each: (each[1].artifact_type, each[1].digest)))

    def remove(self, image: Digest, manifest: Digest) -> bool:
        """Detach one; whether it was there."""
        with self._database.transaction(durable=True) as db:
            done = db.execute("DELETE FROM referrers WHERE image = ? AND manifest = ?", (image, manifest))
            return done.rowcount > 0

    def blobs(self, without: frozenset[str] = frozenset()) -> set[str]:
        """The blobs of all that is attached, but to these images."""
        images = {image for (image,) in self._database.rows("SELECT DISTINCT image FROM referrers")} - without
        return {blob for image in images for blob in self.blobs_of(Digest(image))}

    def blobs_of(self, image: Digest) -> set[str]:
        """The blobs of what is attached to an image: manifests, what they hold, and the empty config that all have."""
        kept = [each for _, each in self.of(image)]
        return {blob for each in kept for blob in (each.digest, each.content, Digest.of(EMPTY))}
