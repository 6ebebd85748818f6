"""Pseudo-terminals of a devpts instance, and their size (ioctl_tty(2))."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

_TIOCSPTLCK = 0x40045431
_TIOCGPTN = 0x80045430
_TIOCGPTPEER = 0x5441


def open_pair(ptmx: str) -> tuple[int, int, int]:
    """A new terminal of the devpts that ``ptmx`` belongs to: master, slave, its number below /dev/pts."""
    master = os.open(ptmx, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("i", fcntl.ioctl(master, _TIOCGPTN, struct.pack("i", 0)))[0]
    return master, open_peer(master), number


def open_peer(master: int) -> int:
    """The slave side of a terminal, wherever its devpts is mounted."""
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def set_size(terminal: int, height: int, width: int) -> None:
    """Set the size in characters; the foreground process gets SIGWINCH."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def make_controlling(terminal: int) -> None:
    """Make ``terminal`` the controlling terminal of this session leader."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
