"""Debian's package files (deb(5)): an ar archive of a version, a control tar and a data tar."""

import io
import lzma
import tarfile
import zlib

import msgspec
import zstandard

from kist.bootstrap import deb822
from kist.errors import Corrupt

_MAGIC = b"!<arch>\n"
_HEADER = 60
_CONTROL_LIMIT = 64 << 20
_DATA_LIMIT = 2 << 30
_ZSTD_STEP = 16 << 10


class DebFile(msgspec.Struct, frozen=True):
    """The parts of a package file, not yet unpacked.

    Attributes:
        built: when the package was built, seconds since the epoch; no file in it is newer, as Debian builds packages.
        control: the name of the control tar and its bytes.
        data: the name of the data tar and its bytes.
    """

    source: str
    built: int
    control: tuple[str, memoryview]
    data: tuple[str, memoryview]

    def control_files(self) -> dict[str, tuple[int, bytes]]:
        """The files of the control tar by their names: mode and bytes."""
        text = self._unpacked(self.control, _CONTROL_LIMIT)
        try:
            with tarfile.open(fileobj=io.BytesIO(text), mode="r:") as tar:
                return {
                    member.name.removeprefix("./"): (member.mode & 0o777, text[_span(member)])
                    for member in tar
                    if member.isreg()
                }
        except tarfile.TarError as error:
            raise self._corrupt(f"the control archive: {error}") from error

    def data_tar(self) -> bytes:
        """The data tar, unpacked into memory."""
        return self._unpacked(self.data, _DATA_LIMIT)

    def _unpacked(self, part: tuple[str, memoryview], limit: int) -> bytes:
        name, packed = part
        try:
            text = _decompress(name.partition(".tar")[2], packed, limit)
        except (lzma.LZMAError, zlib.error, zstandard.ZstdError, EOFError) as error:
            raise self._corrupt(f"{name}: {str(error) or type(error).__name__}") from error
        if len(text) > limit:
            raise self._corrupt(f"{name} is larger than {limit >> 20} MiB when unpacked")
        return text

    def _corrupt(self, what: str) -> Corrupt:
        return _corrupt(self.source, what)


def read_deb(data: bytes, *, source: str) -> DebFile:
    """Find the parts of a package file.

    Raises:
        Corrupt: it is cut short, or no package file of the format 2; the message names ``source``.
    """
    if not data.startswith(_MAGIC):
        raise _corrupt(source, "it does not begin like an ar archive")
    members: list[tuple[str, int, memoryview]] = []
    position = len(_MAGIC)
    while position < len(data):
        name, time, size = _header(data[position : position + _HEADER], source)
        start = position + _HEADER
        if start + size > len(data):
            raise _corrupt(source, f"it is cut short within {name!r}")
        if not name.startswith("_"):
            members.append((name, time, memoryview(data)[start : start + size]))
        position = start + size + size % 2
    names = [name.partition(".tar")[0] for name, _, _ in members[:3]]
    if names != ["debian-binary", "control", "data"] or not bytes(members[0][2]).startswith(b"2."):
        raise _corrupt(source, "expected debian-binary 2.x, control.tar and data.tar")
    version, control, content = members[:3]
    return DebFile(source, version[1], (control[0], control[2]), (content[0], content[2]))


def read_built(path: str) -> int:
    """When a package file was built, from its first bytes; seconds since the epoch.

    Raises:
        Corrupt: it does not begin like a package file.
    """
    with open(path, "rb") as file:
        data = file.read(len(_MAGIC) + _HEADER)
    if not data.startswith(_MAGIC):
        raise _corrupt(path, "it does not begin like an ar archive")
    return _header(data[len(_MAGIC) :], path)[1]


def control_fields(files: dict[str, tuple[int, bytes]], *, source: str) -> deb822.Paragraph:
    """The fields of the file ``control``.

    Raises:
        Corrupt: there is no such file.
        ParseError: it is malformed.
    """
    if "control" not in files:
        raise _corrupt(source, "it has no control file")
    return deb822.parse_one(files["control"][1].decode("utf-8", "replace"), source=source)


def _header(header: bytes, source: str) -> tuple[str, int, int]:
    """Name, time and size of an ar member (ar(5): 16, 12, 6, 6, 8 and 10 characters, and two that end it)."""
    if len(header) != _HEADER or header[58:] != b"`\n":
        raise _corrupt(source, "it is cut short, or damaged between its parts")
    try:
        name = header[:16].decode("ascii").rstrip().removesuffix("/")
        return name, int(header[16:28]), int(header[48:58])
    except ValueError:
        raise _corrupt(source, "the header of a part is damaged") from None


def _decompress(ending: str, packed: memoryview, limit: int) -> bytes:
    """At most one byte more than ``limit``; a stream that ends early is an EOFError."""
    match ending:
        case "":
            return bytes(packed)
        case ".xz":
            xz = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
            text = xz.decompress(packed, limit + 1)
            finished = xz.eof
        case ".gz":
            gz = zlib.decompressobj(zlib.MAX_WBITS | 16)
            text = gz.decompress(packed, limit + 1)
            finished = gz.eof
        case ".zst":
            text, finished = _decompress_zstd(packed, limit)
        case _:
            raise EOFError(f"unknown compression {ending!r}")
    if not finished and len(text) <= limit:
        raise EOFError("it is cut short")
    return text


def _decompress_zstd(packed: memoryview, limit: int) -> tuple[bytes, bool]:
    """In small steps, as this decompressor knows no limit of its own."""
    zst = zstandard.ZstdDecompressor().decompressobj()
    text = bytearray()
    for start in range(0, len(packed), _ZSTD_STEP):
        if zst.eof or len(text) > limit:
            break
        text += zst.decompress(packed[start : start + _ZSTD_STEP])
    return bytes(text), zst.eof


def _span(member: tarfile.TarInfo) -> slice:
    return slice(member.offset_data, member.offset_data + member.size)


def _corrupt(source: str, what: str) -> Corrupt:
    return Corrupt(
        f"{source} is no sound Debian package: {what}", hint="remove it from the cache, or try another mirror"
    )
