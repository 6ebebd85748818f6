"""A container's processes where it has no control group: those in the pid namespace of its first one.

Where it has the host's pid namespace, they are the first process and its descendants.
"""

from __future__ import annotations

import errno
import os
import time

from kist.kernel import process
from kist.kernel.lean import signal

# What stop waits for, as the freezer of a control group does, and how long between looks.
_PATIENCE = 2.0
_MOMENT = 0.002
_AT_REST = frozenset((b"T", b"t", b"Z", b"X"))


def of(first: int) -> list[int]:
    """The numbers of all of them, here; empty when the first one has ended."""
    space = _namespace(first)
    if not space:
        return []
    numbers = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    if space != _namespace(os.getpid()):
        return [pid for pid in numbers if _namespace(pid) == space]
    return _descendants(first, numbers)


def stop(first: int) -> None:
    """Stop all of them where they are (SIGSTOP), and return when they have stopped.

    Raises:
        OSError: EBUSY when one does not within two seconds; all go on then.
    """
    end = time.monotonic() + _PATIENCE
    while busy := [pid for pid in of(first) if _state(pid) not in _AT_REST]:
        if time.monotonic() > end:
            go_on(first)
            raise OSError(errno.EBUSY, "a process does not stop", f"/proc/{busy[0]}")
        _signal(first, busy, signal.SIGSTOP)
        time.sleep(_MOMENT)


def go_on(first: int) -> None:
    """Let all of them go on (SIGCONT)."""
    _signal(first, of(first), signal.SIGCONT)


def _signal(first: int, pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            held = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            # Looked at again: the descriptor may be that of another process, which got the number.
            if pid == first or pid in of(first):
                signal.pidfd_send_signal(held, number)
        except ProcessLookupError:
            continue  # it has ended
        finally:
            os.close(held)


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""  # it has ended, or is none of ours


def _descendants(first: int, numbers: list[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid in numbers:
        if fields := _fields(pid):
            children.setdefault(int(fields[1]), []).append(pid)
    found = [first]
    for pid in found:
        found += children.get(pid, ())
    return found


def _state(pid: int) -> bytes:
    fields = _fields(pid)
    return fields[0] if fields else b"X"


def _fields(pid: int) -> list[bytes]:
    try:
        return process.read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return []
