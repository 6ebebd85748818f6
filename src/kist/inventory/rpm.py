"""rpm's database in its form of today, ``rpmdb.sqlite``: headers in a table (rpm: docs/manual/format_header.md).

The forms before it (Berkeley DB, ndb) are told and not read.
"""

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing

from kist.inventory.failure import Unreadable
from kist.spec.package import Package

NAME, VERSION, RELEASE, EPOCH, SIZE, LICENCE, ARCHITECTURE, SOURCE = 1000, 1001, 1002, 1003, 1009, 1014, 1022, 1044
_LONG_SIZE = 5009
_INT32, _INT64, _STRING, _TEXTS = 4, 5, 6, frozenset({6, 8, 9})
_ENTRY = struct.Struct(">IIII")
_LARGEST_HEADER = 64 << 20
_MOST_ENTRIES = 65536
_MOST_PACKAGES = 200_000
_STEPS = 1000  # of SQLite's machine between two looks
_MOST_LOOKS = 200_000
_JOURNAL_BYTES = slice(18, 20)  # of the file's header: 2 for a write-ahead log, which nothing in memory can have
OLD_FORMS = {"Packages": "Berkeley DB, rpm's form until 4.16", "Packages.db": "ndb, a form of rpm's own"}


def read(path: str, data: bytes) -> Iterator[Package]:
    """The packages of an SQLite database.

    Raises:
        Unreadable: it is no database of rpm's, or one that nobody could go through.
    """
    for blob in _headers(data):
        tags = header(blob)
        name, version, release = (str(tags.get(tag, "")) for tag in (NAME, VERSION, RELEASE))
        if not name or not version or name == "gpg-pubkey":  # a key that was imported, which rpm keeps as a package
            continue
        epoch = tags.get(EPOCH, 0)
        built_from = str(tags.get(SOURCE, "")).removesuffix(".rpm").removesuffix(".src").removesuffix(".nosrc")
        source = built_from.rsplit("-", 2)[0] if built_from.count("-") > 1 else ""
        size = tags.get(_LONG_SIZE, tags.get(SIZE, 0))
        yield Package(
            "rpm",
            name,
            (f"{epoch}:" if epoch else "") + version + (f"-{release}" if release else ""),
            path,
            architecture=str(tags.get(ARCHITECTURE, "")),
            source=source if source != name else "",
            licence=str(tags.get(LICENCE, "")),
            size=size if isinstance(size, int) else 0,
        )


def _headers(data: bytes) -> Iterator[bytes]:
    """The blobs of the table ``Packages``: a table, and no view that would have the engine work for ever."""
    with closing(sqlite3.connect(":memory:")) as database:
        looks = 0

        def look() -> int:
            nonlocal looks
            looks += 1
            return int(looks > _MOST_LOOKS)

        database.set_progress_handler(look, _STEPS)
        try:
            database.deserialize(data[: _JOURNAL_BYTES.start] + b"\1\1" + data[_JOURNAL_BYTES.stop :])
            database.execute("PRAGMA trusted_schema = OFF")
            kinds = database.execute("SELECT type FROM sqlite_schema WHERE name = 'Packages'").fetchall()
            if kinds != [("table",)]:
                raise Unreadable("it has no table of packages")
            rows = database.execute("SELECT blob FROM Packages LIMIT ?", (_MOST_PACKAGES,))
            for (blob,) in rows:
                if isinstance(blob, bytes):
                    yield blob
        except sqlite3.Error as error:
            raise Unreadable(f"SQLite cannot read it: {error}") from None


def header(blob: bytes) -> dict[int, str | int]:
    """The values of a header by tag: texts (of several the first), and numbers.

    Raises:
        Unreadable: it contradicts itself.
    """
    if len(blob) < 8 or len(blob) > _LARGEST_HEADER:
        raise Unreadable(f"a header of {len(blob)} bytes")
    count, length = struct.unpack_from(">II", blob)
    start = 8 + count * _ENTRY.size
    if count > _MOST_ENTRIES or start + length > len(blob):
        raise Unreadable("a header is longer than it says")
    values = blob[start : start + length]
    found: dict[int, str | int] = {}
    for number in range(count):
        tag, kind, offset, _ = _ENTRY.unpack_from(blob, 8 + number * _ENTRY.size)
        if offset > len(values):
            raise Unreadable("a value lies outside its header")
        if kind in _TEXTS:
            end = values.find(b"\0", offset)
            found[tag] = values[offset : end if end >= 0 else None].decode("utf-8", "replace")
        elif kind == _INT32 and offset + 4 <= len(values):
            found[tag] = int.from_bytes(values[offset : offset + 4], "big")
        elif kind == _INT64 and offset + 8 <= len(values):
            found[tag] = int.from_bytes(values[offset : offset + 8], "big")
    return found
