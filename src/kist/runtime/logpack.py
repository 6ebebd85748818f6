"""A log file made smaller after its rotation: gzip (RFC 1952) that can be read from any place.

It is cut into members of 256 KiB, each compressed for itself. A member's header carries, in an extra field ``KI``, how
many bytes the member has compressed and not compressed, so a reader hops from header to header and decompresses only
the members that it wants; ``zcat`` reads the file like any other.
"""

from __future__ import annotations

import os
import struct
import zlib

MEMBER = 256 << 10
SUFFIX = ".gz"
_LEVEL = 1
# Magic, deflate, FEXTRA, no time, no flags, Unix; the extra fields' length; the field's name, length and two numbers.
_HEADER = struct.Struct("<2sBBIBBH2sHII")
_EXTRA = 12
HEADER_SIZE = _HEADER.size


def member(content: bytes) -> bytes:
    """One member of the file."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    size = HEADER_SIZE + len(packed) + 8
    header = _HEADER.pack(b"\x1f\x8b", 8, 4, 0, 4, 3, _EXTRA, b"KI", 8, size, len(content))
    return header + packed + struct.pack("<II", zlib.crc32(content), len(content))


def sizes(header: bytes) -> tuple[int, int]:
    """How many bytes the member with this header has, compressed and not.

    Raises:
        ValueError: it is no header of such a member.
    """
    if len(header) < HEADER_SIZE:
        raise ValueError("the file ends in the middle of a header")
    magic, _, flags, _, _, _, extra, name, _, packed, plain = _HEADER.unpack(header[:HEADER_SIZE])
    if magic != b"\x1f\x8b" or flags != 4 or extra != _EXTRA or name != b"KI" or packed <= HEADER_SIZE:
        raise ValueError("not a member of a packed log")
    return packed, plain


def unpack(packed: bytes) -> bytes:
    """The content of one member.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return zlib.decompress(packed, zlib.MAX_WBITS | 16)
    except zlib.error as error:
        raise ValueError(str(error)) from None


class Packer:
    """Packs the file at ``path`` into ``path.gz``, a member at each step, and then takes it away.

    The steps are the monitor's, between two writes: no process more, no thread, and a container that prints much is
    held up for some milliseconds at a time. What was not finished is begun anew by the next writer.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._aside = f"{path}{SUFFIX}.new"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._target = os.open(self._aside, flags, 0o640)
        except OSError:
            os.close(self._source)
            raise

    def step(self) -> bool:
        """Do a part of the work; whether it is done. OSError: the disk is full, and the file stays as it is."""
        content = os.read(self._source, MEMBER)
        if content:
            rest = memoryview(member(content))
            while rest:
                rest = rest[os.write(self._target, rest) :]
            return False
        os.rename(self._aside, self._path + SUFFIX)
        os.unlink(self._path)
        self.close()
        return True

    def give_up(self) -> None:
        """Leave the file as it is."""
        self.close()
        try:
            os.unlink(self._aside)
        except FileNotFoundError:
            return  # the container was removed meanwhile

    def close(self) -> None:
        """Stop; the work is not finished."""
        os.close(self._source)
        os.close(self._target)
