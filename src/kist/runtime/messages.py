"""What the processes say to each other: JSON and descriptors over Unix sockets.

Two forms. Between engine, spawner, monitor and init: one message a packet (``SOCK_SEQPACKET``), with descriptors. On a
monitor's own socket, where anybody may connect: one line of JSON, then the stream that was asked for.
"""

from __future__ import annotations

import array
import json
import os
import socket

TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MAX_PACKET = 1 << 17
_MAX_DESCRIPTORS = 128
MAX_LINE = 1 << 20


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep message boundaries."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send one message; the descriptors are duplicated into the receiver."""
    data = json.dumps(message).encode()
    if descriptors:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        channel.sendmsg([data], ancillary)
    else:
        channel.send(data)


def receive(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and its descriptors (closed on exec); ``(None, [])`` when the other side has gone."""
    size = array.array("i").itemsize
    try:
        data, ancillary, _, _ = channel.recvmsg(
            _MAX_PACKET, socket.CMSG_SPACE(_MAX_DESCRIPTORS * size), socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionResetError:
        return None, []
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % size])
    if not data:
        for descriptor in descriptors:
            os.close(descriptor)
        return None, []
    return json.loads(data), list(descriptors)


def write_json(path: str, value: object) -> None:
    """Replace the file at ``path`` so that a reader sees the old or the new content, never a part.

    There is no fsync: these files describe processes, and processes do not survive the machine either.
    """
    aside = f"{path}.{os.getpid()}"
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.rename(aside, path)
