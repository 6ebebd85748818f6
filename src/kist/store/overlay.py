"""Snapshots as directories that overlayfs stacks (Documentation/filesystems/overlayfs.rst of the kernel).

A snapshot is one layer's directory, named by a number; beside it, while it is active, is overlayfs's work directory
(two directories and no third around them, for making them is what ``prepare`` costs). An active one is filled by
somebody, through the mounts that it gets or straight into their upper directory; committing it changes its name, and
nobody writes to it any more. A row of the database is what makes a snapshot exist: it is written after the directory
and goes before it, in a transaction that excludes other writers; a directory without a row is rubbish that the
collector takes away. So is an active snapshot that is no container's (its key is no container's id), unless its maker
holds the store's lock.

Files of a committed snapshot are not synced one by one. Its row remembers the boot in which it was committed until
``flush`` has synced the file system; after a crash, such a snapshot does not exist any more, and who wants it unpacks
the layer's blob, which is durable, again.
"""

import os
import sqlite3

from kist.errors import Conflict, InvalidInput, NotFound, Unavailable
from kist.kernel import files, process, userns
from kist.spec.mount import Mount
from kist.store import directories
from kist.store.database import Database
from kist.store.failures import reported

_LOWERS = """
    WITH RECURSIVE stack (id, parent, depth) AS (
        SELECT id, parent, 0 FROM snapshots WHERE id = ?
        UNION ALL
        SELECT snapshots.id, snapshots.parent, depth + 1 FROM snapshots JOIN stack ON snapshots.id = stack.parent
    )
    SELECT id FROM stack ORDER BY depth
"""
_SIZE_OF_STACK = f"SELECT SUM(size) FROM snapshots WHERE id IN ({_LOWERS})"  # noqa: S608 - two constants
# Features that would leave an upper directory without all that changed, when a distribution turns them on.
_UNWANTED = ("redirect_dir", "metacopy")


