"""Writing tar archives whose bytes depend on nothing but their members (POSIX.1-2001 pax; ustar where that is enough).

No names of users, no times but mtime in whole seconds (as Docker writes layers), extended headers only where the plain
one cannot hold a value, their records sorted.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from kist.image import tar
from kist.image.tar import BLOCK, Entry

_BUFFER = 1 << 20
_END = bytes(2 * BLOCK)
_RECORD = 20 * BLOCK
_MAGIC = b"ustar\x0000"
_MAGIC_SUM = sum(_MAGIC)
_BLANKS = 8 * 32
_NO_NAMES = bytes(64)  # of user and group
_NO_PREFIX = bytes(167)


class TarWriter:
    """Gives the bytes of an archive to ``write``, in pieces of about 1 MiB. ``close`` ends the archive."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._parts: list[bytes] = []
        self._held = 0
        self._size = 0

    def add(self, entry: Entry) -> None:
        """Write a member's header; exactly ``entry.size`` bytes of content follow through ``data``, then ``pad``."""
        self.data(header(entry))

    def add_sparse(self, entry: Entry, segments: Sequence[tuple[int, int]]) -> int:
        """Write the header of a sparse file, and the map of its segments (GNU's format 1.0).

        The bytes of the segments follow, one after the other, through ``data``.

        Returns:
            What ``pad`` is to be told at the end: the bytes that are stored.
        """
        numbers = [len(segments), *(number for segment in segments for number in segment)]
        text = b"".join(b"%d\n" % number for number in numbers)
        text += bytes(-len(text) % BLOCK)
        stored = len(text) + sum(length for _, length in segments)
        records = {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": entry.name,
            b"GNU.sparse.realsize": b"%d" % entry.size,
        }
        # In the plain header alone: a record of it would go before the true name.
        other = b"GNUSparseFile.0/" + entry.name.rpartition(b"/")[2][:80]
        self.data(header(msgspec.structs.replace(entry, name=other, size=stored), records) + text)
        return stored

    def data(self, data: bytes) -> None:
        """Bytes of the current member's content."""
        self._parts.append(data)
        self._held += len(data)
        self._size += len(data)
        if self._held >= _BUFFER:
            self._flush()

    def pad(self, size: int) -> None:
        """End the content of a member of ``size`` bytes."""
        if size % BLOCK:
            self.data(bytes(-size % BLOCK))

    def file(self, name: bytes, content: bytes) -> None:
        """A small regular file of root's, with no time."""
        self.add(Entry(name, tar.REGULAR, 0o644, 0, 0, len(content), 0, b"", (0, 0), {}))
        self.data(content)
        self.pad(len(content))

    def close(self) -> None:
        """Write the end mark, and fill the last record as all tars do."""
        self.data(_END)
        self.data(bytes(-self._size % _RECORD))
        self._flush()

    def _flush(self) -> None:
        self._write(b"".join(self._parts))
        self._parts.clear()
        self._held = 0


def header(entry: Entry, further: Mapping[bytes, bytes] | None = None) -> bytes:
    """The header blocks of a member; ``further`` records of its extended header are written too."""
    seconds = entry.mtime // 1_000_000_000
    records: dict[bytes, bytes] = dict(further or {})
    if len(entry.name) > 100:
        records[b"path"] = entry.name
    if len(entry.link) > 100:
        records[b"linkpath"] = entry.link
    for key, number, digits in (
        (b"uid", entry.uid, 7),
        (b"gid", entry.gid, 7),
        (b"size", entry.size, 11),
        (b"mtime", seconds, 11),
    ):
        if not 0 <= number < 8**digits:
            records[key] = b"%d" % number
    for name, value in entry.xattrs.items():
        records[b"SCHILY.xattr." + name.encode("utf-8", "surrogateescape")] = value
    plain = _block(entry, seconds, records)
    return _extended(records) + plain if records else plain


def _block(entry: Entry, seconds: int, records: dict[bytes, bytes]) -> bytes:
    numbers: tuple[int, ...] = (entry.uid, entry.gid, entry.size, seconds)
    if records:  # what one of them holds is zero here
        keys = (b"uid", b"gid", b"size", b"mtime")
        numbers = tuple(0 if key in records else number for key, number in zip(keys, numbers, strict=True))
    name, link = entry.name[:100], entry.link[:100]
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode, *numbers)
    device = b"%07o\0%07o\0" % entry.device
    # The sum of all bytes, its own field counted as blanks; those that fill a field are zero.
    total = sum(name) + sum(fields) + _BLANKS + sum(entry.kind) + sum(link) + _MAGIC_SUM + sum(device)
    return b"%b%b%06o\0 %b%b%b%b%b%b" % (
        name.ljust(100, b"\0"), fields, total, entry.kind, link.ljust(100, b"\0"), _MAGIC, _NO_NAMES, device, _NO_PREFIX
    )  # fmt: skip


def _extended(records: dict[bytes, bytes]) -> bytes:
    content = b"".join(_record(key, records[key]) for key in sorted(records))
    entry = Entry(b"././@PaxHeader", b"x", 0o644, 0, 0, len(content), 0, b"", (0, 0), {})
    return _block(entry, 0, {}) + content + bytes(-len(content) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE`` and a line feed; the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
