"""Who is at the other end of the engine's socket, as the kernel noted it when they connected (unix(7))."""

import os
import socket
import struct
from typing import NamedTuple, Protocol

from kist.kernel import process, userns

# include/uapi/asm-generic/socket.h; Python has no names for them.
_SO_PEERGROUPS = 59
_SO_PEERPIDFD = 77
_CREDENTIALS = struct.Struct("3i")
_NUMBER = struct.Struct("i")
_GROUP = struct.calcsize("I")
# Python takes answers of a kibibyte.
_MOST_GROUPS = 1024 // _GROUP


class Connection(Protocol):
    """A socket, or what an event loop shows of one."""

    @property
    def family(self) -> int:
        """AF_UNIX for one whose other end is known."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """The bytes of an option."""


class Peer(NamedTuple):
    """A process as it was when it connected; ``groups`` are its supplementary ones."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...]


def uid_of(connection: Connection | None) -> int:
    """The user at the other end; -1 where that cannot be known."""
    if connection is None or connection.family != socket.AF_UNIX:
        return -1
    return int(_CREDENTIALS.unpack(_credentials(connection))[1])


def pid_of(connection: Connection) -> int:
    """The process at the other end."""
    return int(_CREDENTIALS.unpack(_credentials(connection))[0])


def credentials(connection: Connection) -> tuple[int, int, int]:
    """Process, user and group at the other end, as the machine calls them.

    0 for a process that cannot be seen from here, -1 for ids that an ordinary user's engine cannot know.
    """
    pid, uid, gid = _CREDENTIALS.unpack(_credentials(connection))
    return (pid, *userns.outside(uid, gid))


def program_of(connection: Connection, pid: int) -> str:
    """What the process at the other end is called; empty where that is not sure to be its name (before Linux 6.5).

    The number of a process that has ended may be another's by now, so one is held by what the kernel gives for it.
    """
    try:
        held = _NUMBER.unpack(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, _NUMBER.size))[0]
    except OSError:
        return ""
    try:
        return process.name_of(pid, held)
    finally:
        os.close(held)


def look(connection: Connection | None) -> Peer | None:
    """The process at the other end; None where that cannot be known, its groups included."""
    if uid_of(connection) < 0:
        return None
    assert connection is not None
    pid, uid, gid = _CREDENTIALS.unpack(_credentials(connection))
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_GROUPS * _GROUP)
    except OSError:
        return None  # ERANGE: it has more
    return Peer(pid, uid, gid, struct.unpack(f"{len(groups) // _GROUP}I", groups))


def _credentials(connection: Connection) -> bytes:
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
