"""Compressed streams, told by their first bytes: gzip (isal), zstd, xz, bzip2."""

import bz2
import io
import lzma
import zlib
from typing import Any, BinaryIO, cast

import zstandard
from isal import igzip, isal_zlib

from kist.errors import Corrupt

_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)
_LONGEST_MAGIC = 6
_DEFLATE_ERROR = cast("type[Exception]", isal_zlib.IsalError)
_BUFFER = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_USUAL_ZSTD = 3


class Rest(io.RawIOBase):
    """A stream that starts with bytes that were read from it before."""

    def __init__(self, start: bytes, stream: BinaryIO) -> None:
        self._start = start
        self._stream = stream

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """What was read before, then the rest."""
        found = self._start
        if not found:
            return self._stream.read(size)
        if size < 0:
            self._start = b""
            return found + self._stream.read()
        self._start = found[size:]
        return found[:size] if size <= len(found) else found + self._stream.read(size - len(found))

    def readinto(self, buffer: Any) -> int:
        """As ``read``, into ``buffer``."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class Decompressed:
    """The plain bytes of a compressed stream; every failure of the format is ``Corrupt``."""

    def __init__(self, kind: str, stream: BinaryIO) -> None:
        self.kind = kind
        self._stream = _open(kind, stream)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` plain bytes; empty at the end.

        Raises:
            Corrupt: the compressed data is damaged or cut short.
        """
        try:
            return self._stream.read(size)
        except (EOFError, lzma.LZMAError, zstandard.ZstdError, _DEFLATE_ERROR) as error:
            raise self._damaged(error) from error
        except OSError as error:
            if error.errno is None:  # gzip and bz2 tell damage so
                raise self._damaged(error) from error
            raise

    def _damaged(self, error: Exception) -> Corrupt:
        return Corrupt(f"damaged {self.kind} data: {error}", hint="the file may have been cut short; fetch it again")


def detect(start: bytes) -> str:
    """``gzip``, ``zstd``, ``xz`` or ``bzip2`` by the first bytes of a stream; empty for anything else."""
    return next((kind for magic, kind in _MAGIC if start.startswith(magic)), "")


def plain(stream: BinaryIO) -> BinaryIO:
    """The stream itself when it is not compressed, else its plain bytes."""
    start = _read_start(stream)
    kind = detect(start)
    whole = cast("BinaryIO", Rest(start, stream))
    return cast("BinaryIO", Decompressed(kind, whole)) if kind else whole


class Compressor:
    """Compresses a stream, so that the same bytes come of the same.

    Args:
        kind: ``gzip`` or ``zstd``.
        level: of the kind's own levels; None for the usual one.
    """

    def __init__(self, kind: str, level: int | None = None) -> None:
        self._work: Any
        if kind == "gzip":  # a gzip header of zlib's tells no time and no name
            self._work = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION if level is None else level, zlib.DEFLATED, _GZIP)
        else:
            self._work = zstandard.ZstdCompressor(level=level or _USUAL_ZSTD).compressobj()

    def add(self, data: bytes) -> bytes:
        """Take plain bytes; gives what is compressed so far."""
        return bytes(self._work.compress(data))

    def end(self) -> bytes:
        """The last of it."""
        return bytes(self._work.flush())


def _read_start(stream: BinaryIO) -> bytes:
    start = b""
    while len(start) < _LONGEST_MAGIC and (more := stream.read(_LONGEST_MAGIC - len(start))):
        start += more
    return start


def _open(kind: str, stream: BinaryIO) -> BinaryIO:
    if kind == "gzip":
        return cast("BinaryIO", igzip.GzipFile(fileobj=stream, mode="rb"))  # type: ignore[no-untyped-call]
    if kind == "zstd":
        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_size=_BUFFER, read_across_frames=True)
        return cast("BinaryIO", reader)
    if kind == "xz":
        return cast("BinaryIO", lzma.LZMAFile(stream))
    return cast("BinaryIO", bz2.BZ2File(stream))
