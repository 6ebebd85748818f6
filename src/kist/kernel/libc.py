"""System calls by number and by name, through the C library that this interpreter already has."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
# Holds the interpreter's lock during the call: a child made by clone must find it held by itself.
_libc_locked = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc_locked.syscall.restype = ctypes.c_long

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000

# From 424 on, every architecture has the same numbers (the kernel's unified tables).
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_CLONE3 = 435
SYS_CLOSE_RANGE = 436
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442
SYS_QUOTACTL_FD = 443

_M_ARENA_MAX = -8  # malloc.h


# Looked up now, for a look-up in every child again would cost more than the calls.
for _name in ("mount", "umount2", "pivot_root", "unshare", "setns", "prctl", "capset", "capget", "madvise"):
    getattr(_libc, _name)
# It is called hundreds of times in a row.
_libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def call(name: str, *arguments: object, path: object = None) -> int:
    """Call the C library's function ``name``; -1 becomes ``OSError`` about ``path``."""
    result: int = getattr(_libc, name)(*arguments)
    if result == -1:
        raise _error(path if path is not None else name)
    return result


def syscall(number: int, *arguments: object, path: object = None) -> int:
    """Make the system call ``number``; integers are passed as longs; -1 becomes ``OSError`` about ``path``."""
    result: int = _libc.syscall(
        ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    )
    if result == -1:
        raise _error(path)
    return result


def syscall_locked(number: int, *arguments: object) -> int:
    """As ``syscall``, without giving up the interpreter's lock."""
    result: int = _libc_locked.syscall(
        ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
    )
    if result == -1:
        raise _error(None)
    return result


def advise(address: int, length: int, advice: int) -> bool:
    """Call madvise(2); whether the kernel took the advice."""
    return bool(_libc.madvise(address, length, advice) == 0)


def one_arena() -> None:
    """Have all threads allocate from one arena (mallopt(3), M_ARENA_MAX), where the C library is glibc."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Call malloc_trim(3), which musl does not have and does not need."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def encoded(text: str | None) -> bytes | None:
    """A path or word for the kernel; None stays a null pointer."""
    return None if text is None else os.fsencode(text)


def _error(path: object) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)
