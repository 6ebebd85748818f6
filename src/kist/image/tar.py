"""Reading tar archives: ustar (POSIX.1-1988), pax (POSIX.1-2001) and GNU's long names, from a stream, fast.

Only what a file tree needs is read. Damage is ``Corrupt``, what cannot be kept is ``Unsupported``; both name the
member. Whether a member's name is one that may be written is not decided here (see ``kist.image.tree``).
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import BinaryIO, Final

import msgspec

from kist.errors import Corrupt, InvalidInput, Unsupported

BLOCK: Final = 512
REGULAR: Final = b"0"
HARD_LINK: Final = b"1"
SYMBOLIC_LINK: Final = b"2"
CHARACTER: Final = b"3"
BLOCK_DEVICE: Final = b"4"
DIRECTORY: Final = b"5"
FIFO: Final = b"6"

_CHUNK = 256 << 10  # so that a chunk is still in the processor's cache when it is hashed and written
_LONGEST_EXTENSION = 1 << 20
_MOST_EXTENSIONS = 16  # of one member; whoever writes tars needs three
_LARGEST_ID = (1 << 32) - 2
_LARGEST_SIZE = (1 << 63) - 1  # of off_t
_LARGEST_TIME = 1 << 40  # seconds; farther from the epoch than any file system keeps
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_ZEROS = bytes(BLOCK)
_KINDS = {b"\0": REGULAR, b"7": REGULAR} | {kind: kind for kind in (b"0", b"1", b"2", b"3", b"4", b"5", b"6")}
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK, _GNU_SPARSE, _GNU_LABEL = b"x", b"g", b"L", b"K", b"S", b"V"
_XATTR = b"SCHILY.xattr."
_MOST_SEGMENTS = 1 << 20
_LONGEST_NUMBER = 20  # characters of 64 bits


class Entry(msgspec.Struct, frozen=True):
    """One member: what its header says.

    Attributes:
        name: the path as written, in bytes.
        kind: ``REGULAR``, ``DIRECTORY``, …
        mode: permission bits with set-id and sticky bits.
        size: bytes of content; 0 unless regular.
        mtime: nanoseconds since the epoch.
        link: target of a symbolic link, or the member that a hard link is the same as.
        device: major and minor number.
        xattrs: extended attributes.
        segments: of a sparse file, begin and length of each part that has content; None for any other.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    device: tuple[int, int]
    xattrs: dict[str, bytes]
    segments: tuple[tuple[int, int], ...] | None = None


