"""The caller's terminal: raw while a container has it, and always given back as it was."""

import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_LFLAG, _CC = 3, 6


class RawTerminal:
    """Raw mode for the length of a ``with`` block, whatever ends it.

    As cfmakeraw(3): no echo, no line editing, no signals from keys; the terminal at the other end does all that.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._saved = termios.tcgetattr(fd)

    def __enter__(self) -> "Self":
        """Save the mode and make it raw."""
        mode = termios.tcgetattr(self._fd)
        mode[0] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        mode[1] &= ~termios.OPOST
        mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[_CC][termios.VMIN] = 1
        mode[_CC][termios.VTIME] = 0
        termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the mode that was."""
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)


def size(fd: int) -> "tuple[int, int]":
    """Rows and columns; (0, 0) where there is no terminal."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return rows, columns
