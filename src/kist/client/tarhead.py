"""Headers of tar archives (POSIX.1-2017, pax, "ustar interchange format"), without ``tarfile``'s 7 ms of imports."""

FILE, HARD_LINK, LINK, DIRECTORY, PIPE, EXTENDED = b"0", b"1", b"2", b"5", b"6", b"x"
BLOCK = 512
END = bytes(2 * BLOCK)

_NAME, _LINK_NAME = 100, 100
_ATTRIBUTE = b"SCHILY.xattr."
_OCTAL_SIZE = 8**11  # what eleven octal digits hold


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def header(
    kind: bytes,
    name: str,
    *,
    mode: int,
    size: int = 0,
    mtime: int = 0,
    target: str = "",
    attributes: "Mapping[str, bytes] | None" = None,
) -> bytes:
    """The block of one member, owner 0:0; after a pax record where something does not fit into the plain fields."""
    path = name.encode("utf-8", "surrogateescape")
    link = target.encode("utf-8", "surrogateescape")
    records = b""
    if len(path) > _NAME:
        records += _record(b"path", path)
    if len(link) > _LINK_NAME:
        records += _record(b"linkpath", link)
    if size >= _OCTAL_SIZE:
        records += _record(b"size", b"%d" % size)
    if not 0 <= mtime < _OCTAL_SIZE:
        records += _record(b"mtime", b"%d" % mtime)
    plain = _block(kind, path[:_NAME], mode, size % _OCTAL_SIZE, min(max(mtime, 0), _OCTAL_SIZE - 1), link[:_LINK_NAME])
    for attribute, value in (attributes or {}).items():
        records += _record(_ATTRIBUTE + attribute.encode("utf-8", "surrogateescape"), value)
    if not records:
        return plain
    extended = _block(EXTENDED, b"pax", 0o644, len(records), 0, b"")
    return extended + records + padding(len(records)) + plain


def padding(size: int) -> bytes:
    """What fills content of ``size`` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH key=value`` and a line end; the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _block(kind: bytes, name: bytes, mode: int, size: int, mtime: int, link: bytes) -> bytes:
    fields = (
        name.ljust(_NAME, b"\0")
        + b"%07o\0" % mode
        + b"0000000\0" * 2
        + b"%011o\0%011o\0" % (size, mtime)
        + b" " * 8
        + kind
        + link.ljust(_LINK_NAME, b"\0")
        + b"ustar\x0000"
    ).ljust(BLOCK, b"\0")
    checksum = b"%06o\0 " % sum(fields)
    return fields[:148] + checksum + fields[156:]
