"""Attributes of netlink messages as bytes; imports next to nothing, for monitors (see ``kist.kernel.lean``)."""

from __future__ import annotations

import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr: length, type
_NESTED = 0x8000
_KIND = 0x3FFF


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def nested(kind: int, *members: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(members))


def text(kind: int, value: str) -> bytes:
    """A string attribute, with the zero at its end that the kernel wants."""
    return attribute(kind, os.fsencode(value) + b"\0")


def members(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The attributes of ``data`` in order, as ``(type, payload)`` without the flag bits of the type.

    Raises:
        OSError: EBADMSG, a length that cannot be.
    """
    offset = 0
    while len(data) - offset >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if not _ATTRIBUTE.size <= length <= len(data) - offset:
            raise malformed("attribute")
        yield kind & _KIND, data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + -length % 4


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of ``data`` by type; of several with one type, the last."""
    return dict(members(data))


def malformed(what: str) -> OSError:
    """The error of a message that cannot be."""
    return OSError(errno.EBADMSG, f"malformed netlink {what}")