class TarReader:
    """The members of a tar stream, in their order; iterate, and read each one's content before going on.

    Args:
        stream: plain (not compressed) bytes; only ``read`` is used.
        what: the archive in messages.
        end_mark: whether a stream that ends between two members, without the mark of zeros, counts as cut short; where
            something else vouches for the whole it may be missing, and what fills the last block too: some writers
            leave them out.
        sparse: take sparse files in GNU's format 1.0 (pax); their content is that of their segments.

    Raises:
        Corrupt: the archive is damaged or cut short.
        Unsupported: a member is of a kind that cannot be kept (sparse, multi-volume).
    """

    def __init__(
        self, stream: BinaryIO, *, what: str = "archive", end_mark: bool = False, sparse: bool = False
    ) -> None:
        self._takes_sparse = sparse
        self._stream = stream
        self._end_mark = end_mark
        self._what = what
        self._block = b""
        self._end = 0  # of what was read; a last block that is not whole is filled with zeros
        self._view = memoryview(b"")
        self._at = 0
        self._left = 0  # content of the current member that was not read yet
        self._padding = 0
        self._name = b""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._next, None)

    def chunks(self) -> Iterator[memoryview]:
        """The content of the current member, as views that hold until the next step."""
        while self._left:
            if self._at == self._end and not self._fill():
                raise self._short()
            chunk = self._view[self._at : min(self._at + self._left, self._end)]
            self._at += len(chunk)
            self._left -= len(chunk)
            yield chunk

    def content(self) -> memoryview | None:
        """The content of the current member as one view when it is at hand, which spares a loop; else None."""
        end = self._at + self._left
        if end > self._end:
            return None
        view = self._view[self._at : end]
        self._at, self._left = end, 0
        return view

    def drain(self) -> None:
        """Read what follows the end mark, which counts for the stream's digest."""
        while self._fill():
            pass

    def _next(self) -> Entry | None:
        extensions: dict[bytes, bytes] = {}
        count = 0
        while (header := self._header()) is not None:
            kind = header[7]
            count += 1
            if count > _MOST_EXTENSIONS:
                raise self._damaged(f"more than {_MOST_EXTENSIONS} extended headers of one member")
            if kind == _PAX:
                extensions.update(_pax_records(self._extension(header), self._damaged))
            elif kind == _GNU_NAME:
                extensions[b"path"] = self._extension(header).rstrip(b"\0")
            elif kind == _GNU_LINK:
                extensions[b"linkpath"] = self._extension(header).rstrip(b"\0")
            elif kind in {_PAX_GLOBAL, _GNU_LABEL}:
                self._extension(header)  # says nothing about single files that other tools would heed
            else:
                return self._entry(header, extensions)
        return None

    def _header(self) -> tuple[bytes, ...] | None:
        """The fields of the next header; None at the end mark, or where the stream ends between members."""
        self._skip()
        if self._at == len(self._block) and not self._fill():
            if self._end_mark:
                raise self._short()
            return None
        start = self._at
        self._at = start + BLOCK
        if not self._block[start] and self._block[start : start + BLOCK] == _ZEROS:
            return None
        if self._at > self._end:
            raise self._short()
        fields: tuple[bytes, ...] = _HEADER.unpack_from(self._block, start)
        # The low half of Adler-32 is the plain sum that tar keeps, modulo 65521, and costs a twentieth.
        found = (zlib.adler32(self._view[start : self._at]) & 0xFFFF) - sum(fields[6]) + 8 * 32
        try:
            wrong = (found - 1 - _octal(fields[6])) % 65521
        except ValueError:
            wrong = 1
        if wrong:
            raise self._damaged("a header's checksum is wrong (is it a tar archive?)")
        return fields

    def _entry(self, header: tuple[bytes, ...], extensions: dict[bytes, bytes]) -> Entry:
        name, mode, uid, gid, size, mtime, _, kind, link, magic, _, _, _, major, minor, prefix = header
        name = name.partition(b"\0")[0]
        if magic == b"ustar\0" and prefix[0]:
            name = prefix.partition(b"\0")[0] + b"/" + name
        self._name = name
        values = self._numbers(mode, uid, gid, size, mtime)
        link = link.partition(b"\0")[0] if link[0] else b""
        xattrs: dict[str, bytes] = {}
        if not extensions:
            return self._checked(name, kind, link, values, (major, minor), xattrs)
        name, link, values, xattrs = self._extended(extensions, name, link, values)
        found = self._checked(name, kind, link, values, (major, minor), xattrs)
        return self._with_holes(found, extensions) if b"GNU.sparse.major" in extensions else found

    def _with_holes(self, entry: Entry, extensions: dict[bytes, bytes]) -> Entry:
        """A sparse file: its size and the map of its segments, which the content begins with."""
        wrong = self._damaged("the map of a sparse file is wrong")
        try:
            size = int(extensions[b"GNU.sparse.realsize"])
            (count,), read = self._numbers_in_content(1)
            # What is left of the last block of the map is no content.
            numbers, _ = self._numbers_in_content(2 * min(count, _MOST_SEGMENTS), read)
        except (KeyError, ValueError) as error:
            raise wrong from error
        segments = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if len(segments) != count:
            raise wrong
        if not 0 <= size <= _LARGEST_SIZE:
            raise self._damaged("the size of a sparse file is none that a file can have")
        end = 0
        for begin, length in segments:
            if not end <= begin <= begin + length <= size:
                raise wrong
            end = begin + length
        if sum(length for _, length in segments) != self._left or entry.kind is not REGULAR:
            raise self._damaged("a sparse file's content and its map differ")
        return msgspec.structs.replace(entry, size=size, segments=segments)

    def _numbers_in_content(self, count: int, rest: bytes = b"") -> tuple[list[int], bytes]:
        """Lines of one number each, out of whole blocks of the content; and what of the last block is unread."""
        numbers: list[int] = []
        while len(numbers) < count:
            line, end, after = rest.partition(b"\n")
            if end:
                numbers.append(int(line))
                rest = after
            elif len(rest) > _LONGEST_NUMBER:
                raise ValueError("a line that is no number")
            else:
                rest += self._content_block()
        return numbers, rest

    def _content_block(self) -> bytes:
        if self._left < BLOCK:
            raise ValueError("the map has no end")
        if self._at == len(self._block) and not self._fill():
            raise self._short()
        block = self._block[self._at : self._at + BLOCK]
        self._at += BLOCK
        self._left -= BLOCK
        return block

    def _checked(
        self,
        name: bytes,
        kind: bytes,
        link: bytes,
        values: tuple[int, int, int, int, int],
        device: tuple[bytes, bytes],
        xattrs: dict[str, bytes],
    ) -> Entry:
        mode, uid, gid, size, mtime = values
        known = _KINDS.get(kind)
        if kind == _GNU_SPARSE:
            raise self._sparse(name)
        if known is None:
            raise Unsupported(f"{self._what}: {shown(name)} is of a kind that is not kept (type {shown(kind)})")
        if not (0 <= uid <= _LARGEST_ID and 0 <= gid <= _LARGEST_ID):
            raise InvalidInput(f"{self._what}: {shown(name)} has an owner out of range ({uid}:{gid})")
        if known is REGULAR:
            if size < 0:
                raise self._damaged("the size is negative")
            if size > _LARGEST_SIZE:
                raise self._damaged("the size is none that a file can have")
            if name.endswith(b"/"):  # how tar spelled directories before ustar
                known = DIRECTORY
        if known is not REGULAR:
            size = 0  # a link's size, where given, is that of the file it names
        self._left = size
        self._padding = -size % BLOCK
        if not -_LARGEST_TIME < mtime // 1_000_000_000 < _LARGEST_TIME:
            mtime = 0
        numbers = (0, 0)
        if known in _DEVICES:
            major, minor, *_ = self._numbers(*device, b"0", b"0", b"0")
            numbers = (major, minor)
        return Entry(name, known, mode & 0o7777, uid, gid, size, mtime, link, numbers, xattrs)

    def _extended(
        self, extensions: dict[bytes, bytes], name: bytes, link: bytes, values: tuple[int, int, int, int, int]
    ) -> tuple[bytes, bytes, tuple[int, int, int, int, int], dict[str, bytes]]:
        """What extension headers put in the place of the header's own fields."""
        name = extensions.get(b"path", name)
        link = extensions.get(b"linkpath", link)
        self._name = name
        if b"\0" in name or b"\0" in link or any(b"\0" in key for key in extensions):
            raise self._damaged("a name has a zero byte in it")
        if any(key.startswith(b"GNU.sparse.") for key in extensions):
            version = extensions.get(b"GNU.sparse.major"), extensions.get(b"GNU.sparse.minor")
            if not self._takes_sparse or version != (b"1", b"0"):
                raise self._sparse(name)
            name = extensions.get(b"GNU.sparse.name", name)
        mode, uid, gid, size, mtime = values
        try:
            uid = int(extensions.get(b"uid", uid))
            gid = int(extensions.get(b"gid", gid))
            size = int(extensions.get(b"size", size))
            if b"mtime" in extensions:
                mtime = _nanoseconds(extensions[b"mtime"])
        except ValueError as error:
            raise self._damaged("a number in an extended header is none") from error
        xattrs = {
            key[len(_XATTR) :].decode("utf-8", "surrogateescape"): value
            for key, value in extensions.items()
            if key.startswith(_XATTR)
        }
        return name, link, (mode, uid, gid, size, mtime), xattrs

    def _extension(self, header: tuple[bytes, ...]) -> bytes:
        size = self._numbers(b"0", b"0", b"0", header[4], b"0")[3]
        if not 0 <= size <= _LONGEST_EXTENSION:
            raise self._damaged(f"an extended header of {size} bytes")
        self._left, self._padding = size, -size % BLOCK
        return b"".join(bytes(chunk) for chunk in self.chunks())

    def _numbers(
        self, mode: bytes, uid: bytes, gid: bytes, size: bytes, mtime: bytes
    ) -> tuple[int, int, int, int, int]:
        try:
            return _octal(mode), _octal(uid), _octal(gid), _number(size), _octal(mtime) * 1_000_000_000
        except ValueError as error:
            raise self._damaged("a number in its header is none") from error

    def _skip(self) -> None:
        """Go past the rest of the current member."""
        left = self._left + self._padding
        self._left = self._padding = 0
        while left > (ahead := len(self._block) - self._at):
            left -= ahead
            self._at += ahead
            if not self._fill():
                raise self._short()
        self._at += left

    def _fill(self) -> bool:
        """Take the next whole blocks from the stream; False at its end."""
        data = self._stream.read(_CHUNK)
        while len(data) % BLOCK:
            more = self._stream.read(-len(data) % BLOCK)  # no more, so that whole blocks follow
            if not more:
                if self._end_mark:
                    raise self._short()
                break
            data += more
        self._end = len(data)
        data += bytes(-len(data) % BLOCK)
        self._block, self._view, self._at = data, memoryview(data), 0
        return bool(data)

    def _short(self) -> Corrupt:
        return self._damaged("it is cut short" if self._name else "it is cut short (is it a tar archive?)")

    def _sparse(self, name: bytes) -> Unsupported:
        hint = "make the archive without --sparse"
        return Unsupported(f"{self._what}: {shown(name)} is a sparse file in GNU's format", hint=hint)

    def _damaged(self, why: str) -> Corrupt:
        where = f" at {shown(self._name)}" if self._name else ""
        return Corrupt(f"{self._what} is damaged{where}: {why}", hint="make or fetch it again")


