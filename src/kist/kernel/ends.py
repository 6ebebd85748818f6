"""How a process ended that is nobody's child here: what the kernel tells without waitpid(2).

Only who takes over after a killed monitor needs this.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct

from kist.kernel import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# include/uapi/linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info) of 64 bytes, and the bit for the exit (Linux 6.15).
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_INFO = struct.Struct("=QQ" + "I" * 11 + "i")
# proc_pid_stat(5), counted from the field after the name: the state, and the status as waitpid would tell it.
_STATE, _EXIT_CODE = 0, 49


def open_process(pid: int, started: int) -> int | None:
    """A pidfd of the process that began at ``started`` (see ``process.start_time``); None when it is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    try:
        if process.start_time(pid) == started:
            return descriptor
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended in between
    os.close(descriptor)
    return None


def status_of(pidfd: int, pid: int) -> int | None:
    """The wait status of a process that has ended; None while the kernel does not tell.

    A zombie shows it in /proc; one that its parent has reaped, from Linux 6.15 on, to who had a pidfd of it before.
    """
    try:
        fields = process.read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if fields[_STATE] in b"ZX":
            return int(fields[_EXIT_CODE])
    except (FileNotFoundError, ProcessLookupError):
        pass  # reaped
    try:
        info = _INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, _INFO.pack(_PIDFD_INFO_EXIT, *[0] * 13)))
    except OSError:
        return None  # an older kernel, or (ESRCH) one that keeps nothing of who was reaped
    return int(info[-1]) if info[0] & _PIDFD_INFO_EXIT else None


def tells_when_reaped() -> bool:
    """Whether the kernel keeps the status of a reaped process for who has a pidfd of it (Linux 6.15)."""
    return process.kernel_release() >= (6, 15)


def open_pipes(pid: int, inodes: Sequence[int]) -> list[int]:
    """The other ends of a process's standard pipes, opened anew: to write its 0, to read its 1 and 2.

    Args:
        pid: the process.
        inodes: of the pipes that we once gave it, 0 for none. What it has put in their place is its own affair.

    Returns:
        Three descriptors, -1 for what is not there any more.
    """
    found = []
    for number, inode in enumerate(inodes):
        path = f"/proc/{pid}/fd/{number}"
        flags = (os.O_RDONLY if number else os.O_WRONLY) | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            there = os.stat(path)
            same = bool(inode) and stat.S_ISFIFO(there.st_mode) and there.st_ino == inode
            found.append(os.open(path, flags) if same else -1)
        except OSError:
            found.append(-1)
    return found
