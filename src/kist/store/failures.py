"""Failures of the disk and of the database, told as errors of ours."""

import sqlite3
from types import TracebackType

from kist.errors import Corrupt, KistError, Unavailable, from_os_error, not_writable, see_doctor


class reported:  # noqa: N801 - it is used as a function is; a start has fifty of these blocks, and a generator's are slow
    """Turn ``OSError`` and ``sqlite3.Error`` of the block into errors that say what was being done.

    Raises:
        Unavailable: the disk is full, or the database stayed locked.
        Forbidden: the data root cannot be written.
        Corrupt: the database is damaged.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise from_os_error(error, self._doing) from error
        if isinstance(error, sqlite3.Error):
            raise from_sqlite_error(error, self._doing) from error


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