_DEVICES = frozenset({CHARACTER, BLOCK_DEVICE})


def _number(field: bytes) -> int:
    """Octal text, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << (bits - 1))
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


_octal = lru_cache(maxsize=4096)(_number)


def _nanoseconds(text: bytes) -> int:
    """A pax time: seconds since the epoch with an optional fraction."""
    whole, _, fraction = text.strip().partition(b".")
    seconds = int(whole or b"0")
    part = int((fraction + b"000000000")[:9]) if fraction else 0
    return seconds * 1_000_000_000 + (-part if whole.startswith(b"-") else part)


def _pax_records(data: bytes, damaged: Callable[[str], Corrupt]) -> dict[bytes, bytes]:
    """Records of the form ``LENGTH KEY=VALUE`` and a line feed; LENGTH counts all of the record."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data) and data[at]:
        length, blank, _ = data[at : at + 20].partition(b" ")
        end = at + int(length) if length.isdigit() else 0
        key, equals, value = data[at + len(length) + 1 : end - 1].partition(b"=")
        if not blank or not equals or not at < end <= len(data) or data[end - 1] != 0x0A:
            raise damaged("an extended header is not well formed")
        records[key] = value
        at = end
    return records


def shown(name: bytes) -> str:
    """A member's name for people: quoted, with odd bytes escaped."""
    return repr(name.decode("utf-8", "backslashreplace"))
