"""One SQLite database in WAL mode, shared by the threads of this process and by other processes.

In this process one connection is shared under a lock; between processes SQLite's own locks decide, and every
transaction takes the write lock at its start, so that what it read is still true when it writes. A transaction is
atomic always; it is on the disk at its end only when it was asked to be ``durable`` (records of images are, a
container's row is not: it is worth less than the milliseconds, and a power cut ends the container anyway).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kist.errors import Unsupported
from kist.store.failures import reported
from kist.store.reserve import Reserve
from kist.store.schema import MIGRATIONS

Row = tuple[Any, ...]
_BUSY_SECONDS = 30.0


class Database:
    """The database at ``path``, made and brought up to date as needed; the caller excludes others meanwhile.

    Raises:
        Unsupported: a newer version of Kist has written it.
        Forbidden, Unavailable, Corrupt: as the file's state is.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.RLock()
        self._reserve = Reserve(f"{path}-reserve")
        with reported(f"open database {path}"):
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._durable = False
            self._connection.execute("PRAGMA foreign_keys = ON")
        self._migrate(path)

    def rows(self, sql: str, *values: object) -> list[Row]:
        """What a query finds."""
        with self._lock, reported("read records"):
            return self._connection.execute(sql, values).fetchall()

    def version(self) -> tuple[int, int]:
        """Another value whenever something has been changed since, by this process or another one."""
        with self._lock, reported("read records"):
            (by_others,) = self._connection.execute("PRAGMA data_version").fetchone()
            return by_others, self._connection.total_changes

    def row(self, sql: str, *values: object) -> Row | None:
        """The first row that a query finds."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All of the block's statements or none of them. Blocks do not nest.

        Raises:
            sqlite3.IntegrityError: passes through, for the caller knows what it means.
        """
        with self._lock:
            self._begin(durable=durable)
            try:
                yield self._connection
            except sqlite3.IntegrityError:
                self._connection.execute("ROLLBACK")
                raise
            except sqlite3.Error as error:
                self._roll_back()
                with reported("write records"):
                    raise error from None
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._commit()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _begin(self, *, durable: bool) -> None:
        self._reserve.adjust()
        with reported("write records"):
            if durable != self._durable:
                self._connection.execute("PRAGMA synchronous = " + ("FULL" if durable else "NORMAL"))
                self._durable = durable
            self._connection.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        try:
            with reported("write records"):
                self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # a full disk makes SQLite roll back by itself
            self._connection.execute("ROLLBACK")

    def _migrate(self, path: str) -> None:
        found = self.row("PRAGMA user_version")
        version = found[0] if found else 0
        if version > len(MIGRATIONS):
            raise Unsupported(
                f"{path} was written by a newer version of Kist (its schema is {version}, known is {len(MIGRATIONS)})",
                hint="upgrade Kist, or choose another data root with KIST_ROOT",
            )
        for number in range(version, len(MIGRATIONS)):
            script = f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
            with reported(f"migrate database {path}"):
                self._connection.executescript(script)
