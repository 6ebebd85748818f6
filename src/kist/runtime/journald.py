"""Messages of the journal, in its native protocol (systemd, "Native Journal Protocol")."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time

from kist.kernel.lean import socket

_PRIORITY = {"stdout": b"6", "stderr": b"3"}
_F_ADD_SEALS = 1033
_ALL_SEALS = 0xF


class Journal:
    """How a line of output looks as an entry: ``fields`` and the line's own."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = b"".join(_field(name, value.encode()) for name, value in fields.items())

    def message(self, stream: str, text: bytes, part: tuple[str, int, bool] | None) -> bytes:
        """The bytes of one entry."""
        now = f"{time.time_ns() // 1000}".encode()
        own = _field("PRIORITY", _PRIORITY[stream]) + _field("SYSLOG_TIMESTAMP", now) + _field("MESSAGE", text)
        if part is not None:
            identifier, number, last = part
            own += _field("CONTAINER_PARTIAL_ID", identifier.encode())
            own += _field("CONTAINER_PARTIAL_ORDINAL", b"%d" % number)
            own += _field("CONTAINER_PARTIAL_LAST", b"true" if last else b"false")
            if not last:
                own += _field("CONTAINER_PARTIAL_MESSAGE", b"true")
        return self._fields + own

    def send(self, connection: socket.socket, message: bytes) -> int:
        """Send one datagram, or what is too long for one as a sealed file in memory; without waiting."""
        try:
            return connection.send(message)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
        memory = os.memfd_create("kist-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            rest = memoryview(message)
            while rest:
                rest = rest[os.write(memory, rest) :]
            fcntl.fcntl(memory, _F_ADD_SEALS, _ALL_SEALS)
            connection.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", memory))])
        finally:
            os.close(memory)
        return len(message)


def _field(name: str, value: bytes) -> bytes:
    """One field: in a line, or with its length where the value has line ends."""
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
