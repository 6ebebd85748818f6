"""Sockets and signals without the enumerations that the standard library wraps around them.

``import socket`` and ``import signal`` make some six hundred enumeration members, and need ``re``, ``functools`` and
``selectors`` for it: a megabyte in a process whose memory every monitor pays for again, page by page, as it touches it.
The C modules below them have the same functions. To type checkers these are the ordinary modules.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
else:
    import _signal as signal
    import _socket as socket

__all__ = ["accept", "signal", "socket"]


def accept(listener: socket.socket) -> socket.socket:
    """The next connection of a listening socket; ``BlockingIOError`` when there is none just now."""
    descriptor, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - what socket.accept wraps
    return socket.socket(fileno=descriptor)
