"""Which line of a Dockerfile each layer of an image is of, where it was built here: the image itself does not say."""

from collections.abc import Mapping

from kist.spec.digest import Digest
from kist.store.database import Database


class Places:
    """The places of one data root's layers; they go with their image. Safe from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, image: Digest, places: Mapping[int, str]) -> None:
        """Note the places of an image's layers (by number from 1), of the build that has made it last.

        Raises:
            sqlite3.IntegrityError: the image is gone.
        """
        if self.of(image) == places:
            return
        with self._database.transaction() as db:
            db.execute("DELETE FROM places WHERE image = ?", (image,))
            db.executemany(
                "INSERT INTO places VALUES (?, ?, ?)", [(image, layer, place) for layer, place in places.items()]
            )

    def of(self, image: Digest) -> dict[int, str]:
        """The places that are known: layers of the base image have none of their own."""
        return {int(layer): str(place) for layer, place in self._database.rows(
            "SELECT layer, place FROM places WHERE image = ?", image
        )}  # fmt: skip
