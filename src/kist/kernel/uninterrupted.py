"""Calls of the C library one after the other, with no line of Python between them.

The interpreter writes to its own memory all the time: it counts who uses an object, and takes and gives back small
blocks. Whoever copies that memory and then does something with the place cannot have it write in between. So the calls
are chained beforehand: each is a context of makecontext(3) that goes on with the next.
"""

from __future__ import annotations

import ctypes
import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # A function's name and its arguments: addresses, lengths, flags, descriptors.
    Call = tuple[str, tuple[int, ...]]

# The interpreter's lock is kept: giving it up and taking it would be lines of its own.
_libc = ctypes.PyDLL(None)
_NEEDED = ("getcontext", "makecontext", "swapcontext")
# A context is 1 to 5 KiB, by architecture; what is called, and a signal's handler, find room on the stack.
_CONTEXT = 1 << 13
_STACK = 1 << 15
_EACH = _CONTEXT + _STACK


class _Beginning(ctypes.Structure):
    """What every architecture's ``ucontext_t`` begins with."""

    _fields_ = (
        ("flags", ctypes.c_ulong),
        ("link", ctypes.c_void_p),
        ("stack", ctypes.c_void_p),
        ("stack_flags", ctypes.c_int),
        ("stack_size", ctypes.c_size_t),
    )


def is_possible() -> bool:
    """Whether this C library has contexts; musl's does not."""
    return all(hasattr(_libc, name) for name in _NEEDED)


class Chain:
    """Calls to be made in this process; they can be written down by a fork of it.

    Args:
        most: calls that there can be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._room = mmap.mmap(-1, (most + 1) * _EACH)  # shared with forks
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._room))
        self._here = ctypes.c_void_p(self._start)
        self._first = ctypes.c_void_p(self._start + _EACH)

    def write(self, calls: Sequence[Call], behind: int = 0) -> None:
        """Write down what is to be called, behind that many calls that have been written down.

        The last of those before leads to here only where it was followed by another call.

        Raises:
            OverflowError: it is more than there can be.
        """
        if not 0 < len(calls) <= self._most - behind:
            raise OverflowError(f"{len(calls)} calls of {self._most - behind}")
        numbered = list(enumerate(calls, behind + 1))
        # The first one last: whoever comes to it finds all of the others.
        for number, (name, arguments) in reversed(numbered):
            context = self._start + number * _EACH
            _libc.getcontext(ctypes.c_void_p(context))
            beginning = _Beginning.from_address(context)
            beginning.link = context + _EACH if number < behind + len(calls) else self._start
            beginning.stack, beginning.stack_size = context + _CONTEXT, _STACK
            function = ctypes.cast(getattr(_libc, name), ctypes.c_void_p)
            words = [ctypes.c_size_t(argument) for argument in arguments]
            _libc.makecontext(ctypes.c_void_p(context), function, len(words), *words)

    def make(self) -> None:
        """Make the calls. What they give is lost, so whoever cares looks at what they have done."""
        _libc.swapcontext(self._here, self._first)
