"""What was found out about layers, by diff id: bytes that can be made again of the layer at any time.

They reach the disk with the next checkpoint, and go with the layer.
"""

from collections.abc import Collection, Sequence

from kist.spec.digest import Digest
from kist.store.database import Database


class Inventories:
    """The inventories of one data root. Safe from many threads; what they mean is their maker's matter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def packages(self, diff_ids: Sequence[Digest], form: int) -> dict[Digest, bytes]:
        """What is known of the packages of these layers, in this form; those that nobody looked at are left out."""
        return self._known("packages", diff_ids, form)

    def files(self, diff_ids: Sequence[Digest], form: int) -> dict[Digest, bytes]:
        """The same of their files."""
        return self._known("files", diff_ids, form)

    def _known(self, column: str, diff_ids: Sequence[Digest], form: int) -> dict[Digest, bytes]:
        sql = f"SELECT {column} FROM inventories WHERE diff_id = ? AND form = ?"  # noqa: S608 - one of two words
        rows = ((diff_id, self._database.row(sql, diff_id, form)) for diff_id in dict.fromkeys(diff_ids))
        return {diff_id: bytes(row[0]) for diff_id, row in rows if row is not None}

    def put(self, diff_id: Digest, form: int, packages: bytes, files: bytes) -> None:
        """Keep what was found out about a layer."""
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO inventories VALUES (?, ?, ?, ?)", (diff_id, form, packages, files))

    def keep_only(self, live: Collection[str]) -> None:
        """Forget those of all layers but these."""
        known = [diff_id for (diff_id,) in self._database.rows("SELECT diff_id FROM inventories")]
        gone = [(diff_id,) for diff_id in known if diff_id not in live]
        if gone:
            with self._database.transaction() as db:
                db.executemany("DELETE FROM inventories WHERE diff_id = ?", gone)
