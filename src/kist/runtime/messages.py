"""What the processes say to each other: JSON and descriptors over Unix sockets.

Two forms. Between engine, spawner, monitor and init: one message a packet (``SOCK_SEQPACKET``), with descriptors. On a
monitor's own socket, where anybody may connect: one line of JSON, then the stream that was asked for.
"""

from __future__ import annotations

import errno
import os
import struct
import sys

from kist.kernel import process
from kist.kernel.lean import socket
from kist.spec import jsontext

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MAX_PACKET = 1 << 15
_MAX_DESCRIPTORS = 128
# Arguments and environment of an exec'd process travel in a line, and execve(2) takes 2 MiB of them.
MAX_LINE = 8 << 20
_INT = struct.calcsize("i")


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep message boundaries."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = (), flags: int = 0) -> None:
    """Send one message; the descriptors are duplicated into the receiver.

    ``flags``, MSG_DONTWAIT for one, count for a message without descriptors.
    """
    data = jsontext.dumps(message).encode()
    if len(data) > _MAX_PACKET:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE), "message between Kist's processes")
    if descriptors:
        channel.sendmsg([data], rights(descriptors))
    else:
        channel.send(data, flags)


def rights(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Descriptors as ``sendmsg`` takes them."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]


def receive(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and its descriptors (closed on exec); ``(None, [])`` when the other side has gone."""
    data, descriptors = receive_bytes(channel)
    return (jsontext.loads(data) if data else None), descriptors


def receive_bytes(channel: socket.socket) -> tuple[bytes, list[int]]:
    """The next packet as it came, and its descriptors; ``(b"", [])`` when the other side has gone."""
    try:
        data, ancillary = _receive(channel)
    except ConnectionResetError:
        # It left without reading all that we sent. The kernel says so once, before it hands out what it had sent
        # itself, and that is what tells why it left.
        data, ancillary = _receive(channel)
    descriptors: list[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors += struct.unpack(f"{len(content) // _INT}i", content[: len(content) // _INT * _INT])
    if not data:
        for descriptor in descriptors:
            os.close(descriptor)
        return b"", []
    return data, descriptors


def _receive(channel: socket.socket) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    data, ancillary, _, _ = channel.recvmsg(
        _MAX_PACKET, socket.CMSG_SPACE(_MAX_DESCRIPTORS * _INT), socket.MSG_CMSG_CLOEXEC
    )
    return data, ancillary


def peer(connection: socket.socket) -> int:
    """The process at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 3 * _INT)
    pid: int = struct.unpack("3i", credentials)[0]
    return pid


def send_line(connection: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> bool:
    """Answer on a monitor's own socket; somebody who has gone needs none. Whether it was sent."""
    line = jsontext.dumps(message).encode() + b"\n"
    try:
        if descriptors:
            connection.sendmsg([line], rights(descriptors))
        else:
            connection.send(line)
    except OSError:
        return False
    return True


def complain(error: OSError) -> None:
    """Write to the engine's log, a monitor's standard error, what nobody waits to hear."""
    print(f"kist-monitor: {error}", file=sys.stderr, flush=True)


def write_json(path: str, value: object) -> None:
    """Replace the file at ``path`` so that a reader sees the old or the new content, never a part.

    There is no fsync: these files describe processes, and processes do not survive the machine either.
    """
    aside = f"{path}.{os.getpid()}"
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(jsontext.dumps(value).encode())
        while rest:
            rest = rest[os.write(file, rest) :]
        os.rename(aside, path)
    except OSError:
        os.unlink(aside)
        raise
    finally:
        os.close(file)


def read_json(path: str) -> dict[str, Any]:
    """The value in a file that ``write_json`` wrote, or of the same form."""
    value: dict[str, Any] = jsontext.loads(process.read_file(path))
    return value
