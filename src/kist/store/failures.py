"""Failures of the disk and of the database, told as errors of ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from kist.errors import Corrupt, KistError, Unavailable, from_os_error, not_writable, see_doctor


@contextmanager
def reported(doing: str) -> Iterator[None]:
    """Turn ``OSError`` and ``sqlite3.Error`` of the block into errors that say what was being done.

    Raises:
        Unavailable: the disk is full, or the database stayed locked.
        Forbidden: the data root cannot be written.
        Corrupt: the database is damaged.
    """
    try:
        yield
    except OSError as error:
        raise from_os_error(error, doing) from error
    except sqlite3.Error as error:
        raise from_sqlite_error(error, doing) from error


def from_sqlite_error(error: sqlite3.Error, doing: str) -> KistError:
    """The error of ours for a failure of the database."""
    whole = getattr(error, "sqlite_errorcode", None) or 0
    code = whole & 0xFF
    message = f"{doing}: {error}"
    # The second: there is no room for the file that those share who have the database open.
    if code == sqlite3.SQLITE_FULL or whole == sqlite3.SQLITE_IOERR_SHMSIZE:
        hint = see_doctor("space", "free some space on the data root's file system")
        return Unavailable(f"{doing}: no space left on device", hint=hint)
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}:
        return not_writable(message)
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}:
        return Unavailable(message, hint="another process may hold the data root; try again")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return Corrupt(message, hint="the data root's kist.db is damaged; restore it or start with a new data root")
    return KistError(message)
