"""A connection to an engine's socket, before anything is said on it: what a first request needs, and no more.

``_socket`` is the C module under ``socket``; importing that would cost more than the connection.
"""

import _socket
import os
import sys


def dial(path: str, timeout: "float | None" = None) -> "_socket.socket":
    """Connect to the socket at ``path``; raises OSError (ENOENT, ECONNREFUSED, EACCES, …).

    With ``timeout``, in seconds, whatever takes longer raises ``TimeoutError``.
    """
    connected = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    connected.settimeout(timeout)
    try:
        connected.connect(path)
    except OSError:
        connected.close()
        raise
    return connected


def peer(connected: "_socket.socket") -> "tuple[int, int]":
    """Who listens: process (0 when our pid namespace does not have it) and user (``SO_PEERCRED``, unix(7))."""
    credentials = connected.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder), int.from_bytes(credentials[4:8], sys.byteorder)


def is_own(connected: "_socket.socket") -> bool:
    """Whether our own engine listens, which is ours, or root's: in /tmp anybody could have been there first."""
    return peer(connected)[1] in {os.geteuid(), 0}