class OverlaySnapshotter:
    """The snapshots below ``directory``; their rows are in ``database``."""

    def __init__(self, directory: str, database: Database) -> None:
        self._directory = directory
        self._database = database
        self._boot = process.boot_id()
        defaults = files.overlay_defaults(_UNWANTED)
        options = [f"{name}=off" for name in _UNWANTED if defaults[name]]
        if userns.limited_ids() is not None:
            options.append("userxattr")  # the other attributes are the machine's root's
        self._options = tuple(options)
        self._forget_unsynced()

    def prepare(self, key: str, parent: str | None = None) -> tuple[Mount, ...]:
        """A new active snapshot on top of a committed one (None for an empty one), and the mounts to fill it.

        Raises:
            Conflict: the key is in use.
            NotFound: there is no such parent.
            InvalidInput: the parent is not committed.
            Unavailable: the disk is full.
        """
        below = self._committed(parent) if parent is not None else None
        made = 0
        try:
            with self._database.transaction() as db:
                cursor = db.execute("INSERT INTO snapshots (key, parent) VALUES (?, ?)", (key, below))
                number = int(cursor.lastrowid or 0)
                made = number
                with reported(f"prepare snapshot {key}"):
                    self._make(number, below)
        except sqlite3.IntegrityError as error:
            raise Conflict(f"snapshot {key} exists already") from error
        except BaseException:
            if made:
                self._remove_trees(made)
            raise
        return self._mounts(number, below)

    def mounts(self, key: str) -> tuple[Mount, ...]:
        """The mounts of an active snapshot, or ones that show a committed snapshot read-only.

        Raises:
            NotFound: there is no such snapshot.
        """
        number, below, committed = self._find(key)
        if not committed:
            return self._mounts(number, below)
        lowers = self._lowers(number)
        if len(lowers) == 1:
            return (Mount("bind", lowers[0], "", ("rbind", "ro")),)
        return (Mount("overlay", "overlay", "", ("lowerdir=" + ":".join(lowers), *self._options)),)

    def commit(self, name: str, key: str, *, size: int | None = None) -> None:
        """Give an active snapshot its final name; nothing may be written to it from here on.

        Args:
            name: the chain id.
            key: of the active snapshot.
            size: bytes of its files, when the caller has counted them.

        Raises:
            NotFound: there is no such active snapshot.
            Conflict: ``name`` exists.
        """
        number, _, committed = self._find(key)
        if committed:
            raise InvalidInput(f"snapshot {key} is committed already")
        size = self._size(number) if size is None else size
        try:
            with self._database.transaction() as db:
                db.execute(
                    "UPDATE snapshots SET key = ?, committed = 1, size = ?, boot = ? WHERE id = ?",
                    (name, size, self._boot, number),
                )
        except sqlite3.IntegrityError as error:
            raise Conflict(f"snapshot {name} exists already") from error
        directories.remove_tree(f"{self._directory}/{number}-work")

    def remove(self, key: str) -> None:
        """Forget a snapshot and give its space back.

        Raises:
            NotFound: there is no such snapshot.
            Conflict: others stand on it.
        """
        number, _, _ = self._find(key)
        if self._database.row("SELECT 1 FROM snapshots WHERE parent = ?", number) is not None:
            raise Conflict(f"snapshot {key} has others on top of it")
        with reported(f"remove snapshot {key}"):
            try:
                self._forget(key, number)
            except Unavailable:  # a full disk has no room for the database's own writing: make some
                self._remove_trees(number)
                self._forget(key, number)
            self._remove_trees(number)

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot of this key or name."""
        return self._database.row("SELECT 1 FROM snapshots WHERE key = ?", key) is not None

    def parent(self, key: str) -> str | None:
        """The name of the snapshot below; ``NotFound`` when there is no such snapshot."""
        _, below, _ = self._find(key)
        row = self._database.row("SELECT key FROM snapshots WHERE id = ?", below) if below is not None else None
        return str(row[0]) if row else None

    def committed(self, key: str) -> bool:
        """Whether a snapshot has got its final name; ``NotFound`` when there is none."""
        return self._find(key)[2]

    def usage(self, key: str) -> int:
        """Bytes of the snapshot's own files, without those below; ``NotFound`` when there is no such snapshot."""
        number, _, committed = self._find(key)
        if not committed:
            return self._size(number)
        row = self._database.row("SELECT size FROM snapshots WHERE id = ?", number)
        return int(row[0]) if row else 0

    def usage_below(self, key: str) -> int:
        """Bytes of the files in all snapshots below one; ``NotFound`` when there is no such snapshot."""
        _, below, _ = self._find(key)
        row = self._database.row(_SIZE_OF_STACK, below)
        return int(row[0]) if row and row[0] else 0

    def sizes(self) -> dict[str, int]:
        """Bytes of each committed snapshot's own files, by its name."""
        return dict(self._database.rows("SELECT key, size FROM snapshots WHERE committed"))

    def list(self) -> tuple[str, ...]:
        """The keys of all snapshots, the oldest first."""
        return tuple(key for (key,) in self._database.rows("SELECT key FROM snapshots ORDER BY id"))

    def flush(self) -> None:
        """Write the files of all committed snapshots to the disk, and remember that they are there."""
        rows = self._database.rows("SELECT id FROM snapshots WHERE boot != ''")
        if not rows:
            return
        with reported("sync snapshots"):
            files.sync_file_system(self._directory)
        with self._database.transaction() as db:
            db.executemany("UPDATE snapshots SET boot = '' WHERE id = ?", rows)

    def sweep(self) -> None:
        """Remove directories that belong to no snapshot (a process died over them)."""
        with self._database.transaction() as db:
            numbers = [number for (number,) in db.execute("SELECT id FROM snapshots").fetchall()]
            known = {name for number in numbers for name in (f"{number}", f"{number}-work")}
            with reported("remove leftover snapshots"):
                for name in os.listdir(self._directory):
                    if name not in known:
                        directories.remove_tree(f"{self._directory}/{name}")

    def rows(self) -> tuple[tuple[str, int, bool], ...]:
        """Key, number and whether committed, of every snapshot."""
        found = self._database.rows("SELECT key, id, committed FROM snapshots ORDER BY id")
        return tuple((key, number, bool(committed)) for key, number, committed in found)

    def directory(self, number: int) -> str:
        """Where a snapshot's files are."""
        return f"{self._directory}/{number}"

    def strays(self) -> tuple[str, ...]:
        """Paths in the snapshots' directory that belong to none."""
        with self._database.transaction() as db:  # whoever makes a snapshot does so in a transaction
            numbers = [number for (number,) in db.execute("SELECT id FROM snapshots").fetchall()]
            known = {name for number in numbers for name in (f"{number}", f"{number}-work")}
            return tuple(f"{self._directory}/{name}" for name in os.listdir(self._directory) if name not in known)

    def forget_lost(self, key: str) -> bool:
        """Forget a layer whose directory is gone, so that it is unpacked again; False while others stand on it."""
        number, _, committed = self._find(key)
        if not committed or os.path.isdir(self.directory(number)):
            return False
        with self._database.transaction() as db:
            db.execute("UPDATE snapshots SET key = 'lost-' || id WHERE id = ?", (number,))
        return True

    def _forget(self, key: str, number: int) -> None:
        try:
            with self._database.transaction() as db:
                db.execute("DELETE FROM snapshots WHERE id = ?", (number,))
        except sqlite3.IntegrityError as error:
            raise Conflict(f"snapshot {key} has others on top of it") from error

    def _forget_unsynced(self) -> None:
        with self._database.transaction() as db:
            db.execute(
                "UPDATE snapshots SET key = 'unsynced-' || id, boot = '' WHERE committed AND boot NOT IN ('', ?)",
                (self._boot,),
            )

    def _find(self, key: str) -> tuple[int, int | None, bool]:
        row = self._database.row("SELECT id, parent, committed FROM snapshots WHERE key = ?", key)
        if row is None:
            raise NotFound(f"no such snapshot: {key}")
        return int(row[0]), row[1], bool(row[2])

    def _committed(self, key: str) -> int:
        number, _, committed = self._find(key)
        if not committed:
            raise InvalidInput(f"snapshot {key} is not committed and cannot be a parent")
        return number

    def _make(self, number: int, below: int | None) -> None:
        """The directories of a snapshot; its root looks like the root below, for a mount shows the upper's."""
        path = f"{self._directory}/{number}"
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # of a process that died before its row was written
            self._remove_trees(number)
            os.mkdir(path, 0o700)
        if below is None:
            os.chmod(path, 0o755)  # noqa: S103 - the root of a container is for all its users
            return
        os.mkdir(f"{path}-work", 0o700)
        like = os.stat(f"{self._directory}/{below}")
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(path, like.st_uid, like.st_gid)
        os.chmod(path, like.st_mode & 0o7777)

    def _remove_trees(self, number: int) -> None:
        directories.remove_tree(f"{self._directory}/{number}")
        directories.remove_tree(f"{self._directory}/{number}-work")

    def _mounts(self, number: int, below: int | None) -> tuple[Mount, ...]:
        path = f"{self._directory}/{number}"
        if below is None:
            return (Mount("bind", path, "", ("rbind", "rw")),)
        lowers = ":".join(self._lowers(below))
        layers = (f"lowerdir={lowers}", f"upperdir={path}", f"workdir={path}-work")
        return (Mount("overlay", "overlay", "", (*layers, *self._options)),)

    def _lowers(self, number: int) -> tuple[str, ...]:
        return tuple(f"{self._directory}/{lower}" for (lower,) in self._database.rows(_LOWERS, number))

    def _size(self, number: int) -> int:
        with reported("measure snapshot"):
            return directories.size(f"{self._directory}/{number}")
