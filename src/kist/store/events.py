"""The event log: a bounded table of the database that every engine of a data root writes to and reads from.

Its numbers rise in the order of writing, for a transaction holds the write lock from its start, so a reader that goes
on after the last number that it saw misses nothing and sees nothing twice, however slow it is.
"""

import sqlite3
import time
from collections.abc import Sequence

from kist.spec import json
from kist.spec.event import Mark, SystemEvent
from kist.store.database import Database, Row

# Some ten megabytes; more than a month of a busy machine is nobody's to look through here.
MOST = 30_000
OLDEST_NS = 30 * 24 * 3600 * 1_000_000_000
_TRIM_EVERY = 256
_EVENT = "SELECT kind, action, actor, time, attributes, id, mark FROM events"

_NOBODYS = Mark()


class EventLog:
    """The events of one data root."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, event: SystemEvent, *, once: bool = False) -> bool:
        """Write an event down.

        Args:
            event: its number is chosen here.
            once: not when the same (of this actor, action and time) is there already: two engines may hear of it.

        Returns:
            Whether it was written.
        """
        with self._database.transaction() as db:
            if once and _is_there(db, event):
                return False
            _insert(db, event)
        return True

    def append_all(self, events: Sequence[SystemEvent]) -> None:
        """Write several down in their order, all or none of them."""
        with self._database.transaction() as db:
            for event in events:
                _insert(db, event)

    def append_end(self, event: SystemEvent, mark: int) -> bool:
        """Write a container's end down, unless the end with this ``mark`` was; the container's row remembers it.

        Engines hear of an end, and find it again when they start: it is told by the first.
        """
        with self._database.transaction() as db:
            query = "UPDATE containers SET told_end = ? WHERE id = ? AND told_end <> ?"
            if not db.execute(query, (mark, event.actor, mark)).rowcount:
                return False
            _insert(db, event)
        return True

    def destroyed(self) -> frozenset[str]:
        """The ids of the containers whose removal is on record."""
        rows = self._database.rows("SELECT actor FROM events WHERE kind = 'container' AND action = 'destroy'")
        return frozenset(actor for (actor,) in rows)

    def last(self) -> int:
        """The number of the last event; 0 when there was none."""
        row = self._database.row("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return int(row[0]) if row else 0

    def after(self, number: int, *, since: int = 0, limit: int = 500) -> tuple[SystemEvent, ...]:
        """The events that were written after the one with this number, in that order, at most ``limit``.

        Args:
            number: 0 for all that are kept.
            since: only what happened at this time (nanoseconds since the epoch) or later.
            limit: the most to give.
        """
        rows = self._database.rows(f"{_EVENT} WHERE id > ? AND time >= ? ORDER BY id LIMIT ?", number, since, limit)
        return tuple(_event(row) for row in rows)


def _event(row: Row) -> SystemEvent:
    kind, action, actor, at, attributes, number, mark = row
    found = json.decode(mark, Mark, what="mark of an event") if mark is not None else _NOBODYS
    told = json.decode(attributes, dict[str, str], what="event")
    return SystemEvent(kind, action, actor, at, told, number, found.owner, found.labels)


def _is_there(db: sqlite3.Connection, event: SystemEvent) -> bool:
    query = "SELECT 1 FROM events WHERE actor = ? AND time = ? AND action = ?"
    return db.execute(query, (event.actor, event.time, event.action)).fetchone() is not None


def _mark(event: SystemEvent) -> bytes | None:
    return json.encode(Mark(event.owner, event.labels)) if event.owner or event.labels else None


def _insert(db: sqlite3.Connection, event: SystemEvent) -> None:
    done = db.execute(
        "INSERT INTO events (time, kind, action, actor, attributes, mark) VALUES (?, ?, ?, ?, ?, ?)",
        (event.time, event.kind, event.action, event.actor, json.encode(event.attributes), _mark(event)),
    )
    number = done.lastrowid or 0
    if number % _TRIM_EVERY == 0:
        db.execute("DELETE FROM events WHERE id <= ? OR time < ?", (number - MOST, time.time_ns() - OLDEST_NS))
