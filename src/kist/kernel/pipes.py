"""Pipes with room for large transfers, for splice(2)."""

from __future__ import annotations

import errno
import fcntl
import os

ROOM = 1 << 18
"""How much a pipe is to hold, where the user may have as much."""

USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What a call fails with when this process, or the machine, has no more of something."""


def roomy() -> tuple[int, int] | None:
    """Both ends of a pipe, which do not block; None where no more can be had."""
    try:
        ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in USED_UP:
            return None
        raise
    try:
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, ROOM)
    except PermissionError:
        return ends  # this user has many (/proc/sys/fs/pipe-user-pages-soft): it holds less, and is slower
    return ends
