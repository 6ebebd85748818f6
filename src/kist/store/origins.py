"""Where images came from: what can be fetched or made again just as it is may be given up when there is too much.

An image without a row here was built, committed, imported or loaded, and is nobody's to give up; so is one that has a
name that somebody chose. Whoever fetches an image, or makes it of a lock file, notes that once it is certain: ``note``.
"""

import time
from collections.abc import Collection

import msgspec

from kist.spec.digest import Digest
from kist.store.database import Database

_NOTED_EVERY = 60  # seconds: not more than one write a minute for each image
_REMAKEABLE = """
    SELECT origins.image, origins.again, images.used_at FROM origins JOIN images ON images.id = origins.image
    WHERE NOT EXISTS (
        SELECT 1 FROM names WHERE names.image = origins.image AND names.name NOT IN (SELECT name FROM given_names)
    )
    ORDER BY images.used_at, origins.image
"""


class Origin(msgspec.Struct, frozen=True):
    """An image that can be had again.

    Attributes:
        image: its id.
        again: the command that makes it again or fetches it.
        used_at: when it was last used (for a container, a build, a name), in seconds since the epoch.
    """

    image: Digest
    again: str
    used_at: int


class Origins:
    """The origins of one data root's images. Safe from many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[Digest, float] = {}  # by the clock of this process; a use more or less is no harm

    def note(self, image: Digest, again: str, names: Collection[str]) -> None:
        """Note that an image can be had again by a command, and that these of its names come with that.

        A name that is given by ``Records`` afterwards is somebody's choice again.
        """
        with self._database.transaction(durable=True) as db:
            db.execute("UPDATE images SET used_at = ? WHERE id = ?", (int(time.time()), image))
            db.execute("INSERT OR REPLACE INTO origins (image, again) VALUES (?, ?)", (image, again))
            db.executemany(
                "INSERT OR IGNORE INTO given_names (name) SELECT name FROM names WHERE name = ? AND image = ?",
                [(name, image) for name in names],
            )

    def chosen(self, image: Digest) -> frozenset[str]:
        """The names that somebody has chosen for an image."""
        rows = self._database.rows(
            "SELECT name FROM names WHERE image = ? AND name NOT IN (SELECT name FROM given_names)", image
        )
        return frozenset(name for (name,) in rows)

    def note_use(self, image: Digest) -> None:
        """An image is used now."""
        now = time.monotonic()
        if now - self._noted.get(image, -_NOTED_EVERY) < _NOTED_EVERY:
            return
        self._noted[image] = now
        with self._database.transaction() as db:
            db.execute("UPDATE images SET used_at = ? WHERE id = ?", (int(time.time()), image))

    def remakeable(self) -> tuple[Origin, ...]:
        """The images that can be had again and have no name that somebody chose, the longest unused first."""
        return tuple(Origin(Digest(image), again, at) for image, again, at in self._database.rows(_REMAKEABLE))
