"""Snapshots: which there are, what stands on what, and how they come and go. How files lie is ``storage``'s matter.

A snapshot is one layer's files, or a container's, in a directory named by a number. An active one is filled by
somebody, through the mounts that it gets or straight into the directory that they name; committing it changes its name,
and nobody writes to it any more. A row of the database is what makes a snapshot exist: it goes before the directory
goes, and a directory without a row is rubbish that the collector takes away. So is an active snapshot that is no
container's (its key is no container's id), unless its maker holds the store's lock.

Files of a committed snapshot are not synced one by one. Its row remembers the boot in which it was committed until
``flush`` has synced the file system; after a crash, such a snapshot does not exist any more, and who wants it unpacks
the layer's blob again, which is durable where an image has it. So it is with the layers of another storage than the one
that is used now; a container that stands on them stays as it is.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import NamedTuple

from kist.errors import Conflict, InvalidInput, KistError, NotFound, Unavailable
from kist.kernel import btrfs, files, placing, process
from kist.spec.mount import Mount
from kist.store import directories
from kist.store.btrfs import Btrfs
from kist.store.database import Database
from kist.store.directories import Extent
from kist.store.failures import reported
from kist.store.loop import Loop
from kist.store.storage import NAMES, Storage, number_of_layers, numbered

_LOWERS = """
    WITH RECURSIVE stack (id, parent, depth, storage) AS (
        SELECT id, parent, 0, storage FROM snapshots WHERE id = ?
        UNION ALL
        SELECT snapshots.id, snapshots.parent, depth + 1, snapshots.storage
        FROM snapshots JOIN stack ON snapshots.id = stack.parent
    )
"""
_STACK = f"{_LOWERS} SELECT id, storage FROM stack ORDER BY depth"  # noqa: S608 - two constants
_NAMES_OF_STACK = f"{_LOWERS} SELECT key FROM stack JOIN snapshots USING (id) ORDER BY depth"  # noqa: S608 - the same
_SIZE_OF_STACK = f"{_LOWERS} SELECT SUM(snapshots.size) FROM snapshots JOIN stack ON snapshots.id = stack.id"  # noqa: S608 - the same
# What lies beside a snapshot's directory, of any storage.
_BESIDE = ("", "-work", "-copied", "-disk")


Later = Callable[[Callable[[], None]], object]
"""Takes what can wait, to be done by whoever has the time."""


class Row(NamedTuple):
    """A snapshot as the database has it; ``size`` is that of a committed one."""

    key: str
    number: int
    parent: int | None
    committed: bool
    storage: str
    size: int


class Forgotten(NamedTuple):
    """A snapshot that has no row any more, and still its files.

    Attributes:
        key: it had this name.
        number: of its directory.
        disk: the space of its files where that was counted.
        storage: the number of its storage.
    """

    key: str
    number: int
    disk: int | None
    storage: int


class Snapshots:
    """The snapshots below ``directory``; their rows are in ``database``.

    Args:
        directory: where they are.
        database: where their rows are.
        storage: how new ones are made, one of ``storage.NAMES``.
        beside: leave the layers of other storages as they are, to be converted.
    """

    def __init__(self, directory: str, database: Database, storage: str, *, beside: bool = False) -> None:
        self._directory = directory
        self._database = database
        self._boot = process.boot_id()
        self.driver = storage
        self._storages = numbered()
        self._layers = number_of_layers(storage)
        self._beside = beside
        if not beside:
            self._forget_unsynced()

    def prepare(self, key: str, parent: str | None = None, *, size: int = 0, many: bool = False) -> tuple[Mount, ...]:
        """A new active snapshot on top of a committed one (None for an empty one), and the mounts to fill it.

        Args:
            key: what it is called until it is committed.
            parent: the name of the one below.
            size: the most bytes that it may hold, 0 for as many as there is room for. One that has a limit is a
                container's, and is never committed.
            many: it is about to get many files at once, so that it pays to look for a place for them.

        Raises:
            Conflict: the key is in use.
            NotFound: there is no such parent.
            InvalidInput: the parent is not committed.
            Unavailable: the disk is full.
        """
        below = self._committed(parent) if parent is not None else None
        storage: Storage = Loop(size) if size else self._storages[self._layers]
        made = 0
        try:
            with self._database.transaction() as db:
                self._refuse_after_conversion(db)
                cursor = db.execute(
                    "INSERT INTO snapshots (key, parent, storage) VALUES (?, ?, ?)",
                    (key, below, NAMES.index(storage.name)),
                )
                made = int(cursor.lastrowid or 0)
                if storage.quick:
                    with placing.spread_out(self._directory) if many else nullcontext():
                        self._make(key, made, below, storage)
            if not storage.quick and (again := self._make(key, made, below, storage)):  # nobody has waited for that
                with self._database.transaction() as db:
                    db.execute("UPDATE snapshots SET again = ? WHERE id = ?", (again, made))
        except sqlite3.IntegrityError as error:
            raise Conflict(f"snapshot {key} exists already") from error
        except BaseException:
            if made:
                self._take_back(made, storage)
            raise
        return self._mounts(made, below, storage)

    def twin(self, key: str, of: str) -> bool:
        """A further active snapshot with what another active one holds at this moment, where that takes no copying.

        Returns:
            Whether it was made.

        Raises:
            NotFound: there is no such snapshot.
            Conflict: the key is in use.
        """
        number, below, committed = self._find(of)
        storage = self._storage_of(number)
        if committed or not isinstance(storage, Btrfs):
            return False
        try:
            with self._database.transaction() as db:
                words = (key, below, NAMES.index(storage.name))
                cursor = db.execute("INSERT INTO snapshots (key, parent, storage) VALUES (?, ?, ?)", words)
                made = int(cursor.lastrowid or 0)
        except sqlite3.IntegrityError as error:
            raise Conflict(f"snapshot {key} exists already") from error
        try:
            with reported(f"prepare snapshot {key}"):
                storage.twin(self.directory(made), self.directory(number))
        except BaseException:
            self._take_back(made, storage)
            raise
        return True

    def mounts(self, key: str) -> tuple[Mount, ...]:
        """The mounts of an active snapshot, or ones that show a committed snapshot read-only.

        Raises:
            NotFound: there is no such snapshot.
        """
        number, below, committed = self._find(key)
        storage = self._storage_of(number)
        return storage.view(self._stack(number)) if committed else self._mounts(number, below, storage)

    def commit(self, name: str, key: str, *, size: int | None = None, later: Later | None = None) -> None:
        """Give an active snapshot its final name; nothing may be written to it from here on.

        Args:
            name: the chain id.
            key: of the active snapshot.
            size: bytes of its files, when the caller has counted them.
            later: takes what can wait: to remove what was needed to fill it.

        Raises:
            NotFound: there is no such active snapshot.
            Conflict: ``name`` exists.
        """
        number, below, committed = self._find(key)
        if committed:
            raise InvalidInput(f"snapshot {key} is committed already")
        if isinstance(self._storage_of(number), Loop):
            raise InvalidInput(f"snapshot {key} has a file system of its own, and cannot be a layer")
        size = self._size(number, below) if size is None else size
        try:
            with self._database.transaction() as db:
                db.execute(
                    "UPDATE snapshots SET key = ?, committed = 1, size = ?, boot = ? WHERE id = ?",
                    (name, size, self._boot, number),
                )
        except sqlite3.IntegrityError as error:
            raise Conflict(f"snapshot {name} exists already") from error
        (later or _now)(lambda: self._remove_trees(number, _BESIDE[1:]))

    def remove(self, key: str, *, later: Later | None = None) -> None:
        """Forget a snapshot and give its space back.

        Args:
            key: of the snapshot.
            later: takes what can wait, where it has no files.

        Raises:
            NotFound: there is no such snapshot.
            Conflict: others stand on it.
        """
        forgotten = self.forget(key)
        wait = later if later is not None and self.is_bare(forgotten) else _now
        wait(lambda: self.clear(forgotten))

    def forget(self, key: str) -> Forgotten:
        """Forget a snapshot; its files stay until ``clear``, which may take long, so that no lock need be held for it.

        Raises:
            NotFound, Conflict: as ``remove``.
        """
        number, _, _ = self._find(key)
        if self._database.row("SELECT 1 FROM snapshots WHERE parent = ?", number) is not None:
            raise Conflict(f"snapshot {key} has others on top of it")
        disk, storage = self._database.row("SELECT disk, storage FROM snapshots WHERE id = ?", number) or (None, 0)
        with reported(f"remove snapshot {key}"):
            try:
                self._forget(key, number)
            except Unavailable:  # a full disk has no room for the database's own writing: make some
                disk = sum(each.disk for each in self._lies(number))
                self._remove_trees(number)
                self._forget(key, number)
        return Forgotten(key, number, disk, int(storage))

    def is_bare(self, forgotten: Forgotten) -> bool:
        """Whether a forgotten snapshot has no file of its own, so that clearing it is soon done."""
        storage = self._storages[forgotten.storage]
        try:
            return storage.layered and not os.listdir(self.directory(forgotten.number))
        except FileNotFoundError:
            return True

    def clear(self, forgotten: Forgotten) -> None:
        """Give the space of a forgotten snapshot back: its number is no other's, ever."""
        with reported(f"remove snapshot {forgotten.key}"):
            self._remove_trees(forgotten.number)

    def left_by(self, forgotten: Forgotten) -> int:
        """What a forgotten snapshot still has on the disk, in bytes of blocks."""
        return sum(each.disk for each in self._lies(forgotten.number)) if forgotten.disk is None else forgotten.disk

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot of this key or name."""
        return self._database.row("SELECT 1 FROM snapshots WHERE key = ?", key) is not None

    def parent(self, key: str) -> str | None:
        """The name of the snapshot below; ``NotFound`` when there is no such snapshot."""
        _, below, _ = self._find(key)
        row = self._database.row("SELECT key FROM snapshots WHERE id = ?", below) if below is not None else None
        return str(row[0]) if row else None

    def below(self, key: str) -> tuple[str, ...]:
        """The names of the snapshots below one, the nearest first; ``NotFound`` when there is no such snapshot."""
        _, below, _ = self._find(key)
        return tuple(name for (name,) in self._database.rows(_NAMES_OF_STACK, below))

    def committed(self, key: str) -> bool:
        """Whether a snapshot has got its final name; ``NotFound`` when there is none."""
        return self._find(key)[2]

    def usage(self, key: str) -> int:
        """Bytes of the snapshot's own files, without those below; ``NotFound`` when there is no such snapshot."""
        number, below, committed = self._find(key)
        if not committed:
            return self._size(number, below)
        row = self._database.row("SELECT size FROM snapshots WHERE id = ?", number)
        return int(row[0]) if row else 0

    def measure(self, key: str) -> Extent:
        """The bytes of ``usage``, and those that the snapshot has on the disk; ``NotFound`` as there."""
        number, below, committed = self._find(key)
        if committed:
            return Extent(self.usage(key), self._on_disk(number))
        storage = self._storage_of(number)
        alone = storage.layered or (storage.whole and below is None)
        size = 0 if alone else self._size(number, below)
        lies = self._lies(number)  # afterwards: to look into a disk of its own may be the first time that it is mounted
        return Extent(lies[0].apparent if alone else size, sum(each.disk for each in lies))

    def on_disk(self, key: str) -> int:
        """What a snapshot has on the disk, in bytes of blocks; ``NotFound`` when there is none."""
        number, _, committed = self._find(key)
        return self._on_disk(number) if committed else sum(each.disk for each in self._lies(number))

    def sizes_on_disk(self) -> dict[str, int]:
        """What each committed snapshot has on the disk, by its name: counted once, for nobody writes to it any more."""
        rows = self._database.rows("SELECT key, id, disk FROM snapshots WHERE committed")
        return {key: self._on_disk(number) if disk is None else disk for key, number, disk in rows}

    def parents(self) -> dict[str, str | None]:
        """The snapshot below each one, the oldest first."""
        query = "SELECT own.key, below.key FROM snapshots own LEFT JOIN snapshots below ON below.id = own.parent"
        return dict(self._database.rows(f"{query} ORDER BY own.id"))

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
        self.clear_strays(self.set_strays_aside())

    def set_strays_aside(self, known: Collection[int] = ()) -> tuple[str, ...]:
        """Give directories that belong to no snapshot other names, for ``clear_strays``; where they are now.

        Those of the numbers that are ``known`` stay.

        A number comes again where the transaction of whoever died over it was rolled back; what was set aside is
        nobody's, however long it takes to remove it.
        """
        with self._database.transaction() as db, reported("remove leftover snapshots"):
            return directories.set_aside(self._directory, self._strays(db, known))

    def clear_strays(self, paths: Sequence[str]) -> None:
        """Remove what was set aside."""
        with reported("remove leftover snapshots"):
            for path in paths:
                _remove(path)

    def rows(self) -> tuple[tuple[str, int, bool], ...]:
        """Key, number and whether committed, of every snapshot."""
        found = self._database.rows("SELECT key, id, committed FROM snapshots ORDER BY id")
        return tuple((key, number, bool(committed)) for key, number, committed in found)

    def directory(self, number: int) -> str:
        """Where a snapshot's files are."""
        return f"{self._directory}/{number}"

    def strays(self) -> tuple[str, ...]:
        """Paths in the snapshots' directory that belong to none."""
        with self._database.transaction() as db:
            return tuple(f"{self._directory}/{name}" for name in self._strays(db))

    def _strays(self, db: sqlite3.Connection, known: Collection[int] = ()) -> tuple[str, ...]:
        """In a transaction: whoever makes a snapshot does so in one."""
        numbers = [*known, *(number for (number,) in db.execute("SELECT id FROM snapshots").fetchall())]
        names = {f"{number}{beside}" for number in numbers for beside in _BESIDE}
        return tuple(name for name in os.listdir(self._directory) if name not in names)

    def forget_lost(self, key: str) -> bool:
        """Forget a layer whose directory is gone, so that it is unpacked again; False while others stand on it."""
        number, _, committed = self._find(key)
        if not committed or os.path.isdir(self.directory(number)):
            return False
        with self._database.transaction() as db:
            db.execute("UPDATE snapshots SET key = 'lost-' || id WHERE id = ?", (number,))
        return True

    def another(self, storage: str) -> "Snapshots":
        """The same snapshots, with new ones made by another storage."""
        return Snapshots(self._directory, self._database, storage, beside=True)

    def table(self) -> tuple[Row, ...]:
        """All snapshots, the oldest first."""
        found = self._database.rows("SELECT key, id, parent, committed, storage, size FROM snapshots ORDER BY id")
        return tuple(
            Row(key, number, parent, bool(committed), NAMES[storage], size)
            for key, number, parent, committed, storage, size in found
        )

    def filling(self, number: int) -> tuple[Mount, ...]:
        """The mounts by which a snapshot was filled, also of one that is committed: what it has changed can be read."""
        row = self._database.row("SELECT parent FROM snapshots WHERE id = ?", number)
        return self._mounts(number, row[0] if row else None, self._storage_of(number))

    def exchange(self, keys: Mapping[int, str], storage: str) -> None:
        """Give snapshots other keys, and say which storage the data root has from now on: all of it, or nothing.

        Args:
            keys: the new keys by number; those whose keys are taken over have new ones too.
            storage: its name.
        """
        with self._database.transaction(durable=True) as db:
            db.executemany("UPDATE snapshots SET key = 'exchanged-' || id WHERE id = ?", [(number,) for number in keys])
            db.executemany("UPDATE snapshots SET key = ? WHERE id = ?", [(key, number) for number, key in keys.items()])
            db.execute("DELETE FROM storage")
            db.execute("INSERT INTO storage (driver) VALUES (?)", (storage,))

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
            db.execute("UPDATE snapshots SET key = 'elsewise-' || id WHERE committed AND storage != ?", (self._layers,))

    def _refuse_after_conversion(self, db: sqlite3.Connection) -> None:
        told = db.execute("SELECT driver FROM storage").fetchone()
        if told is not None and not self._beside and number_of_layers(told[0]) != self._layers:
            raise Unavailable(
                f"the files of this data root were converted to the storage {told[0]} since this engine was started",
                hint="`kist engine stop` stops it; the next command starts another one",
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

    def _make(self, key: str, number: int, below: int | None, storage: Storage) -> int:
        with reported(f"prepare snapshot {key}"):
            path = self.directory(number)
            under = None if below is None else self.directory(below)
            try:
                return storage.make(path, under)
            except FileExistsError:  # of a process that died before its row was written; a collection removes it
                directories.set_aside(self._directory, [f"{number}{beside}" for beside in _BESIDE])
                return storage.make(path, under)

    def _take_back(self, number: int, storage: Storage) -> None:
        """After a failure: the row, where it was written, and the files."""
        if not storage.quick:
            with self._database.transaction() as db:
                db.execute("DELETE FROM snapshots WHERE id = ?", (number,))
        self._remove_trees(number)

    def _remove_trees(self, number: int, which: tuple[str, ...] = _BESIDE) -> None:
        for beside in which:
            _remove(f"{self._directory}/{number}{beside}")

    def _storage_of(self, number: int) -> Storage:
        row = self._database.row("SELECT storage FROM snapshots WHERE id = ?", number)
        return self._storages[int(row[0]) if row else 0]

    def _mounts(self, number: int, below: int | None, storage: Storage) -> tuple[Mount, ...]:
        return storage.mounts(self.directory(number), self._stack(below) if below is not None else ())

    def _stack(self, number: int) -> tuple[str, ...]:
        """The directories that show a snapshot together, the topmost first."""
        found = []
        for lower, storage in self._database.rows(_STACK, number):
            found.append(self.directory(lower))
            if self._storages[storage].whole:
                break
        return tuple(found)

    def _lies(self, number: int) -> tuple[Extent, ...]:
        """The space of its directory and of what lies beside it."""
        with reported("measure snapshot"):
            return tuple(directories.measure(f"{self._directory}/{number}{beside}") for beside in _BESIDE)

    def _on_disk(self, number: int) -> int:
        """Of a committed snapshot; kept once it is synced, for only then some file systems settle where a file lies."""
        row = self._database.row("SELECT disk, boot FROM snapshots WHERE id = ?", number)
        if row is not None and row[0] is not None:
            return int(row[0])
        disk = sum(each.disk for each in self._lies(number))
        if row is not None and not row[1]:
            # On a full disk it is counted the next time, too.
            with suppress(KistError), self._database.transaction() as db:
                db.execute("UPDATE snapshots SET disk = ? WHERE id = ?", (disk, number))
        return disk

    def _size(self, number: int, below: int | None) -> int:
        with reported("measure snapshot"):
            under = None if below is None else self.directory(below)
            return self._storage_of(number).size(self.directory(number), under)


def _now(call: Callable[[], None]) -> None:
    call()


def _remove(path: str) -> None:
    if not btrfs.remove(path):
        directories.remove_tree(path)
